//! Runs the tool: which mode was asked for, and the order of its steps.

use std::path::Path;

use qwen_shared::app::check_command;
use qwen_shared::dotenv::{ChainRule, EnvChain, EnvError, RECORD, Record, Search};
use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::secret;
use qwen_shared::shell::Shell;
use qwen_shared::text::escape_json;
use serde_json::json;

use super::args::{Args, Format};
use super::explain::Explanation;
use super::plan::{Plan, PlanOptions};
use crate::{auth, check, command, hook, output, trust};

pub(crate) fn run(mut args: Args, reporter: &Reporter) -> Outcome {
    secret::forbid_core_dump();
    if args.command.is_empty() {
        check_command("statements")?;
    }
    if let Some(shell) = &args.hook {
        return print(&hook::code(shell, &args)?);
    }
    let before = record(reporter);
    if args.unset {
        return print(&output::unset_script(args.shell(), &before));
    }
    let search = Search::from_process(args.chain, args.file.clone())?;
    if let Some(file) = args.trust.take() {
        return trust::trust(file, &search, reporter);
    }
    if let Some(file) = args.untrust.take() {
        return trust::untrust(file, &search, reporter);
    }
    let mut chain = EnvChain::resolve(&search);
    if args.check {
        require_file(&args, &search, &mut chain)?;
        return check(&args, &search, &chain, reporter);
    }
    if !args.explain {
        require_file(&args, &search, &mut chain)?;
        if let Some(fault) = chain.fault.take() {
            return Err(fault.into());
        }
    }
    resolve(&args, &search, &chain, &before, reporter)
}

/// Refuses to go on without a file that was named, or without any when one is required.
fn require_file(args: &Args, search: &Search, chain: &mut EnvChain) -> Result<(), Failure> {
    if matches!(chain.fault, Some(EnvError::Missing(_)))
        && let Some(fault) = chain.fault.take()
    {
        return Err(fault.into());
    }
    if args.require && chain.files.is_empty() && chain.fault.is_none() {
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

fn check(args: &Args, search: &Search, chain: &EnvChain, reporter: &Reporter) -> Outcome {
    search
        .missing_start()
        .into_iter()
        .for_each(|notice| reporter.notice(notice));
    let findings = check::findings(chain, reporter);
    let report = if args.format == Format::Json {
        escape_json(&format!("{:#}\n", json!(findings))).into_owned()
    } else {
        findings.iter().map(|finding| finding.text() + "\n").collect()
    };
    print(&report)?;
    Ok(if findings.is_empty() { Exit::Ok } else { Exit::Data })
}

fn resolve(args: &Args, search: &Search, chain: &EnvChain, before: &Record, reporter: &Reporter) -> Outcome {
    let options = PlanOptions {
        overriding: args.overriding,
        empty_is_unset: search.rule == ChainRule::Merge,
        shell: evaluating_shell(args),
        utf8: is_utf8(),
    };
    let mut token = Vec::new();
    if args.auth {
        let plan = Plan::new(chain, &[], before, &options);
        token = auth::variables(args, &plan, before)?;
    }
    let plan = Plan::new(chain, &token, before, &options);
    if args.explain {
        search
            .missing_start()
            .into_iter()
            .for_each(|notice| reporter.notice(notice));
        return explain(args, search, chain, &plan);
    }
    output::report_chain(search, chain, reporter);
    output::report_plan(&plan, reporter);
    if let Some(name) = &args.get {
        return get(name, &plan);
    }
    if !args.command.is_empty() {
        return Err(command::run(&args.command, &plan));
    }
    match args.format {
        Format::Shell => print(&output::script(args.shell(), &plan)),
        Format::Json => print(&output::json(&plan)),
        Format::Dotenv => print(&output::dotenv(&plan, reporter)),
        Format::Null => print(&output::null(&plan)),
    }
}

fn explain(args: &Args, search: &Search, chain: &EnvChain, plan: &Plan<'_>) -> Outcome {
    let explanation = Explanation {
        search,
        chain,
        plan,
        shell: args.shell(),
        show_secrets: args.show_secrets,
    };
    if args.format == Format::Json {
        return print(&explanation.json());
    }
    print(&explanation.text())
}

/// The shell whose limits count: none for data, a command or a single value.
fn evaluating_shell(args: &Args) -> Option<Shell> {
    let shell = args.format == Format::Shell || args.explain;
    let evaluated = shell && args.get.is_none() && args.command.is_empty();
    evaluated.then(|| args.shell())
}

fn get(name: &str, plan: &Plan<'_>) -> Outcome {
    let Some(mut value) = plan.value_of(name) else {
        return Ok(Exit::No);
    };
    value.push(b'\n');
    Stdout::write(&value)?;
    Ok(Exit::Ok)
}

fn print(text: &str) -> Outcome {
    Stdout::write(text.as_bytes())?;
    Ok(Exit::Ok)
}

/// Reads the record of what earlier calls exported.
fn record(reporter: &Reporter) -> Record {
    Record::from_process().unwrap_or_else(|| {
        reporter.notice(&format!(
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
