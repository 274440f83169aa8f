//! `--hook`: code that re-evaluates at the prompt.
//!
//! At every prompt it starts this program once, with `--at-prompt`: that looks at the files from outside and prints
//! nothing while they are as they were, never asks, and says what there is to say once.
//!
//! The code for bash and zsh is as safe in an unquoted eval as the statements are: no pattern characters, no comments,
//! no blanks side by side, and it means the same on one line.

use std::env;
use std::path::PathBuf;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::process;
use qwen_shared::shell::Shell;

use super::args::Args;

/// Appended to `PROMPT_COMMAND`, where the status of the last command is left as it was (`\077` is `?`), unless a command
/// that fails would end the shell (`set -e`). The function is called by its own name, where a variable says that it is
/// there. The variable is not exported, as the function is not: a shell that inherits `PROMPT_COMMAND` has neither, and
/// does nothing.
const BASH: &str = "\
function _qwen_env_hook { eval $'local _qwen_env_status=$\\077'; eval \"$(@)\" || true; \
test -o errexit || return $_qwen_env_status; };
_qwen_env_hook=_qwen_env_hook;
PROMPT_COMMAND=${PROMPT_COMMAND-};
test \"${PROMPT_COMMAND/_qwen_env_hook}\" != \"$PROMPT_COMMAND\" || \
PROMPT_COMMAND+=$'\\n''${_qwen_env_hook+\"_qwen_env_hook\"}';
";

/// At a change of directory too, for a command that follows on the same line.
const ZSH: &str = "\
function _qwen_env_hook { eval \"$(@)\" || true; };
autoload -Uz add-zsh-hook;
add-zsh-hook chpwd _qwen_env_hook;
add-zsh-hook precmd _qwen_env_hook;
_qwen_env_hook;
";

const FISH: &str = "\
function _qwen_env_hook --on-variable PWD --on-event fish_prompt --description 'Re-evaluate qwen-env at the prompt'
    if status is-command-substitution; return; end
    @ | source
end
_qwen_env_hook
";

/// A shell that is not interactive has no `edit:`, and would refuse the code that names it.
const ELVISH: &str = "\
var qwen-env-hook~ = { try { eval (@ | slurp) } catch e { nop } }
set after-chdir = (conj $after-chdir {|_| qwen-env-hook })
try { eval 'set edit:before-readline = (conj $edit:before-readline $f~)' &ns=(ns [&f~=$qwen-env-hook~]) } catch e { nop }
qwen-env-hook
";

const NU: &str = "\
$env.config = ($env.config | upsert hooks.pre_prompt (
    ($env.config.hooks?.pre_prompt? | default []) | append {|| ^@ | from json | load-env }
))
";

/// Returns the code for a shell, with the flags that this call was given.
pub(crate) fn code(name: &str, args: &Args) -> Result<String, Failure> {
    let (shell, template) = match name {
        "bash" => (Shell::Bash, BASH),
        "zsh" => (Shell::Zsh, ZSH),
        "fish" => (Shell::Fish, FISH),
        "elvish" => (Shell::Elvish, ELVISH),
        _ => (Shell::Nu, NU),
    };
    let mut words = vec![own_path()?, "--at-prompt".to_owned()];
    words.extend(["--shell".to_owned(), shell.name().to_owned()]);
    words.extend(flags(args)?);
    let quoted: Option<Vec<String>> = words.iter().map(|word| shell.word(word)).collect();
    let call = quoted
        .ok_or_else(|| Failure::new(Exit::Usage, format!("a file name cannot be written for '{name}'")))?;
    Ok(template.replace('@', &call.join(" ")))
}

/// The flags that decide what is exported, as words.
fn flags(args: &Args) -> Result<Vec<String>, Failure> {
    let mut words = Vec::new();
    for (flag, given) in [
        ("--auth", args.auth),
        ("--override", args.overriding),
        ("--require", args.require),
        ("--all", args.all),
        ("--quiet", args.common.quiet),
        ("--verbose", args.common.verbose),
    ] {
        words.extend(given.then(|| flag.to_owned()));
    }
    if let Some(rule) = args.chain {
        words.extend(["--chain".to_owned(), rule.name().to_owned()]);
    }
    if let Some(profile) = &args.common.profile {
        words.extend(["--profile".to_owned(), profile.clone()]);
    }
    if let Some(file) = &args.file {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
        words.extend(["--file".to_owned(), utf8(file)?]);
    }
    Ok(words)
}

/// The absolute path by which this program was called. Links are not resolved: their targets may change with each new
/// version.
fn own_path() -> Result<String, Failure> {
    let called = env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let path = if called.components().count() > 1 {
        std::path::absolute(&called).ok()
    } else {
        called.to_str().and_then(process::find)
    };
    let found = path
        .filter(|path| path.is_file())
        .or_else(|| env::current_exe().ok());
    utf8(found.ok_or_else(|| Failure::new(Exit::Io, "cannot tell where this program is"))?)
}

fn utf8(path: PathBuf) -> Result<String, Failure> {
    path.into_os_string()
        .into_string()
        .map_err(|_| Failure::new(Exit::Usage, "a file name is not UTF-8"))
}
