//! Files of variables for other programs: each form is what its reader reads back, and none makes a shell that sources it
//! by mistake run anything.

use std::collections::BTreeSet;
use std::fmt;

use qwen_shared::dotenv::partners;
use qwen_shared::output::Reporter;
use qwen_shared::shell::{Shell, is_shell_name};
use qwen_shared::text::clip;

use super::notices::{LIMIT as NOTICES, LONGEST_NAME};
use super::portable;

/// A form of a file of variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnvFileForm {
    /// A `.env` file that means the same to npm `dotenv`, python-dotenv, ruby's and Go's dotenv, dotenvy, `node --env-file`
    /// and a POSIX shell.
    Dotenv,
    /// What `docker run --env-file` reads: a value is the rest of its line as it is.
    Docker,
    /// What is appended to `$GITHUB_ENV`: `NAME=VALUE`, or `NAME<<DELIMITER` before lines.
    Github,
    /// What systemd reads by `EnvironmentFile=`: words in quotes as in a POSIX shell (systemd.exec(5)).
    Systemd,
}

/// Why a form cannot hold a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The name is not a letter or `_`, followed by letters, digits and `_`.
    Name,
    /// A POSIX shell that sources the file would keep its own value.
    ShellsOwn,
    /// zsh would, or would lose what follows, its search path, or its user.
    ZshsOwn,
    /// GitHub keeps the name for itself.
    GithubsOwn,
    LineEnd,
    CarriageReturn,
    /// docker gives up at a longer line.
    Length,
    Control,
    /// UTF-8 that systemd takes for invalid.
    NonCharacter,
    /// Not even in quotes do all readers read the value alike.
    Ambiguous,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "such a name is no variable to all readers of the file",
            Self::ShellsOwn => "a shell that sources the file keeps a value of its own",
            Self::ZshsOwn => "zsh, where it sources the file, has that name for itself",
            Self::GithubsOwn => "GitHub lets no step set that name",
            Self::LineEnd => "no line of the file can hold a line end",
            Self::CarriageReturn => "a carriage return does not survive in the file",
            Self::Length => "docker reads no line longer than 65,535 bytes",
            Self::Control => "older versions of systemd drop a value with control characters",
            Self::NonCharacter => "systemd drops a value with such a character",
            Self::Ambiguous => "there is no way to write its value that all readers of .env files read alike",
        })
    }
}

/// The longest line that docker's client reads, in bytes without the line end.
const LONGEST_DOCKER_LINE: usize = 65_535;

/// In front of docker's lines, which no quotes protect: to a shell the rest of the file is a document that `false` does not
/// read, up to the last line. To docker it is the name of a variable that is not set, which it leaves out, and the last
/// line a comment.
const DOCKER_GUARD: &str = "false<<\\#\n";
const DOCKER_END: &str = "#\n";

/// Writes the file; what the form cannot hold is left out with a notice. So is what goes with it: an address without its key
/// would get another one, a key without its address would go elsewhere.
pub(crate) fn write<'v>(
    form: EnvFileForm,
    variables: impl Iterator<Item = (&'v str, &'v str)>,
    reporter: &Reporter,
) -> String {
    let entries: Vec<(&str, &str, Result<String, Refusal>)> = variables
        .map(|(name, value)| (name, value, form.entry(name, value)))
        .collect();
    let refused = entries.iter().filter(|(_, _, entry)| entry.is_err());
    let refused: BTreeSet<String> = refused.map(|(name, ..)| (*name).to_owned()).collect();
    let parted = partners(entries.iter().map(|(name, ..)| *name), &refused);
    let mut file = String::new();
    let mut is_guarded = false;
    let mut left_out: usize = 0;
    for (name, value, entry) in entries {
        let reason = match (entry, parted.get(name)) {
            (Ok(entry), None) => {
                is_guarded |= form == EnvFileForm::Docker && !(is_shell_name(name) && is_literal(value));
                file.push_str(&entry);
                continue;
            }
            (Ok(_), Some(other)) => format!("it goes with '{}'", clip(other, LONGEST_NAME)),
            (Err(refusal), _) => refusal.to_string(),
        };
        left_out += 1;
        if left_out <= NOTICES {
            reporter.notice(&format!("'{}' is left out: {reason}", clip(name, LONGEST_NAME)));
        }
    }
    if let Some(more) = left_out.checked_sub(NOTICES).filter(|&more| more > 0) {
        reporter.notice(&format!("and {more} more are left out"));
    }
    if left_out > 0 {
        reporter.hint("'--format json' and '--format null' hold every value");
    }
    if is_guarded {
        return format!("{DOCKER_GUARD}{file}{DOCKER_END}");
    }
    file
}

impl EnvFileForm {
    /// Returns the lines that give a variable a value.
    ///
    /// # Errors
    /// Why there are none.
    fn entry(self, name: &str, value: &str) -> Result<String, Refusal> {
        match self {
            Self::Dotenv => dotenv(name, value),
            Self::Docker => docker(name, value),
            Self::Github => github(name, value),
            Self::Systemd => systemd(name, value),
        }
    }
}

fn dotenv(name: &str, value: &str) -> Result<String, Refusal> {
    if !is_shell_name(name) {
        return Err(Refusal::Name);
    }
    if Shell::Sh.reserves(name) {
        return Err(Refusal::ShellsOwn);
    }
    if Shell::Zsh.reserves(name) {
        return Err(Refusal::ZshsOwn);
    }
    if value.contains(['\n', '\r']) {
        return Err(Refusal::LineEnd);
    }
    let text = portable::written(value).ok_or(Refusal::Ambiguous)?;
    Ok(format!("{name}={text}\n"))
}

fn docker(name: &str, value: &str) -> Result<String, Refusal> {
    if value.contains(['\n', '\r']) {
        return Err(Refusal::LineEnd);
    }
    if name.len() + 1 + value.len() > LONGEST_DOCKER_LINE {
        return Err(Refusal::Length);
    }
    Ok(format!("{name}={value}\n"))
}

/// Anything but the plainest value goes between lines whose delimiter is a syntax error to a shell, which so reads no
/// further.
fn github(name: &str, value: &str) -> Result<String, Refusal> {
    if !is_shell_name(name) {
        return Err(Refusal::Name);
    }
    if is_githubs(name) {
        return Err(Refusal::GithubsOwn);
    }
    if value.contains('\r') {
        return Err(Refusal::CarriageReturn);
    }
    if is_literal(value) {
        return Ok(format!("{name}={value}\n"));
    }
    let mut delimiter = ")EOF".to_owned();
    while value.lines().any(|line| line == delimiter) {
        delimiter.push('_');
    }
    Ok(format!("{name}<<{delimiter}\n{value}\n{delimiter}\n"))
}

/// True for the names that GitHub keeps, in any case: its own, and the one by which a later step of Node's would run code.
fn is_githubs(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "node_options" || name.starts_with("github_") || name.starts_with("runner_")
}

/// In double quotes, in which systemd reads escapes as a POSIX shell does, and line ends as they are.
fn systemd(name: &str, value: &str) -> Result<String, Refusal> {
    if !is_shell_name(name) {
        return Err(Refusal::Name);
    }
    if value.contains(|c: char| c.is_ascii_control() && !matches!(c, '\t' | '\n')) {
        return Err(Refusal::Control);
    }
    if value.contains(is_noncharacter) {
        return Err(Refusal::NonCharacter);
    }
    let mut text = String::with_capacity(value.len() + 2);
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            text.push('\\');
        }
        text.push(c);
    }
    Ok(format!("{name}=\"{text}\"\n"))
}

/// A code point that Unicode keeps out of texts (Unicode 16, 23.7).
const fn is_noncharacter(c: char) -> bool {
    matches!(c as u32, 0xfdd0..=0xfdef) || c as u32 & 0xfffe == 0xfffe
}

/// True for a value that a shell takes as it is behind `NAME=`.
fn is_literal(value: &str) -> bool {
    value.chars().all(portable::is_bare)
}
