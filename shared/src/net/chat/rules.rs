//! The table that tells what a server's codes and words mean: `provider/refusals.json`, parsed at the first refusal.
//!
//! The first rule that matches wins, a provider's own before the general ones. Behind a gateway the provider is known by its
//! `marks`. A rule matches when one of its codes or
//! patterns does; a pattern does not where one of the rule's `unless` patterns matches too. Where the rule names statuses
//! or parameters, those of the error must be among them.
//!
//! - A code is compared without case and separators: `RateLimitExceeded` is `rate_limit_exceeded`. `*` at its end or
//!   beginning stands for anything.
//! - A pattern is a row of words that must stand in one sentence of the message: `..` is a gap of a few words, `~` a gap
//!   without a verb (a name), `word*` any word that begins so, `{class}` one of the phrases of that class. Chinese,
//!   Japanese and Korean characters are words of their own, and `/day` is `per day`.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use serde::Deserialize;

use super::api_error::ApiError;
use super::verdict::ErrorKind;

/// The most words that `..` stands for, and the most that `~` does.
const GAP: usize = 16;
const NAME_GAP: usize = 12;

/// The most characters of a message that are compared.
const COMPARED: usize = 4000;

/// Returns the rule for an error; `None` when nothing in it is known.
pub(super) fn find(error: &ApiError, status: Option<u16>) -> Option<&'static Rule> {
    let table = table();
    let codes = codes_of(error);
    // A code with blanks in it is a sentence (xAI).
    let sentences = error.names().iter().filter(|name| name.contains(' '));
    let mut tokens = normalise(&without_urls(&error.message));
    for sentence in sentences {
        tokens.push(Token::Stop);
        tokens.extend(normalise(sentence));
    }
    let text = Text::new(&tokens);
    let rules = table.own_rules(error);
    rules
        .iter()
        .chain(&table.rules)
        .find(|rule| rule.matches(&codes, &error.param, &text, status))
}

/// Returns the codes of an error, as they are compared: its own, and the names of exceptions in its words (Bedrock behind a
/// gateway). An exception's is a code with its ending and without, and without the package before it.
fn codes_of(error: &ApiError) -> Vec<String> {
    const EXCEPTION: &str = "exception";
    let words = error.message.split(|c: char| !c.is_alphanumeric() && c != '_');
    let exceptions = words.filter(|word| word.len() > EXCEPTION.len() && word.ends_with("Exception"));
    // A message of one word is a code (Spark).
    let lone = Some(error.message.as_str()).filter(|message| !message.contains(char::is_whitespace));
    let names = error.names().iter().map(String::as_str);
    let mut codes = Vec::new();
    for name in names.chain(exceptions).chain(lone) {
        let name = name.rsplit_once('#').map_or(name, |(_, name)| name);
        let code = squeeze(name);
        if let Some(stem) = code.strip_suffix(EXCEPTION)
            && !stem.is_empty()
        {
            codes.push(stem.to_owned());
        }
        codes.push(code);
    }
    codes
}

/// True for an error that says no more than that it is one: `Forbidden`, `access_denied`.
pub(super) fn says_nothing(error: &ApiError) -> bool {
    let silent = &table().silent;
    let is_silent = |token: &Token| match token {
        Token::Word(word) => silent.words.contains(word),
        Token::Comma | Token::Stop => true,
    };
    normalise(&error.message).iter().all(is_silent)
        && error
            .names()
            .iter()
            .all(|name| silent.codes.contains(&squeeze(name)))
}

/// Returns the page on which a provider shows balance and limits.
pub(super) fn billing_page(provider: &str) -> Option<&'static str> {
    table().providers.get(provider)?.billing.as_deref()
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    // That the table parses is a unit test.
    TABLE.get_or_init(|| Table::parse(include_str!("../../provider/refusals.json")).unwrap_or_default())
}

#[derive(Debug, Default)]
struct Table {
    rules: Vec<Rule>,
    providers: HashMap<String, OwnRules>,
    silent: Silent,
}

/// Words and codes that say only that there is an error.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Silent {
    words: Vec<String>,
    codes: Vec<String>,
}

impl Table {
    /// Returns the rules of the provider that an error came from: the one that was asked, or one behind it that the error names.
    fn own_rules(&self, error: &ApiError) -> &[Rule] {
        let asked = error.provider.and_then(|name| self.providers.get(name));
        let is_named = |own: &&OwnRules| own.marks.iter().any(|mark| error.message.contains(mark));
        let behind = || self.providers.values().find(is_named);
        let own = asked.filter(|own| !own.rules.is_empty()).or_else(behind);
        own.map_or(&[], |own| &own.rules)
    }
}

#[derive(Debug)]
struct OwnRules {
    billing: Option<String>,
    /// What stands in its messages alone, such as the address of its documentation.
    marks: Vec<String>,
    rules: Vec<Rule>,
}

/// What some codes or words mean.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) kind: ErrorKind,
    /// True where a wait that the server names, of less than an hour, makes it a matter of the rate.
    pub(super) is_rolling: bool,
    statuses: Vec<String>,
    codes: Vec<String>,
    params: Vec<String>,
    patterns: Vec<Pattern>,
    unless: Vec<Pattern>,
}

impl Rule {
    fn matches(&self, codes: &[String], param: &str, text: &Text<'_>, status: Option<u16>) -> bool {
        let has_status =
            self.statuses.is_empty() || self.statuses.iter().any(|known| status_matches(known, status));
        let is_any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.is_in(text));
        has_status
            && (self.params.is_empty() || self.params.iter().any(|known| known == param))
            && (codes
                .iter()
                .any(|code| self.codes.iter().any(|known| code_matches(known, code)))
                || (is_any(&self.patterns) && !is_any(&self.unless)))
    }
}

/// True for a status of that kind: `404`, `5xx`, `none` for an error within an answer.
fn status_matches(known: &str, status: Option<u16>) -> bool {
    let Some(status) = status else {
        return known == "none";
    };
    match known.strip_suffix("xx") {
        Some(hundreds) => hundreds.parse() == Ok(status / 100),
        None => known.parse() == Ok(status),
    }
}

fn code_matches(known: &str, code: &str) -> bool {
    match (known.strip_prefix('*'), known.strip_suffix('*')) {
        (Some(_), Some(_)) => code.contains(known.trim_matches('*')),
        (Some(end), None) => code.ends_with(end),
        (None, Some(start)) => code.starts_with(start),
        (None, None) => code == known,
    }
}

/// A code without case and separators.
fn squeeze(code: &str) -> String {
    let letters = code.chars().filter(|c| c.is_alphanumeric() || *c == '*');
    letters.flat_map(char::to_lowercase).collect()
}

/// A word of a message, or the end of a sentence or clause.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// A comma: part of a gap, not of a name.
    Comma,
    Stop,
}

/// Drops addresses: `https://x.example/settings/billing` says nothing about the balance.
fn without_urls(text: &str) -> String {
    let words = text.split_inclusive(char::is_whitespace);
    let kept = words.filter(|word| !word.contains("://"));
    kept.collect()
}

/// Splits a text into words: in lower case, without quotes and signs, contractions written out.
fn normalise(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars().take(COMPARED).peekable();
    while let Some(c) = chars.next() {
        let is_last = |next: Option<&char>| next.is_none_or(|next| !next.is_alphanumeric());
        match c {
            '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' => {
                end_word(&mut word, &mut tokens);
                tokens.push(Token::Word(c.into()));
            }
            c if c.is_alphanumeric() => word.extend(c.to_lowercase()),
            '\'' | '’' if word.ends_with('n') && chars.peek() == Some(&'t') => {
                chars.next();
                word.pop();
                let stem = if word == "ca" { "can" } else { &word }.to_owned();
                word = stem;
                end_word(&mut word, &mut tokens);
                tokens.push(Token::Word("not".to_owned()));
            }
            // Within a number or a name it is part of it.
            '.' if !is_last(chars.peek()) && !word.is_empty() => word.push(c),
            '.' | '!' | '?' | ';' | '\n' | '。' | '\u{ff1b}' | '\u{ff01}' => {
                end_word(&mut word, &mut tokens);
                tokens.push(Token::Stop);
            }
            ',' | '\u{ff0c}' => {
                end_word(&mut word, &mut tokens);
                tokens.push(Token::Comma);
            }
            '/' => {
                end_word(&mut word, &mut tokens);
                if is_unit(chars.clone()) {
                    tokens.push(Token::Word("per".to_owned()));
                }
            }
            _ => end_word(&mut word, &mut tokens),
        }
    }
    end_word(&mut word, &mut tokens);
    tokens
}

/// True when the next word is a unit of time.
fn is_unit(chars: impl Iterator<Item = char>) -> bool {
    let word = chars
        .skip_while(|c| *c == ' ')
        .take_while(|c| c.is_alphanumeric())
        .take(8);
    let word = word.collect::<String>().to_lowercase();
    matches!(
        word.as_str(),
        "second" | "sec" | "minute" | "min" | "hour" | "day" | "week" | "month"
    )
}

fn end_word(word: &mut String, tokens: &mut Vec<Token>) {
    if word == "cannot" {
        word.clear();
        tokens.extend(["can", "not"].map(|word| Token::Word(word.to_owned())));
    } else if !word.is_empty() {
        tokens.push(Token::Word(std::mem::take(word)));
    }
}

/// A message, and the set of its words.
struct Text<'a> {
    tokens: &'a [Token],
    words: HashSet<&'a str>,
}

impl<'a> Text<'a> {
    fn new(tokens: &'a [Token]) -> Self {
        let words = tokens.iter().filter_map(|token| match token {
            Token::Word(word) => Some(word.as_str()),
            _ => None,
        });
        Self {
            tokens,
            words: words.collect(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Word(String),
    Prefix(String),
    /// One of several phrases.
    Class(Vec<Vec<String>>),
    Gap,
    Name,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern(Vec<Item>);

/// Words that end a name: `the model x does …`.
const VERBS: [&str; 32] = [
    "is",
    "are",
    "was",
    "has",
    "have",
    "had",
    "do",
    "does",
    "did",
    "can",
    "could",
    "must",
    "should",
    "may",
    "support",
    "supports",
    "requires",
    "only",
    "with",
    "when",
    "that",
    "which",
    "field",
    "parameter",
    "output",
    "response",
    "produced",
    "returned",
    "generated",
    "failed",
    "encountered",
    "responded",
];

impl Pattern {
    fn is_in(&self, text: &Text<'_>) -> bool {
        // Most patterns lack a word, and need not be looked for at every place.
        let may_be_there = self.0.iter().all(|item| match item {
            Item::Word(known) => text.words.contains(known.as_str()),
            Item::Class(phrases) => phrases
                .iter()
                .any(|phrase| phrase.iter().all(|known| text.words.contains(known.as_str()))),
            Item::Prefix(_) | Item::Gap | Item::Name => true,
        });
        may_be_there && (0..text.tokens.len()).any(|start| begins(&self.0, &text.tokens[start..]))
    }
}

/// True when a text begins with these items.
fn begins(items: &[Item], text: &[Token]) -> bool {
    let Some((first, rest)) = items.split_first() else {
        return true;
    };
    let word = match text.first() {
        Some(Token::Word(word)) => word.as_str(),
        _ => "",
    };
    match first {
        Item::Word(known) => word == known && begins(rest, &text[1..]),
        Item::Prefix(known) => !word.is_empty() && word.starts_with(known) && begins(rest, &text[1..]),
        Item::Class(phrases) => phrases.iter().any(|phrase| {
            let is_here = phrase.len() <= text.len()
                && phrase
                    .iter()
                    .zip(text)
                    .all(|(known, token)| matches!(token, Token::Word(word) if word == known));
            is_here && begins(rest, &text[phrase.len()..])
        }),
        Item::Gap => gap(rest, text, GAP, |token| *token != Token::Stop),
        Item::Name => gap(rest, text, NAME_GAP, |token| match token {
            Token::Word(word) => !VERBS.contains(&word.as_str()),
            _ => false,
        }),
    }
}

/// True when after at most `limit` tokens that may be passed over the text begins with `rest`.
fn gap(rest: &[Item], text: &[Token], limit: usize, may_pass: impl Fn(&Token) -> bool) -> bool {
    let passed = text
        .iter()
        .take(limit)
        .take_while(|token| may_pass(token))
        .count();
    (0..=passed).any(|count| begins(rest, &text[count..]))
}

/// The file, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    classes: HashMap<String, Vec<String>>,
    rules: Vec<RuleText>,
    silent: Silent,
    providers: HashMap<String, ProviderText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderText {
    billing: Option<String>,
    #[serde(default)]
    marks: Vec<String>,
    #[serde(default)]
    rules: Vec<RuleText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    kind: ErrorKind,
    #[serde(default)]
    rolling: bool,
    #[serde(default)]
    status: Vec<String>,
    #[serde(default)]
    code: Vec<String>,
    #[serde(default)]
    param: Vec<String>,
    #[serde(default)]
    message: Vec<String>,
    #[serde(default)]
    unless: Vec<String>,
}

impl Table {
    fn parse(json: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let classes = &file.classes;
        let rules = |texts: Vec<RuleText>| {
            texts
                .into_iter()
                .map(|text| text.compile(classes))
                .collect::<Result<Vec<_>, _>>()
        };
        let mut providers = HashMap::new();
        for (name, own) in file.providers {
            let own = OwnRules {
                billing: own.billing,
                marks: own.marks,
                rules: rules(own.rules).map_err(|error: String| format!("{name}: {error}"))?,
            };
            providers.insert(name, own);
        }
        let mut silent = file.silent;
        for code in &mut silent.codes {
            *code = squeeze(code);
        }
        Ok(Self {
            rules: rules(file.rules)?,
            providers,
            silent,
        })
    }
}

impl RuleText {
    fn compile(self, classes: &HashMap<String, Vec<String>>) -> Result<Rule, String> {
        let patterns = |texts: &[String]| {
            texts
                .iter()
                .map(|text| compile(text, classes))
                .collect::<Result<Vec<_>, String>>()
        };
        Ok(Rule {
            kind: self.kind,
            is_rolling: self.rolling,
            statuses: self.status,
            codes: self.code.iter().map(|code| squeeze(code)).collect(),
            params: self.param,
            patterns: patterns(&self.message)?,
            unless: patterns(&self.unless)?,
        })
    }
}

fn words_of(text: &str) -> Vec<String> {
    let words = normalise(text).into_iter().filter_map(|token| match token {
        Token::Word(word) => Some(word),
        _ => None,
    });
    words.collect()
}

fn compile(text: &str, classes: &HashMap<String, Vec<String>>) -> Result<Pattern, String> {
    let mut items = Vec::new();
    for part in text.split_whitespace() {
        if part == ".." {
            items.push(Item::Gap);
        } else if part == "~" {
            items.push(Item::Name);
        } else if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            let phrases = classes.get(name).ok_or_else(|| format!("no class '{name}'"))?;
            items.push(Item::Class(
                phrases.iter().map(|phrase| words_of(phrase)).collect(),
            ));
        } else if let Some(start) = part.strip_suffix('*') {
            items.push(Item::Prefix(start.to_owned()));
        } else {
            items.extend(words_of(part).into_iter().map(Item::Word));
        }
    }
    if items.is_empty() {
        return Err(format!("an empty pattern: '{text}'"));
    }
    Ok(Pattern(items))
}

#[cfg(test)]
mod tests {
    use super::{Table, Text, compile, normalise};
    use std::collections::HashMap;

    #[test]
    fn the_table_is_read() {
        let table = Table::parse(include_str!("../../provider/refusals.json")).unwrap();
        assert!(!table.rules.is_empty());
        for name in table.providers.keys() {
            assert!(crate::provider::named(name).is_some(), "no provider '{name}'");
        }
    }

    #[test]
    fn a_pattern_is_found_within_one_sentence() {
        let classes = HashMap::from([(
            "gone".to_owned(),
            vec!["not found".to_owned(), "does not exist".to_owned()],
        )]);
        for (pattern, text, is_found) in [
            ("model ~ {gone}", "The model `a/b-1.5` does not exist.", true),
            ("model ~ {gone}", "model 'x' not found, try another", true),
            ("model ~ {gone}", "This model doesn't exist", true),
            (
                "model ~ {gone}",
                "This model supports no images: image not found",
                false,
            ),
            ("model ~ {gone}", "not for this model. Image not found", false),
            ("model ~ {gone}", "For this model, tools not found", false),
            ("a .. z", "a, b, c z", true),
            ("a .. z", "a. z", false),
            ("inappropriat* content", "Inappropriate content", true),
            ("can not", "You can't; or cannot", true),
            ("余额不足", "您的余额不足,请充值", true),
            ("余额 .. 不足", "余额(元)不足", true),
            ("v1.5", "not in v1.5.", true),
            ("the token", "The 'token' is missing", true),
            ("requests per day", "100 requests / Day", true),
            ("read write", "read/write", true),
        ] {
            let pattern = compile(pattern, &classes).unwrap();
            assert_eq!(
                pattern.is_in(&Text::new(&normalise(text))),
                is_found,
                "{pattern:?} {text}"
            );
        }
    }
}
