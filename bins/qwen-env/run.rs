//! The tool itself.

use std::path::Path;

use qwen_shared::env::dialect::Shell;
use qwen_shared::env::{ChainRule, EnvChain, EnvError, RECORD, Record, Search};
use qwen_shared::exit::Exit;
use qwen_shared::failure::{Failure, Outcome};
use qwen_shared::out::{Stdout, Talk};
use qwen_shared::secret;
use qwen_shared::text::escape_json;
use qwen_shared::tool::check_command;

use serde_json::Value;

use crate::cli::{Cli, Format};
use crate::explain::Explanation;
use crate::plan::{How, Plan};
use crate::{auth, check, command, hook, notices, output, vouch};

/// Runs the tool.
pub(crate) fn run(mut cli: Cli, talk: &Talk) -> Outcome {
    secret::forbid_core_dump();
    if cli.command.is_empty() {
        check_command("statements")?;
    }
    if let Some(shell) = &cli.hook {
        return say(&hook::code(shell, &cli)?);
    }
    let before = record(talk);
    if cli.unset {
        return say(&output::unset_script(cli.shell(), &before));
    }
    let search = Search::from_process(cli.chain.map(ChainRule::from), cli.file.clone())?;
    if let Some(file) = cli.trust.take() {
        return vouch::trust(file, &search, talk);
    }
    if let Some(file) = cli.untrust.take() {
        return vouch::untrust(file, &search, talk);
    }
    let mut chain = EnvChain::resolve(&search);
    if cli.check {
        missing(&cli, &search, &mut chain)?;
        return check(&cli, &search, &chain, talk);
    }
    if !cli.explain {
        missing(&cli, &search, &mut chain)?;
        if let Some(fault) = chain.fault.take() {
            return Err(fault.into());
        }
    }
    resolve(&cli, &search, &chain, &before, talk)
}

/// Refuses to go on without a file that was named, or without any when one is required.
fn missing(cli: &Cli, search: &Search, chain: &mut EnvChain) -> Result<(), Failure> {
    if matches!(chain.fault, Some(EnvError::Missing(_)))
        && let Some(fault) = chain.fault.take()
    {
        return Err(fault.into());
    }
    if cli.require && chain.files.is_empty() && chain.fault.is_none() {
        return Err(no_file(search.start.as_deref()));
    }
    Ok(())
}

fn no_file(start: Option<&Path>) -> Failure {
    let start = start.map_or_else(|| "here".into(), |start| start.display().to_string());
    Failure::new(
        Exit::NoInput,
        format!("no .env file from '{start}' upward, nor in the home directory"),
    )
    .hint("run 'qwen-env --explain' to see where it looked")
}

fn check(cli: &Cli, search: &Search, chain: &EnvChain, talk: &Talk) -> Outcome {
    search.lost().into_iter().for_each(|lost| talk.notice(lost));
    let findings = check::findings(chain, talk);
    let report = if cli.format == Format::Json {
        let all: Vec<Value> = findings.iter().map(check::Finding::json).collect();
        escape_json(&format!("{:#}\n", Value::from(all))).into_owned()
    } else {
        findings.iter().map(|finding| finding.text() + "\n").collect()
    };
    say(&report)?;
    Ok(if findings.is_empty() { Exit::Ok } else { Exit::Data })
}

fn resolve(cli: &Cli, search: &Search, chain: &EnvChain, before: &Record, talk: &Talk) -> Outcome {
    let how = How {
        overriding: cli.overriding,
        empty_is_unset: search.rule == ChainRule::Merge,
        shell: evaluating_shell(cli),
        utf8: is_utf8(),
    };
    let mut token = Vec::new();
    if cli.auth {
        let plan = Plan::new(chain, &[], before, &how);
        token = auth::variables(cli, &plan, before)?;
    }
    let plan = Plan::new(chain, &token, before, &how);
    if cli.explain {
        search.lost().into_iter().for_each(|lost| talk.notice(lost));
        return explain(cli, search, chain, &plan);
    }
    notices::of_chain(chain, talk);
    notices::of_plan(&plan, talk);
    if let Some(name) = &cli.get {
        return get(name, &plan);
    }
    if !cli.command.is_empty() {
        return Err(command::run(&cli.command, &plan));
    }
    match cli.format {
        Format::Shell => say(&output::script(cli.shell(), &plan)),
        Format::Json => say(&output::json(&plan)),
        Format::Dotenv => say(&output::dotenv(&plan, talk)),
        Format::Null => say(&output::null(&plan)),
    }
}

fn explain(cli: &Cli, search: &Search, chain: &EnvChain, plan: &Plan<'_>) -> Outcome {
    let explanation = Explanation {
        search,
        chain,
        plan,
        shell: cli.shell(),
        show_secrets: cli.show_secrets,
    };
    if cli.format == Format::Json {
        return say(&explanation.json());
    }
    say(&explanation.text())
}

/// The shell whose limits count: none for data, a command or a single value.
fn evaluating_shell(cli: &Cli) -> Option<Shell> {
    let shell = cli.format == Format::Shell || cli.explain;
    let evaluated = shell && cli.get.is_none() && cli.command.is_empty();
    evaluated.then(|| cli.shell())
}

fn get(name: &str, plan: &Plan<'_>) -> Outcome {
    let Some(mut value) = plan.value_of(name) else {
        return Ok(Exit::No);
    };
    value.push(b'\n');
    Stdout::write(&value)?;
    Ok(Exit::Ok)
}

fn say(text: &str) -> Outcome {
    Stdout::write(text.as_bytes())?;
    Ok(Exit::Ok)
}

/// Reads what earlier calls exported.
fn record(talk: &Talk) -> Record {
    let Some(text) = std::env::var_os(RECORD) else {
        return Record::default();
    };
    Record::parse(&text).unwrap_or_else(|| {
        talk.notice(&format!(
            "{RECORD} is not what qwen-env wrote; the variables that are set count as the user's"
        ));
        Record::default()
    })
}

/// True when the locale's characters are UTF-8: the first of the three variables that is set and not empty decides
/// (POSIX.1-2017, XBD 8.2).
fn is_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
