//! Emphasis beside Chinese, Japanese and Korean text (commonmark/commonmark-spec#650).
//!
//! CommonMark wants a blank or a punctuation mark outside of emphasis that begins or ends with a punctuation mark. These
//! languages write no blanks there: `**注意：**这是` would show its asterisks. Here a character of theirs on either side is
//! enough.
//!
//! The parser knows no such rule. Before it sees the text, a mark within the emphasis is exchanged for a letter, or a letter
//! outside for a mark, of the same length, so that every place stays where it is; what comes out is changed back.

/// Letters to the parser: the beginning of a range of private use.
const LETTERS: u32 = 0xf0c0;
/// Marks to the parser: the beginning of the supplemental punctuation.
const MARKS: u32 = 0x2e00;
/// How many different characters are exchanged for letters, and for marks.
const MOST: u32 = 40;
/// The length of all that is exchanged, in bytes.
const LENGTH: usize = 3;

/// What was exchanged in a text.
#[derive(Debug, Default)]
pub(super) struct Exchanged {
    by_letters: Vec<char>,
    by_marks: Vec<char>,
}

impl Exchanged {
    /// Returns the character in whose place this one stands.
    pub(super) fn original(&self, c: char) -> char {
        let of = |first: u32, originals: &[char]| {
            let index = usize::try_from(u32::from(c).checked_sub(first)?).ok()?;
            originals.get(index).copied()
        };
        of(LETTERS, &self.by_letters)
            .or_else(|| of(MARKS, &self.by_marks))
            .unwrap_or(c)
    }

    pub(super) fn restore(&self, text: &str) -> String {
        text.chars().map(|c| self.original(c)).collect()
    }
}

/// Exchanges what is in the way of emphasis in a text.
pub(super) fn exchange(text: &mut String) -> Exchanged {
    let mut exchanged = Exchanged::default();
    if text.is_ascii() || text.chars().any(is_stand_in) {
        return exchanged;
    }
    let mut at = 0;
    while let Some(start) = text[at..].find(['*', '~']).map(|offset| at + offset) {
        let mark = if text[start..].starts_with('*') { '*' } else { '~' };
        at = text.len() - text[start..].trim_start_matches(mark).len();
        let before = text[..start].chars().next_back();
        let (Some(before), Some(after)) = (before, text[at..].chars().next()) else {
            continue;
        };
        let first = start - before.len_utf8();
        let (mark, letter) = match (is_mark(before), is_mark(after)) {
            (true, false) if !after.is_whitespace() => ((first, before), (at, after)),
            (false, true) if !before.is_whitespace() => ((at, after), (first, before)),
            _ => continue,
        };
        let stand_in = match (is_wide_mark(mark.1), is_cjk(letter.1)) {
            (true, is_beside) if is_beside || is_cjk(mark.1) => {
                stand_in(LETTERS, &mut exchanged.by_letters, mark.1).map(|letter| (mark.0, letter))
            }
            (false, true) if letter.1.len_utf8() == LENGTH => {
                stand_in(MARKS, &mut exchanged.by_marks, letter.1).map(|mark| (letter.0, mark))
            }
            _ => None,
        };
        if let Some((place, stand_in)) = stand_in {
            text.replace_range(place..place + LENGTH, stand_in.encode_utf8(&mut [0; 4]));
        }
    }
    exchanged
}

/// Returns what stands for a character; `None` where there is nothing left.
fn stand_in(first: u32, originals: &mut Vec<char>, c: char) -> Option<char> {
    let index = match originals.iter().position(|&known| known == c) {
        Some(known) => known,
        None => {
            originals.push(c);
            originals.len() - 1
        }
    };
    let index = u32::try_from(index).ok().filter(|&index| index < MOST)?;
    char::from_u32(first + index)
}

fn is_stand_in(c: char) -> bool {
    [LETTERS, MARKS]
        .iter()
        .any(|&first| (first..first + MOST).contains(&u32::from(c)))
}

fn is_mark(c: char) -> bool {
    c.is_ascii_punctuation() || is_wide_mark(c)
}

/// True for punctuation of [`LENGTH`], and for a few symbols among it.
const fn is_wide_mark(c: char) -> bool {
    matches!(c,
        '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{2e00}'..='\u{2e2e}' | '\u{3001}'..='\u{3003}'
        | '\u{3008}'..='\u{3020}' | '\u{3030}' | '\u{303d}' | '\u{30a0}' | '\u{30fb}' | '\u{fe10}'..='\u{fe19}'
        | '\u{fe30}'..='\u{fe6b}' | '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}' | '\u{ff3b}'..='\u{ff40}'
        | '\u{ff5b}'..='\u{ff65}')
}

/// True for a character of Chinese, Japanese or Korean text, its punctuation included.
const fn is_cjk(c: char) -> bool {
    matches!(c,
        '\u{1100}'..='\u{11ff}' | '\u{2e80}'..='\u{a4cf}' | '\u{a960}'..='\u{a97f}' | '\u{ac00}'..='\u{d7ff}'
        | '\u{f900}'..='\u{faff}' | '\u{fe10}'..='\u{fe1f}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff01}'..='\u{ffee}'
        | '\u{1b000}'..='\u{1b2ff}' | '\u{20000}'..='\u{3ffff}')
}
