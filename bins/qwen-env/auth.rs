//! `--auth`: the credential of the active profile, from `qwen-token`.

use std::io::Read;
use std::process::{Command, Stdio};

use qwen_shared::dotenv::{NO_KEY, RECORD, Record};
use qwen_shared::exit::{Exit, Failure, cannot_start, io_exit, io_reason};
use qwen_shared::output::Reporter;
use qwen_shared::process::{self, check_exportable};
use qwen_shared::secret::Secret;
use qwen_shared::shell::is_shell_name;
use serde_json::{Map, Value};

use super::args::Args;
use super::plan::{Plan, unchanged_exports};

/// The variables that OpenAI clients read, with their members of `qwen-token --format json`.
const VARIABLES: [(&str, &str); 3] = [
    ("OPENAI_API_KEY", "access_token"),
    ("OPENAI_BASE_URL", "base_url"),
    ("OPENAI_MODEL", "model"),
];

const ADDRESS: &str = "OPENAI_BASE_URL";

/// What `qwen-token` gave.
#[derive(Default)]
pub(crate) struct Token {
    /// The variables with their values.
    pub(crate) variables: Vec<(String, String)>,
    /// After how many seconds it is to be asked again; `None` where the credential does not expire.
    pub(crate) renew_after: Option<u64>,
}

/// How long before its end a token is renewed, in seconds, as `qwen-token` does by default; and how soon it is asked
/// again at the earliest, for a token that cannot be renewed.
const MARGIN: u64 = 60;
const PAUSE: u64 = 10;

/// Runs `qwen-token` in the environment that this call gives, with the record of where each value comes from: what a
/// project says is no more the user's word there than here.
///
/// Without what earlier calls exported: an exported token would count as a key that the user set, and never be refreshed.
pub(crate) fn token(
    args: &Args,
    plan: &Plan<'_>,
    before: &Record,
    reporter: &Reporter,
) -> Result<Token, Failure> {
    let output = run_qwen_token(args, plan, before)?;
    let parsed: Map<String, Value> =
        serde_json::from_str(output.expose()).map_err(|_| unexpected_output())?;
    let mut variables = Vec::new();
    for (name, member) in VARIABLES {
        match parsed.get(member).unwrap_or(&Value::Bool(false)) {
            Value::String(value) => variables.push((name.to_owned(), value.clone())),
            // An endpoint that asks for no key; clients insist on having one.
            Value::Null if member == "access_token" => variables.push((name.to_owned(), NO_KEY.to_owned())),
            Value::Null => {}
            _ => return Err(unexpected_output()),
        }
    }
    add_further(&mut variables, &parsed, plan)?;
    if let Some(Value::Array(names)) = parsed.get("not_exported") {
        let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
        reporter.notice(&format!(
            "not exported, for want of a variable that clients read: {}",
            names.join(", ")
        ));
    }
    let left = parsed.get("expires_in").and_then(Value::as_u64);
    Ok(Token {
        variables,
        renew_after: left.map(|seconds| seconds.saturating_sub(MARGIN).max(PAUSE)),
    })
}

/// Adds what the clients of others read besides: headers, Azure's variables, and the older name of the address.
///
/// Where the address is a project's, it stands under its one name alone: that is judged with what would go there.
fn add_further(
    variables: &mut Vec<(String, String)>,
    parsed: &Map<String, Value>,
    plan: &Plan<'_>,
) -> Result<(), Failure> {
    if let Some(Value::Object(further)) = parsed.get("environment") {
        for (name, value) in further {
            let value = value.as_str().filter(|_| is_shell_name(name));
            let value = value.ok_or_else(unexpected_output)?.to_owned();
            match variables.iter_mut().find(|(known, _)| known == name) {
                Some(known) => known.1 = value,
                None => variables.push((name.clone(), value)),
            }
        }
    }
    let is_of_file = plan.exports().any(|(name, _)| name == ADDRESS);
    let address = variables.iter().find(|(name, _)| name == ADDRESS);
    if let Some((_, address)) = address.filter(|_| !is_of_file) {
        variables.push(("OPENAI_API_BASE".to_owned(), address.clone()));
    }
    for (name, value) in variables {
        check_exportable(name, value)?;
    }
    Ok(())
}

fn run_qwen_token(args: &Args, plan: &Plan<'_>, before: &Record) -> Result<Secret<String>, Failure> {
    let Some(program) = process::find("qwen-token") else {
        let failure = Failure::new(Exit::NotFound, "cannot find 'qwen-token', which '--auth' runs");
        return Err(failure.hint("install it beside 'qwen-env' or on PATH"));
    };
    let mut command = Command::new(program);
    command.args(["--format", "json"]);
    if let Some(profile) = &args.common.profile {
        command.arg("--profile").arg(profile);
    }
    for (flag, given) in [("--quiet", args.common.quiet), ("--verbose", args.common.verbose)] {
        command.args(given.then_some(flag));
    }
    if let Some(rule) = args.chain {
        command.env("QWEN_ENV_CHAIN", rule.name());
    }
    for name in unchanged_exports(before, None) {
        command.env_remove(name);
    }
    command
        .envs(plan.exports())
        .env(RECORD, plan.record.in_call().text());
    output_of(command)
}

/// Runs it with our stderr, where it reports its failure itself.
fn output_of(mut command: Command) -> Result<Secret<String>, Failure> {
    let failed = |error: &std::io::Error| {
        let message = format!("cannot run 'qwen-token': {}", io_reason(error));
        Failure::new(io_exit(error, Exit::Io), message)
    };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| cannot_start("'qwen-token'", &error))?;
    let mut output = String::new();
    let read = child
        .stdout
        .take()
        .map_or(Ok(0), |mut stdout| stdout.read_to_string(&mut output));
    let status = child.wait().map_err(|error| failed(&error))?;
    // A program whose output is read no further may end by a signal.
    read.map_err(|error| failed(&error))?;
    if !status.success() {
        // Ended by a signal, it has no code: somebody, or the machine, was in its way.
        let exit = status
            .code()
            .map_or(Some(Exit::TryAgain), |code| Exit::from_code(Some(code)));
        let exit = exit.unwrap_or(Exit::Bug);
        return Err(Failure::new(exit, "'qwen-token' gave no token"));
    }
    Ok(Secret::new(output))
}

fn unexpected_output() -> Failure {
    Failure::new(Exit::Bug, "unexpected output of 'qwen-token'")
        .hint("install both programs in the same version")
}
