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

/// Names that some shell treats as its own.
pub const SPECIAL: &str = "_ A ARGC ARGV0 BASHOPTS BASHPID BASH_ALIASES BASH_ARGC BASH_ARGV BASH_ARGV0 BASH_CMDS BASH_COMMAND \
    BASH_COMPAT BASH_LINENO BASH_REMATCH BASH_SOURCE BASH_SUBSHELL BASH_VERSINFO BASH_VERSION BASH_XTRACEFD CDPATH COLUMNS \
    COMP_WORDS CURRENT CURRENT_FILE DIRSTACK EGID ENV ENV_CONVERSIONS EPOCHREALTIME EPOCHSECONDS ERRNO EUID FCEDIT FIGNORE \
    FILE_PWD FISH_VERSION FPATH FUNCNAME FUNCNEST GID GROUPS HISTCMD HISTFILE HISTSIZE HOST HOSTTYPE JOBMAX KEYTIMEOUT KSHUID \
    KSH_VERSION LINENO LINES LISTMAX LOGCHECK LOGNAME LS_COLORS MACHTYPE MAIL MAILCHECK MAILPATH MANPATH MAPFILE \
    MODULE_PATH NULLCMD OLDPWD OPTARG OPTERR OPTIND OSTYPE PGRP PIPESTATUS POSIXLY_CORRECT PPID PROMPT PROMPT_COMMAND PS1 PS2 \
    PS3 PS4 PWD RANDOM REPLY RPROMPT SAVEHIST SECONDS SHELL SHELLOPTS SHLVL SRANDOM TERM TMOUT TTY TTYIDLE UID USER \
    USERNAME USER_ID VENDOR VI_MODE WATCH XONSH_DEBUG ZDOTDIR ZSH_NAME ZSH_SUBSHELL ZSH_VERSION aliases argv builtins \
    cdpath command commands cwd dirstack export false fish_pid fpath functions galiases history home hostname if \
    jobstates killring manpath module_path modules options parameters path pipestatus prompt psvar saliases signals \
    status status_generation term umask unset user userdirs version watch widgets ZZZ_LAST";
