//! Values and file names that try to become something else in a shell.

use std::fs;
use std::path::Path;

use super::random::Random;

/// File names that run a command, or change a variable, where a shell takes one for words of its own.
const FILES: &[&str] = &[
    ";touch PWNED;",
    "$(touch PWNED)",
    "`touch PWNED`",
    "|touch PWNED",
    "&&touch PWNED&&",
    "\ntouch PWNED\n",
    "';touch PWNED;'",
    "\";touch PWNED;\"",
    "V1=pwned",
    "V1",
    "V2='pwned'",
    "export V3=pwned",
    "K=*",
    "a",
    "b",
    "ab",
    "x y",
    "*",
    "?",
    "[ab]",
    "~",
    "-n",
    "-e",
    "#",
    "\\",
    "$'\\052'",
    "{a,b}",
    "=",
    ".hidden",
    "'",
    "\"",
    "``",
    "\u{e9}",
    "export",
    "set",
    "unset",
    "false",
    "export K=x",
    "setenv",
    "\t",
    " ",
    "  ",
];

/// Fills a directory with files of such names.
pub fn fill(directory: &Path) {
    for name in FILES {
        fs::write(directory.join(name), "touch PWNED\n").unwrap();
    }
}

/// True when a command hidden in a file name or a value was run.
pub fn is_pwned(directory: &Path) -> bool {
    directory.join("PWNED").exists()
}

const PIECES: &[&str] = &[
    "*",
    "?",
    "[ab]",
    "[!a]*",
    "**/",
    "a",
    "b",
    "ab",
    "V1",
    "x y",
    " ",
    "  ",
    "   ",
    "\t",
    "\n",
    "\n\n",
    "\r",
    "\r\n",
    "\u{b}",
    "\u{c}",
    "\\",
    "\\\\",
    "\\n",
    "\\t",
    "\\052",
    "\\x41",
    "\\c",
    "\\0",
    "'",
    "''",
    "\"",
    "\"\"",
    "`",
    "$",
    "$$",
    "$HOME",
    "${HOME}",
    "$(touch PWNED)",
    "`touch PWNED`",
    ";touch PWNED;",
    "|touch PWNED",
    "&touch PWNED&",
    "\ntouch PWNED\n",
    ">PWNED",
    "<(touch PWNED)",
    "';touch PWNED;'",
    "\";touch PWNED;\"",
    "$'\\n'",
    "!",
    "!!",
    "!touch",
    "!$",
    "^a^b",
    "~",
    "~root",
    "~/x",
    ":~",
    "=ls",
    "==",
    "%1",
    "%s",
    "%n",
    "-e",
    "--",
    "-",
    "+",
    "@",
    "@(a|b)",
    "+(a)",
    "!(a)",
    "{a,b}",
    "{1..3}",
    "{",
    "}",
    "(",
    ")",
    "<1-9>",
    "(#i)a",
    "#",
    "# c",
    "a#",
    ",",
    ":",
    ";",
    "/",
    "//",
    "/*",
    "*/",
    ".",
    "..",
    "./*",
    "\u{1}",
    "\u{7}",
    "\u{8}",
    "\u{1b}[31m",
    "\u{7f}",
    "\u{80}",
    "\u{85}",
    "\u{9b}",
    "\u{a0}",
    "\u{e9}",
    "\u{2028}",
    "\u{3000}",
    "\u{feff}",
    "\u{fffd}",
    "\u{ffff}",
    "🎉",
    "漢字",
    "e\u{301}",
    "\u{202e}",
    "0",
    "1",
    "077",
    "true",
    "export",
    "unset V1",
    "eval",
    "EOF",
    "<<EOF",
    "http://u:p@h/?a=b&c=d#e",
    "{\"a\": \"b\\n\"}",
    "key",
];

/// One hostile value that a `.env` file can hold.
pub fn value(random: &mut Random) -> String {
    loop {
        let mut value = String::new();
        for _ in 0..=random.below(7) {
            match random.below(12) {
                0 => value.push(char::from(random.byte() & 0x7f)),
                1 => value.extend(char::from_u32((random.next() % 0x11_0000) as u32)),
                _ => value.push_str(random.pick::<&str>(PIECES)),
            }
        }
        if !value.contains('\0') && super::quote::dotenv_line("V", &value).is_some() {
            return value;
        }
    }
}

/// Values by the hundred: every character of ASCII by itself and between others first, then hostile ones.
pub fn values(random: &mut Random, count: usize) -> Vec<String> {
    let alone = (1..=127u8).map(|byte| char::from(byte).to_string());
    let between = (1..=127u8).map(|byte| format!("a{0}b{0}{0} ", char::from(byte)));
    let mut values: Vec<String> = alone
        .chain(between)
        .chain([String::new()])
        .filter(|value| super::quote::dotenv_line("V", value).is_some())
        .collect();
    while values.len() < count {
        values.push(value(random));
    }
    values
}
