//! Which variables each shell can hold.

use std::fmt;

use super::csh;
use super::names::Shell;
use crate::wordlist::words;

/// Why a shell cannot hold a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// The name is not a letter or `_`, followed by letters, digits and `_`.
    Name,
    /// The shell reserves the name.
    Reserved,
    /// The shell cannot hold a line end.
    LineEnd,
    /// The shell drops a variable with an empty value.
    Empty,
    /// The shell holds shorter values only.
    Length,
    /// The shell knows no difference in case, and has another variable of that name.
    Case,
    /// The shell takes the value for a list of paths, and expands `~` and `$` in it.
    Expands,
    /// In a locale without UTF-8 the shell holds ASCII only.
    Locale,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "such a name cannot be a shell variable",
            Self::Reserved => "the shell reserves that name",
            Self::LineEnd => "the shell cannot hold a line end",
            Self::Empty => "the shell cannot hold an empty value",
            Self::Length => "the shell cannot hold so long a value",
            Self::Case => "the shell takes it for another variable that differs in case only",
            Self::Expands => "the shell would expand '~' and '$' in a list of paths",
            Self::Locale => "the shell holds only ASCII in this locale",
        })
    }
}

impl Shell {
    /// Returns why this shell cannot hold a variable; `None` when it can. `utf8`: the locale is UTF-8.
    #[must_use]
    pub fn unsupported(self, name: &str, value: &str, utf8: bool) -> Option<Unsupported> {
        if !is_shell_name(name) {
            return Some(Unsupported::Name);
        }
        if self.reserves(name) {
            return Some(Unsupported::Reserved);
        }
        if value.len() > self.longest_value() {
            return Some(Unsupported::Length);
        }
        match self {
            Self::Yash | Self::Tcsh | Self::Xonsh if !utf8 && !value.is_ascii() => Some(Unsupported::Locale),
            Self::Csh if value.contains(['\n', '\r']) => Some(Unsupported::LineEnd),
            Self::Pwsh if value.is_empty() => Some(Unsupported::Empty),
            Self::Xonsh if name.ends_with("PATH") || name.ends_with("DIRS") => {
                value.contains(['~', '$']).then_some(Unsupported::Expands)
            }
            _ => None,
        }
    }

    /// Returns whether this shell reserves a name: setting or unsetting it would change the shell, or fail. For a POSIX
    /// shell that is not known: whether any of them reserves it.
    #[must_use]
    pub fn reserves(self, name: &str) -> bool {
        let lists: &[&[&str]] = match self {
            Self::Sh => &[BASH, DASH, KSH, MKSH, POSH],
            Self::Dash => &[DASH],
            Self::Bash => &[BASH],
            Self::Zsh => &[ZSH],
            Self::Ksh => &[KSH],
            Self::Mksh => &[MKSH],
            Self::Posh => &[POSH],
            Self::Fish => &[FISH],
            Self::Xonsh if name.starts_with("XONSH_") => return true,
            Self::Xonsh => &[XONSH],
            // Nushell knows one search path, whatever the case of its name.
            Self::Nu if name.eq_ignore_ascii_case("PATH") && name != "PATH" => return true,
            Self::Nu => &[NU],
            Self::Busybox | Self::Yash | Self::Tcsh | Self::Csh | Self::Elvish | Self::Pwsh => &[],
        };
        lists.iter().any(|list| list.contains(&name))
    }

    /// Returns whether names that differ in case only are different variables.
    #[must_use]
    pub const fn is_case_sensitive(self) -> bool {
        !matches!(self, Self::Nu)
    }

    /// Returns the length in bytes of the longest value that this shell can hold, apart from the kernel's limit.
    #[must_use]
    pub const fn longest_value(self) -> usize {
        match self {
            Self::Csh => csh::LONGEST,
            _ => usize::MAX,
        }
    }
}

/// True for a name that any shell can export.
#[must_use]
pub fn is_shell_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

const BASH: &[&str] = words!(
    "BASHOPTS BASHPID BASH_ALIASES BASH_ARGC BASH_ARGV BASH_ARGV0 BASH_CMDS BASH_COMMAND BASH_COMPAT BASH_LINENO \
    BASH_SOURCE BASH_SUBSHELL BASH_VERSINFO BASH_XTRACEFD DIRSTACK EPOCHREALTIME EPOCHSECONDS EUID FUNCNAME GROUPS \
    HISTCMD LINENO OPTIND PIPESTATUS PPID RANDOM SECONDS SHELLOPTS SHLVL SRANDOM UID _"
);

/// Setting a read-only name ends the evaluation, also an array's; `UID` and its like change the user ID.
const ZSH: &[&str] = words!(
    "ARGC ARGV0 COLUMNS EGID EPOCHREALTIME EPOCHSECONDS ERRNO EUID FUNCNEST GID HISTCMD HISTSIZE \
    KEYBOARD_HACK KEYTIMEOUT LINENO LINES LISTMAX LOGCHECK MAILCHECK OPTIND PPID RANDOM SAVEHIST SECONDS SHLVL \
    TRY_BLOCK_ERROR TRY_BLOCK_INTERRUPT TTYIDLE UID USERNAME WATCH ZLE_RPROMPT_INDENT ZSH_EVAL_CONTEXT ZSH_SUBSHELL \
    _ aliases argv builtins cdpath chpwd_functions commands dirstack dis_aliases dis_builtins dis_functions \
    dis_functions_source dis_galiases dis_patchars dis_reswords dis_saliases epochtime errnos fignore fpath \
    funcfiletrace funcsourcetrace funcstack functions functions_source functrace galiases history historywords \
    jobdirs jobstates jobtexts keymaps langinfo mailpath manpath mapfile module_path modules nameddirs options \
    parameters patchars path pipestatus precmd_functions preexec_functions psvar reswords saliases signals status \
    sysparams termcap terminfo userdirs usergroups watch widgets zle_bracketed_paste zsh_eval_context \
    zsh_scheduled_events"
);

const DASH: &[&str] = words!("OPTIND");

const KSH: &[&str] =
    words!("HISTCMD JOBMAX KSH_VERSION LINENO MAILCHECK OPTIND PPID RANDOM SECONDS SHLVL TMOUT _");

const MKSH: &[&str] = words!(
    "BASHPID COLUMNS HISTSIZE KSHEGID KSHGID KSHUID KSH_VERSION LINENO LINES OPTIND PGRP PIPESTATUS \
    PPID RANDOM SECONDS TMOUT USER_ID _"
);

const POSH: &[&str] = words!("LINENO OPTIND POSH_VERSION");

const FISH: &[&str] = words!(
    "FISH_VERSION PWD SHLVL _ fish_kill_signal fish_killring fish_pid fish_trace history hostname \
    pipestatus status status_generation umask version"
);

/// Names whose values xonsh does not keep as text.
const XONSH: &[&str] = words!(
    "ALIAS_COMPLETIONS_OPTIONS_BY_DEFAULT ALIAS_COMPLETIONS_OPTIONS_LONGEST \
    ASYNC_INVALIDATE_INTERVAL ASYNC_PROMPT_THREAD_WORKERS AUTO_CD AUTO_CONTINUE AUTO_PUSHD AUTO_SUGGEST \
    AUTO_SUGGEST_IN_COMPLETIONS CASE_SENSITIVE_COMPLETIONS CMD_COMPLETIONS_SHOW_DESC COLOR_INPUT COLOR_RESULTS \
    COMMANDS_CACHE_SAVE_INTERMEDIATE COMPLETIONS_BRACKETS COMPLETIONS_CONFIRM COMPLETIONS_DISPLAY \
    COMPLETIONS_MENU_ROWS COMPLETION_IN_THREAD COMPLETION_MODE COMPLETION_QUERY_LIMIT DIRSTACK_SIZE DOTGLOB \
    DYNAMIC_CWD_WIDTH ENABLE_ASYNC_PROMPT EXPAND_ENV_VARS FORCE_POSIX_PATHS FOREIGN_ALIASES_OVERRIDE \
    FOREIGN_ALIASES_SUPPRESS_SKIP_MESSAGE FUZZY_PATH_COMPLETION GLOB_SORTED IGNOREEOF INTENSIFY_COLORS_ON_WIN \
    LAST_RETURN_CODE LS_COLORS MOUSE_SUPPORT PATHEXT PRETTY_PRINT_RESULTS PROMPT_FIELDS PROMPT_REFRESH_INTERVAL \
    PROMPT_TOKENS_FORMATTER PROMPT_TOOLKIT_COLOR_DEPTH PTK_STYLE_OVERRIDES PUSHD_MINUS PUSHD_SILENT \
    RAISE_SUBPROC_ERROR SHLVL SUBSEQUENCE_PATH_COMPLETION SUGGEST_COMMANDS SUGGEST_MAX_NUM SUGGEST_THRESHOLD \
    SUPPRESS_BRANCH_TIMEOUT_MESSAGE THREAD_SUBPROCS UPDATE_COMPLETIONS_ON_KEYPRESS UPDATE_OS_ENVIRON \
    UPDATE_PROMPT_ON_KEYPRESS VC_BRANCH_TIMEOUT VC_GIT_INCLUDE_UNTRACKED VC_HG_SHOW_BRANCH VI_MODE"
);

const NU: &[&str] = words!("CURRENT_FILE ENV_CONVERSIONS FILE_PWD PWD");
