//! What comes along where a key or an address is copied, and what stands in its place.

use std::borrow::Cow;
use std::fmt;

use crate::text::is_hostile;
use crate::wordlist::{first_field, line_at, line_count, line_starts};

/// How a reference to a secret begins and who resolves it, one to a line, with a tab; lines that begin with `#` are comments.
const REFERENCES: &str = include_str!("references.tsv");
static ROWS: [u32; line_count(REFERENCES)] = line_starts(REFERENCES);

/// Why a text is no key as it stands. What it says of the text shows nothing of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// A quote at its beginning or end.
    Quote,
    /// The scheme of an `Authorization` header in front.
    Scheme(&'static str),
    /// The name of a header in front.
    Header(&'static str),
    /// A command line, or an option of one.
    Command,
    /// An assignment: `NAME=VALUE`, as a shell, PowerShell or YAML has it.
    Variable,
    /// `$NAME` or `${NAME}`.
    Unexpanded,
    /// A reference into a store of secrets: how it begins, and who resolves it.
    Reference(&'static str, &'static str),
    /// What an example has between angle brackets.
    Placeholder,
    /// The address of a page.
    Address,
    /// A JSON object.
    Json,
    /// What a page or a program shows of a key, the middle left out.
    Masked,
    /// A character that nobody sees, or a dash of a word processor.
    Character(char),
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quote => {
                f.write_str("no key begins with a quote, or ends with one; give it without its quotes")
            }
            Self::Scheme(word) => write!(f, "no key begins with '{word}'; give what follows it"),
            Self::Header(name) => write!(f, "no key begins with '{name}:'; give what follows it"),
            Self::Command => f.write_str("no key is a command; give the key that stands in it"),
            Self::Variable => {
                f.write_str("no key begins with the name of a variable; give what follows the name")
            }
            Self::Unexpanded => {
                f.write_str("the key is the name of a variable, which nothing here expands; give its value")
            }
            Self::Reference(begin, resolver) => {
                write!(
                    f,
                    "the key is a reference '{begin}…' that {resolver} resolves and nothing here does"
                )
            }
            Self::Placeholder => {
                f.write_str("the key is a placeholder in '<' and '>'; put a key in its place")
            }
            Self::Address => f.write_str("the key is an address; give the key itself"),
            Self::Json => f.write_str("the key is JSON; give the key that stands in it"),
            Self::Masked => f.write_str(
                "the key is shown in part, as lists of keys show it; copy it whole, or make a new one",
            ),
            Self::Character(c) => {
                let code = u32::from(*c);
                write!(
                    f,
                    "the key holds U+{code:04X}, which no key does; copy it again from where it was made"
                )
            }
        }
    }
}

impl From<KeyFault> for Cow<'static, str> {
    fn from(fault: KeyFault) -> Self {
        fault.to_string().into()
    }
}

/// Checks that a text is a key alone, without what stands around it where it was copied.
///
/// # Errors
/// What it is that no key is.
pub fn check_key(key: &str) -> Result<(), KeyFault> {
    let quote = |is_there: bool| is_there.then_some(KeyFault::Quote);
    let fault = quote(begins_quoted(key))
        .or_else(|| header(key))
        .or_else(|| is_command(key).then_some(KeyFault::Command))
        .or_else(|| scheme(key).map(KeyFault::Scheme))
        .or_else(|| is_assignment(key).then_some(KeyFault::Variable))
        .or_else(|| quote(ends_quoted(key)))
        .or_else(|| is_unexpanded(key).then_some(KeyFault::Unexpanded))
        .or_else(|| begun_reference(key).map(|(begin, resolver)| KeyFault::Reference(begin, resolver)))
        .or_else(|| is_in_angle_brackets(key).then_some(KeyFault::Placeholder))
        .or_else(|| is_address(key).then_some(KeyFault::Address))
        .or_else(|| (key.starts_with('{') && key.contains('"')).then_some(KeyFault::Json))
        .or_else(|| is_masked(key).then_some(KeyFault::Masked))
        .or_else(|| stray_character(key).map(KeyFault::Character));
    fault.map_or(Ok(()), Err)
}

/// Why a text is no address as it stands. What it says of the text shows nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressFault {
    /// A quote at its beginning or end.
    Quote,
    /// The name of a variable in front.
    Variable,
    /// A variable by `$` in the place of the host.
    Unexpanded,
    /// A reference into a store of secrets: how it begins, and who resolves it.
    Reference(&'static str, &'static str),
    /// What an example has in braces or angle brackets.
    Placeholder,
    /// A character that nobody sees, or a dash of a word processor.
    Character(char),
}

impl fmt::Display for AddressFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quote => {
                f.write_str("no URL begins with a quote, or ends with one; give it without its quotes")
            }
            Self::Variable => {
                f.write_str("no URL begins with the name of a variable; give what follows the name")
            }
            Self::Unexpanded => {
                f.write_str("the URL names a variable by '$', which nothing here expands; give its value")
            }
            Self::Reference(begin, resolver) => {
                write!(
                    f,
                    "the URL is a reference '{begin}…' that {resolver} resolves and nothing here does"
                )
            }
            Self::Placeholder => {
                f.write_str("the URL holds a placeholder in brackets; put a value in its place")
            }
            Self::Character(c) => {
                let code = u32::from(*c);
                write!(
                    f,
                    "the URL holds U+{code:04X}, which comes along unseen; write it anew"
                )
            }
        }
    }
}

impl From<AddressFault> for Cow<'static, str> {
    fn from(fault: AddressFault) -> Self {
        fault.to_string().into()
    }
}

/// Checks that a text has nothing around or in it that no address has.
///
/// # Errors
/// What that is. A text without one may still be no address.
pub fn check_address(text: &str) -> Result<(), AddressFault> {
    let address = text.split('?').next().unwrap_or_default();
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    let fault = if begins_quoted(text) || ends_quoted(text) {
        AddressFault::Quote
    } else if is_assignment(text) {
        AddressFault::Variable
    } else if let Some((begin, resolver)) = begun_reference(text) {
        AddressFault::Reference(begin, resolver)
    } else if host.contains('$') || address.contains("${") {
        AddressFault::Unexpanded
    } else if address.contains(['{', '}', '<', '>']) {
        AddressFault::Placeholder
    } else if let Some(c) = stray_character(text) {
        AddressFault::Character(c)
    } else {
        return Ok(());
    };
    Err(fault)
}

/// The quotes of programs for texts, in whichever direction they turned them.
const TYPOGRAPHIC: [char; 10] = ['“', '”', '„', '‟', '‘', '’', '‚', '‛', '«', '»'];

fn begins_quoted(text: &str) -> bool {
    text.starts_with(['"', '\'', '`']) || text.starts_with(TYPOGRAPHIC)
}

/// A backquote at the end alone is taken for a part of the text.
fn ends_quoted(text: &str) -> bool {
    text.ends_with(['"', '\'']) || text.ends_with(TYPOGRAPHIC)
}

/// `Authorization: …` and its like.
fn header(key: &str) -> Option<KeyFault> {
    const HEADERS: [&str; 6] = [
        "Authorization",
        "Proxy-Authorization",
        "X-API-Key",
        "API-Key",
        "ApiKey",
        "X-Goog-API-Key",
    ];
    let (name, _) = key.split_once(':')?;
    let known = HEADERS
        .iter()
        .find(|known| known.eq_ignore_ascii_case(name.trim()));
    known.map(|name| KeyFault::Header(name))
}

/// The scheme in front of the one word that is the key. `Bearer` is none of a key in front of anything.
fn scheme(key: &str) -> Option<&'static str> {
    const SCHEMES: [&str; 5] = ["Bearer", "Basic", "ApiKey", "Api-Key", "Token"];
    let mut words = key.split_ascii_whitespace();
    let first = words.next().filter(|first| first.len() < key.len())?;
    let scheme = SCHEMES.iter().find(|known| known.eq_ignore_ascii_case(first))?;
    let is_alone = words.count() == 1;
    (is_alone || *scheme == "Bearer").then_some(scheme)
}

fn is_command(key: &str) -> bool {
    let mut words = key.split_ascii_whitespace();
    let first = words.next().unwrap_or_default();
    let is_option = matches!(first, "-H" | "--header") || first.starts_with("-HAuth");
    words.next().is_some() && (is_option || matches!(first, "curl" | "curl.exe" | "wget" | "http" | "$"))
}

/// `NAME=VALUE` with an upper-case name that has a `_`, and the same as other languages write it. `=` and nothing is base64's.
fn is_assignment(key: &str) -> bool {
    const WORDS: [&str; 5] = ["export ", "set ", "setx ", "setenv ", "$env:"];
    let lower = key.to_ascii_lowercase();
    let word = WORDS.iter().find(|&&word| lower.starts_with(word));
    let text = key[word.map_or(0, |word| word.len())..].trim_start();
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    let is_name = name.contains('_') && !name.contains(|c: char| c.is_ascii_lowercase());
    let value = match (rest.trim_start().strip_prefix('='), rest.strip_prefix(": ")) {
        (Some(value), _) | (None, Some(value)) => value,
        (None, None) if matches!(word, Some(&"setx " | &"setenv ")) => rest,
        (None, None) => return false,
    };
    is_name && !value.trim_matches(['=', ' ']).is_empty()
}

/// `$NAME` or `${NAME}` as a whole.
fn is_unexpanded(key: &str) -> bool {
    let Some(name) = key.strip_prefix('$') else {
        return false;
    };
    let inner = name.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let name = inner.unwrap_or(name);
    name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

fn is_in_angle_brackets(key: &str) -> bool {
    let inner = key.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    inner.is_some_and(|inner| inner.contains(|c: char| c.is_alphabetic()))
}

fn is_address(key: &str) -> bool {
    let scheme = key.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        ["http", "https"]
            .iter()
            .any(|web| web.eq_ignore_ascii_case(scheme))
    })
}

/// True where something stands around a gap: dots alone are what a server of one's own is given, which needs no key. Two dots
/// may stand in a token: a part of an encrypted one may be empty (RFC 7516, section 7.1).
fn is_masked(key: &str) -> bool {
    let has_gap = ["***", "...", "…", "••"].iter().any(|gap| key.contains(gap));
    has_gap && key.contains(char::is_alphanumeric)
}

/// Returns the first character that comes along unseen from a page or a chat, or a dash that a program for texts made of a
/// hyphen.
#[must_use]
pub fn stray_character(text: &str) -> Option<char> {
    let is_dash = |c: char| matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}');
    text.chars()
        .find(|&c| !c.is_ascii() && (is_dash(c) || c.is_whitespace() || is_hostile(c)))
}

/// Returns the reference into a store of secrets that a text begins with: how it begins, and who resolves it.
#[must_use]
pub fn begun_reference(text: &str) -> Option<(&'static str, &'static str)> {
    let is_begun = |&&row: &&u32| {
        let mut begin = first_field(REFERENCES, row).peekable();
        let mut bytes = text.bytes();
        begin.peek().is_some_and(|&first| first != b'#')
            && begin.all(|wanted| {
                bytes
                    .next()
                    .is_some_and(|byte| byte.eq_ignore_ascii_case(&wanted))
            })
    };
    line_at(REFERENCES, *ROWS.iter().find(is_begun)?).split_once('\t')
}

#[cfg(test)]
mod tests {
    use super::{AddressFault, KeyFault, check_address, check_key};

    #[test]
    fn a_key_is_taken_whatever_it_looks_like() {
        for key in [
            "sk-proj-aB_9==",
            "bearer",
            "BearerOf-1",
            "abc=def",
            "AIzaSy=x",
            "c2VjcmV0X2tleQ==",
            "A_B=",
            "A_B= ",
            "gsk_x",
            "A_B: ",
            "user:pass",
            "token of my house",
            "curl",
            "$2b$12$abc",
            "$ecret",
            "<>",
            "<1>",
            "my key",
            "ü",
            "set",
            "none",
            "$HOME;`id`",
            "eyJh.eyJ..zdWI.x",
            "a**b",
            "...",
            "***",
            "{1}",
            "https",
        ] {
            assert_eq!(check_key(key), Ok(()), "{key}");
        }
    }

    #[test]
    fn what_stood_around_a_key_is_named() {
        use KeyFault::{
            Address, Character, Command, Header, Json, Masked, Placeholder, Quote, Scheme, Unexpanded,
            Variable,
        };
        for (key, fault) in [
            ("\"sk-1\"", Quote),
            ("'sk-1'", Quote),
            ("`sk-1`", Quote),
            ("\"", Quote),
            ("sk-1\"", Quote),
            ("“sk-1”", Quote),
            ("«sk-1»", Quote),
            ("’sk-1", Quote),
            ("Bearer sk-1", Scheme("Bearer")),
            ("bearer\tsk-1", Scheme("Bearer")),
            ("Basic dXNlcjpwYXNz", Scheme("Basic")),
            ("apikey sk-1", Scheme("ApiKey")),
            ("Authorization: Bearer sk-1", Header("Authorization")),
            ("x-api-key:sk-1", Header("X-API-Key")),
            ("-H 'Authorization: Bearer sk-1'", Command),
            ("curl https://h.example -u sk-1", Command),
            ("OPENAI_API_KEY=sk-1", Variable),
            ("OPENAI_API_KEY=\"sk-1\"", Variable),
            ("OPENAI_API_KEY = sk-1", Variable),
            ("OPENAI_API_KEY: sk-1", Variable),
            ("export MY_KEY=sk-1", Variable),
            ("$env:OPENAI_API_KEY = sk-1", Variable),
            ("set OPENAI_API_KEY=sk-1", Variable),
            ("setx OPENAI_API_KEY sk-1", Variable),
            ("${OTHER_KEY}", Unexpanded),
            ("$OTHER_KEY", Unexpanded),
            ("<your key>", Placeholder),
            ("https://platform.example/api-keys", Address),
            ("HTTP://h.example", Address),
            ("{\"api_key\": \"sk-1\"}", Json),
            ("sk-***89", Masked),
            ("sk-...AbCd", Masked),
            ("sk-1…89", Masked),
            ("••••••••AbCd", Masked),
            ("sk-\u{200b}1", Character('\u{200b}')),
            ("sk-1\u{a0}", Character('\u{a0}')),
            ("\u{feff}sk-1", Character('\u{feff}')),
            ("sk\u{2013}1", Character('\u{2013}')),
        ] {
            assert_eq!(check_key(key), Err(fault), "{key}");
            assert!(!fault.to_string().contains("sk-1"), "{fault}");
        }
        let reference = check_key("op://vault/item/field");
        assert_eq!(reference, Err(KeyFault::Reference("op://", "1Password")));
    }

    #[test]
    fn what_stood_around_an_address_or_in_its_place_is_named() {
        use AddressFault::{Character, Placeholder, Quote, Reference, Unexpanded, Variable};
        for (text, fault) in [
            ("\"https://h.example/v1\"", Quote),
            ("https://h.example/v1\"", Quote),
            ("OPENAI_BASE_URL=https://h.example/v1", Variable),
            ("op://v/i/url", Reference("op://", "1Password")),
            ("https://$GATEWAY/v1", Unexpanded),
            ("$GATEWAY/v1", Unexpanded),
            ("https://h.example/${VERSION}", Unexpanded),
            ("https://{resource}.openai.azure.com", Placeholder),
            ("https://<resource>.openai.azure.com", Placeholder),
            ("https://h.example/v1/{account_id}/openai", Placeholder),
            ("https://h.example/v1\u{200b}", Character('\u{200b}')),
            ("https://my\u{2013}host.example/v1", Character('\u{2013}')),
        ] {
            assert_eq!(check_address(text), Err(fault), "{text}");
        }
        for text in [
            "https://h.example/v1",
            "http://[::1]:8080/v1?a={b}",
            "https://b\u{fc}cher.example/$x",
            "h.example",
            "",
        ] {
            assert_eq!(check_address(text), Ok(()), "{text}");
        }
    }
}
