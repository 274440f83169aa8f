//! Runs the tool: which mode was asked for, and the order of its steps.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use qwen_shared::app::check_command;
use qwen_shared::dotenv::{ChainRule, EnvChain, EnvError, RECORD, Record, Search};
use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::secret;
use qwen_shared::shell::{Shell, parent_layout};
use qwen_shared::text::{escape_json, make_visible};
use serde_json::json;

use super::args::{Args, Format};
use super::env_file::EnvFileForm;
use super::explain::Explanation;
use super::notices::{self, Notices};
use super::plan::{Plan, PlanOptions};
use crate::{auth, check, command, consent, env_file, hook, output, trust};

pub(crate) fn run(mut args: Args, reporter: &Reporter) -> Outcome {
    secret::forbid_core_dump();
    if args.command.is_empty() {
        check_command("statements")?;
    }
    if let Some(shell) = &args.hook {
        return print(&hook::code(shell, &args)?);
    }
    let mut before = record(reporter);
    if args.unset {
        return print(&output::unset_script(args.shell(), &before));
    }
    let mut search = Search::from_process(args.chain, args.file.clone())?;
    search.consent.all = args.all;
    search.at_prompt = args.at_prompt;
    if let Some(file) = args.trust.take() {
        return trust::trust(file, &args, &search, reporter);
    }
    if let Some(file) = args.untrust.take() {
        return trust::untrust(file, &search, reporter);
    }
    if args.at_prompt {
        return at_prompt(&args, &search, before, reporter);
    }
    evaluate(&args, &search, &mut before, None, reporter)
}

/// Evaluates for the hook: not at all while nothing has changed since it last did, and a failure is told once.
fn at_prompt(args: &Args, search: &Search, mut before: Record, reporter: &Reporter) -> Outcome {
    let profile = args.auth.then(|| std::env::var_os("QWEN_PROFILE"));
    let stamp = search.stamp((std::env::args_os().collect::<Vec<_>>(), profile));
    if before.has_seen(&stamp, unix_time()) {
        return print(&output::statements(args.shell(), &[]));
    }
    let result = evaluate(args, search, &mut before, Some(&stamp), reporter);
    if result.is_err() {
        before.see(stamp, unix_time(), None);
        print(&output::record_script(args.shell(), &before))?;
    }
    result
}

/// Does what was asked for. `stamp` is the state of the files as the hook is to remember it.
fn evaluate(
    args: &Args,
    search: &Search,
    before: &mut Record,
    stamp: Option<&str>,
    reporter: &Reporter,
) -> Outcome {
    let mut chain = EnvChain::resolve(search);
    if let Some(failure) = chain.take_failure() {
        return Err(failure);
    }
    if args.check {
        require_file(args, search, &mut chain)?;
        return check(args, search, &chain, reporter);
    }
    if !args.explain {
        require_file(args, search, &mut chain)?;
        if let Some(fault) = chain.fault.take() {
            return Err(fault.into());
        }
    }
    let options = options(args, search);
    let asked = consent::ask_about_waiting(args, search, &mut chain, before, &options, reporter)?;
    let found = Found { chain, asked };
    resolve(args, search, &found, before, stamp, reporter)
}

/// The chain, and what was said of it.
struct Found {
    chain: EnvChain,
    /// The file that was asked about, with no answer.
    asked: Option<Arc<Path>>,
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

/// The most mistakes that are printed one by one for people.
const FINDINGS_SHOWN: usize = 100;

fn check(args: &Args, search: &Search, chain: &EnvChain, reporter: &Reporter) -> Outcome {
    search
        .missing_start()
        .into_iter()
        .for_each(|notice| reporter.notice(notice));
    let findings = check::findings(chain, reporter);
    let report = if args.format == Format::Json {
        escape_json(&format!("{:#}\n", json!(findings))).into_owned()
    } else {
        let shown = findings.iter().take(FINDINGS_SHOWN);
        shown.map(|finding| finding.text() + "\n").collect()
    };
    print(&report)?;
    if args.format != Format::Json
        && let Some(more) = findings
            .len()
            .checked_sub(FINDINGS_SHOWN)
            .filter(|&more| more > 0)
    {
        reporter.notice(&format!(
            "and {more} more; 'qwen-env --check --format json' lists all"
        ));
    }
    Ok(if findings.is_empty() { Exit::Ok } else { Exit::Data })
}

fn resolve(
    args: &Args,
    search: &Search,
    Found { chain, asked }: &Found,
    before: &Record,
    stamp: Option<&str>,
    reporter: &Reporter,
) -> Outcome {
    let options = options(args, search);
    let mut token = auth::Token::default();
    if args.auth {
        // `qwen-token` has to know of each value whose word it is.
        let recorded = PlanOptions {
            recorded: true,
            ..options
        };
        let plan = Plan::new(chain, &[], before, &recorded);
        token = auth::token(args, &plan, before, reporter)?;
    }
    let mut plan = Plan::new(chain, &token.variables, before, &options);
    if let Some(stamp) = stamp {
        plan.record.see(stamp.to_owned(), unix_time(), token.renew_after);
    }
    if args.explain {
        return explain(args, search, chain, &plan, reporter);
    }
    notices::report_details(chain, &plan, reporter);
    // A hint is typed in the directory of the shell, not in the one that was asked about.
    let notices = Notices::new(search, chain, args.common.directory.is_some());
    if let Some(name) = &args.get {
        let value = plan.value_of(name);
        notices.about(name, value.is_some(), &plan).give(reporter);
        return get(value);
    }
    let mut notices = notices.about_all(&plan, asked.clone());
    if options.recorded {
        notices = notices.with_addresses(&plan);
    }
    if !reporter.is_quiet() && (!is_statements(args) || is_news(&notices, chain, &mut plan)) {
        notices.give(reporter);
    }
    if !args.command.is_empty() {
        return Err(command::run(&args.command, &plan));
    }
    print(&written(args, &plan, reporter))
}

/// What is planned, in the form that was asked for.
fn written(args: &Args, plan: &Plan<'_>, reporter: &Reporter) -> String {
    let form = match args.format {
        Format::Shell => return output::script(args.shell(), plan),
        Format::Json => return output::json(plan),
        Format::Null => return output::null(plan),
        Format::Dotenv => EnvFileForm::Dotenv,
        Format::Docker => EnvFileForm::Docker,
        Format::Github => EnvFileForm::Github,
        Format::Systemd => EnvFileForm::Systemd,
    };
    env_file::write(form, plan.exports(), reporter)
}

fn options(args: &Args, search: &Search) -> PlanOptions {
    PlanOptions {
        overriding: args.overriding,
        empty_is_unset: search.rule == ChainRule::Merge,
        shell: evaluating_shell(args),
        utf8: is_utf8(),
        recorded: is_recorded(args),
    }
}

fn explain(args: &Args, search: &Search, chain: &EnvChain, plan: &Plan<'_>, reporter: &Reporter) -> Outcome {
    search
        .missing_start()
        .into_iter()
        .for_each(|notice| reporter.notice(notice));
    let explanation = Explanation {
        search,
        chain,
        plan,
        shell: args.shell(),
        show_secrets: args.show_secrets,
        elsewhere: args.common.directory.is_some(),
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

/// True when the output is statements, which leave a record in the shell that evaluates them.
fn is_statements(args: &Args) -> bool {
    args.format == Format::Shell && args.get.is_none() && args.command.is_empty() && !args.explain
}

/// True when what is exported goes with a record of it.
fn is_recorded(args: &Args) -> bool {
    is_statements(args) || !args.command.is_empty()
}

/// True when these notices about these contents are not what this shell last heard of these files, as it is from now on.
/// The record reaches the scripts that a shell starts, which have heard nothing.
fn is_news(notices: &Notices<'_>, chain: &EnvChain, plan: &mut Plan<'_>) -> bool {
    let read = chain.files.iter().map(|file| &file.path);
    let passed_over = chain.passed_over().map(|candidate| &candidate.path);
    let files: Vec<_> = read
        .chain(passed_over)
        .map(|path| path.display().to_string())
        .collect();
    let subject = files.join("\n");
    if notices.is_empty() {
        plan.record.unsay(&subject);
        return false;
    }
    let mut contents = parent_layout().into_bytes();
    for file in &chain.files {
        contents.extend(file.bytes.expose().len().to_be_bytes());
        contents.extend_from_slice(file.bytes.expose());
    }
    plan.record.says(&subject, &notices.text(), &contents)
}

fn get(value: Option<Vec<u8>>) -> Outcome {
    let Some(mut value) = value else {
        return Ok(Exit::No);
    };
    value.push(b'\n');
    print_bytes(&value)
}

fn print(text: &str) -> Outcome {
    print_bytes(text.as_bytes())
}

/// Writes the result: exactly to a program, and to a terminal with everything visible that would act on it.
fn print_bytes(bytes: &[u8]) -> Outcome {
    if Stdout::is_terminal() {
        let mut shown = String::with_capacity(bytes.len());
        make_visible(&String::from_utf8_lossy(bytes), &mut shown);
        Stdout::write(shown.as_bytes())?;
    } else {
        Stdout::write(bytes)?;
    }
    Ok(Exit::Ok)
}

/// Seconds since 1970.
fn unix_time() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
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
