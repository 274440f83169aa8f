//! The colours of code.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use qwen_shared::text::make_visible;
use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxReference, SyntaxSet};

use super::screen::Row;
use super::style::{Role, Style};

/// The longest line that is coloured, in bytes: the patterns of a grammar may take long on a file in one line.
const LONGEST_LINE: usize = 1 << 10;

/// Grammars that colour nothing, or load most of the others: that takes more memory than all else.
const NOT_COLORED: [&str; 3] = ["Plain Text", "Markdown", "MultiMarkdown"];

/// The languages that the kept grammars lack, each with one that reads nearly the same.
const STAND_INS: [(&str, &str); 24] = [
    ("bash session", "sh"),
    ("console", "sh"),
    ("csharp", "cs"),
    ("cxx", "cpp"),
    ("docker", "sh"),
    ("dockerfile", "sh"),
    ("golang", "go"),
    ("javascriptreact", "js"),
    ("json5", "js"),
    ("jsonc", "json"),
    ("jsonl", "json"),
    ("jsx", "js"),
    ("kotlin", "java"),
    ("kt", "java"),
    ("node", "js"),
    ("shell", "sh"),
    ("shell-session", "sh"),
    ("shellsession", "sh"),
    ("svelte", "html"),
    ("ts", "js"),
    ("tsx", "js"),
    ("typescript", "js"),
    ("vue", "html"),
    ("zsh", "sh"),
];

/// The grammars, unpacked when the first of them is asked for.
fn syntaxes() -> &'static SyntaxSet {
    static SYNTAXES: OnceLock<SyntaxSet> = OnceLock::new();
    SYNTAXES.get_or_init(SyntaxSet::load_defaults_newlines)
}

/// Returns the grammar that the label of a code block names: `rust`, `rust,ignore`, `{.rust}`, `main.rs`.
fn syntax(label: &str) -> Option<&'static SyntaxReference> {
    let ends = |c: char| c.is_whitespace() || ",{}:;".contains(c);
    let name = label.split(ends).find(|name| !name.is_empty())?;
    let name = name.trim_start_matches('.').to_lowercase();
    let name = STAND_INS
        .iter()
        .find(|(other, _)| *other == name)
        .map_or(name.as_str(), |(_, known)| known);
    let by_file = || syntaxes().find_syntax_by_extension(name.rsplit_once('.')?.1);
    syntaxes()
        .find_syntax_by_token(name)
        .or_else(by_file)
        .filter(|syntax| !NOT_COLORED.contains(&syntax.name.as_str()))
}

/// What the lines of a block have left open.
type State = (ParseState, ScopeStack);

thread_local! {
    /// The blocks that this thread draws. They cannot go to another thread, where the task that draws may: what they hold of a
    /// line is the C library's.
    static BLOCKS: RefCell<HashMap<u64, State>> = RefCell::default();
}

/// The number of a block among those of its thread.
#[derive(Debug)]
struct Block(u64);

impl Block {
    fn new(state: State) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        BLOCKS.with_borrow_mut(|blocks| blocks.insert(number, state));
        Self(number)
    }

    /// Uses its state; `None` on another thread than the one that has it.
    fn with<R>(&self, used: impl FnOnce(&mut State) -> R) -> Option<R> {
        BLOCKS.with_borrow_mut(|blocks| blocks.get_mut(&self.0).map(used))
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // At the end of the thread they may be gone before it.
        let _ = BLOCKS.try_with(|blocks| blocks.borrow_mut().remove(&self.0));
    }
}

/// Colours the lines of one code block, each with what those before it left open.
#[derive(Debug, Default)]
pub(super) struct Highlighter {
    block: Option<Block>,
}

impl Clone for Highlighter {
    fn clone(&self) -> Self {
        let state = self
            .block
            .as_ref()
            .and_then(|block| block.with(|state| state.clone()));
        Self {
            block: state.map(Block::new),
        }
    }
}

impl Highlighter {
    pub(super) fn new(label: &str) -> Self {
        let state = syntax(label).map(|syntax| (ParseState::new(syntax), ScopeStack::new()));
        Self {
            block: state.map(Block::new),
        }
    }

    /// Appends a line, which has no line end.
    pub(super) fn line(&mut self, line: &str, row: &mut Row) {
        let mut shown = String::with_capacity(line.len() + 1);
        make_visible(line, &mut shown);
        let is_colored = shown.len() < LONGEST_LINE
            && self.block.as_ref().is_some_and(|block| {
                shown.push('\n');
                block.with(|state| color(&shown, state, row)) == Some(true)
            });
        if is_colored {
            return;
        }
        if shown.ends_with('\n') {
            shown.pop();
            self.block = None;
        }
        row.push(Style::default().role(Role::Code), &shown);
    }
}

/// Appends a line, which ends in a line feed, in colours; false where the grammar cannot read it.
fn color(line: &str, (parser, stack): &mut State, row: &mut Row) -> bool {
    let Ok(changes) = parser.parse_line(line, syntaxes()) else {
        return false;
    };
    let mut start = 0;
    for (end, change) in changes {
        add(&line[start..end], stack, row);
        start = end;
        if stack.apply(&change).is_err() {
            break;
        }
    }
    add(&line[start..], stack, row);
    true
}

fn add(text: &str, stack: &ScopeStack, row: &mut Row) {
    let text = text.trim_end_matches('\n');
    if !text.is_empty() {
        let role = role(stack);
        let style = Style::default().role(role);
        row.push(
            Style {
                italic: role == Role::Comment,
                ..style
            },
            text,
        );
    }
}

/// The roles of scopes, as the grammars of Sublime Text name them. The first that fits counts.
fn roles() -> &'static [(Scope, Role)] {
    static ROLES: OnceLock<Vec<(Scope, Role)>> = OnceLock::new();
    const NAMES: [(&str, Role); 17] = [
        ("comment", Role::Comment),
        ("string", Role::Literal),
        ("constant", Role::Constant),
        ("markup.inserted", Role::Literal),
        ("markup.deleted", Role::Constant),
        ("markup.heading", Role::Heading),
        ("keyword.operator", Role::Code),
        ("keyword", Role::Keyword),
        ("storage", Role::Keyword),
        ("entity.name.function", Role::Function),
        ("variable.function", Role::Function),
        ("support.function", Role::Function),
        ("entity.name.tag", Role::Keyword),
        ("entity.other.attribute-name", Role::Type),
        ("entity.name", Role::Type),
        ("support.type", Role::Type),
        ("support.class", Role::Type),
    ];
    ROLES.get_or_init(|| {
        let known = |(name, role): (&str, Role)| Scope::new(name).ok().map(|scope| (scope, role));
        NAMES.into_iter().filter_map(known).collect()
    })
}

/// Returns the role of text in these scopes: the innermost that has one.
fn role(stack: &ScopeStack) -> Role {
    let of = |scope: &Scope| {
        let known = roles().iter().find(|(prefix, _)| prefix.is_prefix_of(*scope));
        known.map(|(_, role)| *role)
    };
    stack.as_slice().iter().rev().find_map(of).unwrap_or(Role::Code)
}
