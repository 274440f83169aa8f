//! `--hook`: code that re-evaluates on a change of directory.
//!
//! The code for bash and zsh is as safe in an unquoted eval as the statements are: no pattern characters, no comments,
//! no blanks side by side, and it means the same on one line.

use std::env;
use std::path::PathBuf;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::process;
use qwen_shared::shell::Shell;

use super::args::Args;

/// Appended to `PROMPT_COMMAND`, so that no other command there sees a changed exit status.
const BASH: &str = "\
function _qwen_env_hook { test \"${_qwen_env_dir-}\" = \"$PWD\" || { _qwen_env_dir=$PWD; eval \"$(@)\" || true; }; };
PROMPT_COMMAND=${PROMPT_COMMAND-};
test \"${PROMPT_COMMAND/_qwen_env_hook}\" != \"$PROMPT_COMMAND\" || PROMPT_COMMAND+=$'\\n'_qwen_env_hook;
";

const ZSH: &str = "\
function _qwen_env_hook { eval \"$(@)\" || true; };
autoload -Uz add-zsh-hook;
add-zsh-hook chpwd _qwen_env_hook;
_qwen_env_hook;
";

const FISH: &str = "\
function _qwen_env_hook --on-variable PWD --description 'Re-evaluate qwen-env on a change of directory'
    if status is-command-substitution; return; end
    @ | source
end
_qwen_env_hook
";

const ELVISH: &str = "\
set after-chdir = (conj $after-chdir {|_| try { eval (@ | slurp) } catch e { nop } })
try { eval (@ | slurp) } catch e { nop }
";

const NU: &str = "\
$env.config = ($env.config | upsert hooks.env_change.PWD (
    ($env.config.hooks?.env_change?.PWD? | default []) | append {|_, _| ^@ | from json | load-env }
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
    let mut words = vec![own_path()?, "--shell".to_owned(), shell.name().to_owned()];
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
