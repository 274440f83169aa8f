//! `--auth`: the credential of the active profile, as `qwen-token` gives it.

use std::io::Read;
use std::process::{Command, Stdio};

use qwen_shared::dotenv::{RECORD, Record};
use qwen_shared::exit::{Exit, Failure, io_reason};
use qwen_shared::process;
use qwen_shared::secret::Secret;
use serde_json::{Map, Value};

use super::args::Args;
use super::plan::{Plan, taken_back};

/// What any OpenAI client reads, with the member of `qwen-token --format json` that it comes from.
const VARIABLES: [(&str, &str); 3] = [
    ("OPENAI_API_KEY", "access_token"),
    ("OPENAI_BASE_URL", "base_url"),
    ("OPENAI_MODEL", "model"),
];

/// Runs `qwen-token` in the environment that this call gives, and returns the variables.
///
/// What earlier calls exported is left out of that environment: a token that was exported before would else count as a
/// key that the user set, and never be refreshed.
pub(crate) fn variables(
    args: &Args,
    plan: &Plan<'_>,
    before: &Record,
) -> Result<Vec<(String, String)>, Failure> {
    let answer = ask(args, plan, before)?;
    let parsed: Map<String, Value> = serde_json::from_str(answer.expose()).map_err(|_| not_understood())?;
    let mut variables = Vec::new();
    for (name, member) in VARIABLES {
        match parsed.get(member).unwrap_or(&Value::Bool(false)) {
            Value::String(value) if !value.contains('\0') => variables.push((name.to_owned(), value.clone())),
            // An endpoint that asks for no key; clients insist on having one.
            Value::Null if member == "access_token" => variables.push((name.to_owned(), "none".to_owned())),
            Value::Null => {}
            _ => return Err(not_understood()),
        }
    }
    Ok(variables)
}

fn ask(args: &Args, plan: &Plan<'_>, before: &Record) -> Result<Secret<String>, Failure> {
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
        command.env(
            "QWEN_ENV_CHAIN",
            qwen_shared::dotenv::ChainRule::from(rule).name(),
        );
    }
    for name in taken_back(before, None) {
        command.env_remove(name);
    }
    command.env_remove(RECORD).envs(plan.exports());
    run(command)
}

/// Runs it with its own words on our stderr, so that its failure is told by itself.
fn run(mut command: Command) -> Result<Secret<String>, Failure> {
    let refused = |error: &std::io::Error| {
        Failure::new(Exit::Io, format!("cannot run 'qwen-token': {}", io_reason(error)))
    };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| refused(&error))?;
    let mut answer = String::new();
    let read = child
        .stdout
        .take()
        .map_or(Ok(0), |mut stdout| stdout.read_to_string(&mut answer));
    let status = child.wait().map_err(|error| refused(&error))?;
    if !status.success() {
        let exit = Exit::ALL
            .into_iter()
            .find(|exit| status.code() == Some(exit.code().into()));
        return Err(Failure::new(
            exit.unwrap_or(Exit::Bug),
            "'qwen-token' gave no token",
        ));
    }
    read.map_err(|error| refused(&error))?;
    Ok(Secret::new(answer))
}

fn not_understood() -> Failure {
    Failure::new(Exit::Bug, "the answer of 'qwen-token' is not understood")
        .hint("install both programs in the same version")
}
