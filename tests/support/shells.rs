//! The real shells, each with the idioms by which it evaluates what `qwen-env` prints.

use std::path::PathBuf;

use super::peers;

/// A way to start a shell and let it evaluate.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// What the test's messages call it.
    pub name: &'static str,
    /// The program and its arguments up to the script.
    pub command: &'static [&'static str],
    /// What `--shell` is given.
    pub dialect: &'static str,
    /// What runs before the evaluation: options that make it harder.
    pub prelude: &'static str,
    /// The evaluations; `@` stands for the call of `qwen-env`.
    pub idioms: &'static [&'static str],
}

const EVAL: &[&str] = &["eval $(@)", "eval \"$(@)\""];

const fn posix(
    name: &'static str,
    command: &'static [&'static str],
    dialect: &'static str,
    prelude: &'static str,
) -> Mode {
    Mode {
        name,
        command,
        dialect,
        prelude,
        idioms: EVAL,
    }
}

const fn other(
    name: &'static str,
    command: &'static [&'static str],
    dialect: &'static str,
    idioms: &'static [&'static str],
) -> Mode {
    Mode {
        name,
        command,
        dialect,
        prelude: "",
        idioms,
    }
}

/// Every shell that has `eval`, in the modes that make word splitting and patterns differ.
pub const POSIX: &[Mode] = &[
    posix("bash", &["bash", "-c"], "bash", ""),
    posix("bash posix", &["bash", "--posix", "-c"], "bash", ""),
    posix("bash nullglob", &["bash", "-c"], "bash", "shopt -s nullglob"),
    posix("bash failglob", &["bash", "-c"], "bash", "shopt -s failglob"),
    posix(
        "bash extglob",
        &["bash", "-c"],
        "bash",
        "shopt -s extglob dotglob globstar nocaseglob",
    ),
    posix("zsh", &["zsh", "-f", "-c"], "zsh", ""),
    posix("zsh sh", &["zsh", "--emulate", "sh", "-f", "-c"], "zsh", ""),
    posix(
        "zsh globsubst",
        &["zsh", "-f", "-c"],
        "zsh",
        "setopt globsubst shwordsplit",
    ),
    posix(
        "zsh extended",
        &["zsh", "-f", "-c"],
        "zsh",
        "setopt globsubst shwordsplit extendedglob rcquotes kshglob",
    ),
    posix("dash", &["dash", "-c"], "dash", ""),
    posix("ksh93", &["ksh93", "-c"], "ksh", ""),
    posix("mksh", &["mksh", "-c"], "mksh", ""),
    posix("busybox ash", &["busybox", "ash", "-c"], "busybox", ""),
    posix("yash", &["yash", "-c"], "yash", ""),
    posix("posh", &["posh", "-c"], "posh", ""),
];

/// The same shells when nobody knows which they are.
pub const UNKNOWN: &[Mode] = &[
    posix("sh in bash", &["bash", "-c"], "sh", ""),
    posix("sh in bash failglob", &["bash", "-c"], "sh", "shopt -s failglob"),
    posix("sh in zsh", &["zsh", "-f", "-c"], "sh", ""),
    posix("sh in zsh sh", &["zsh", "--emulate", "sh", "-f", "-c"], "sh", ""),
    posix("sh in dash", &["dash", "-c"], "sh", ""),
    posix("sh in ksh93", &["ksh93", "-c"], "sh", ""),
    posix("sh in mksh", &["mksh", "-c"], "sh", ""),
    posix("sh in busybox ash", &["busybox", "ash", "-c"], "sh", ""),
    posix("sh in yash", &["yash", "-c"], "sh", ""),
    posix("sh in posh", &["posh", "-c"], "sh", ""),
];

/// The shells with a grammar of their own.
pub const OTHERS: &[Mode] = &[
    other(
        "fish",
        &["fish", "-N", "-c"],
        "fish",
        &["@ | source", "eval (@)", "eval (@ | string collect)"],
    ),
    other(
        "tcsh",
        &["tcsh", "-f", "-c"],
        "tcsh",
        &["eval `@`", "eval \"`@`\""],
    ),
    other(
        "csh",
        &["bsd-csh", "-f", "-c"],
        "csh",
        &["eval `@`", "eval \"`@`\""],
    ),
    other(
        "elvish",
        &["elvish", "-norc", "-c"],
        "elvish",
        &["eval (@ | slurp)"],
    ),
    other("xonsh", &["xonsh", "--no-rc", "-c"], "xonsh", &["execx($(@))"]),
    other("nu", &["nu", "-n", "-c"], "nu", &["@ | from json | load-env"]),
];

impl Mode {
    /// The shell's program; `None`, said loudly, when it is not installed.
    pub fn program(&self) -> Option<PathBuf> {
        let name = self.command[0];
        let found = if name == "nu" {
            let nu = peers::directory().join("nu/node_modules/@nushell/linux-x64/bin/nu");
            Some(nu).filter(|nu| nu.is_file())
        } else {
            peers::command(name)
        };
        peers::present(name, found.is_some());
        found
    }

    /// A script: the prelude, the evaluation, then `last`.
    pub fn script(&self, idiom: &str, call: &str, last: &str) -> String {
        let evaluation = idiom.replace('@', call);
        let parts = [self.prelude, &evaluation, last];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join("\n")
    }
}
