//! `--auth`: the credential of the active profile, from `qwen-token`.

use std::io::Read;
use std::process::{Command, Stdio};

use qwen_shared::dotenv::{NO_KEY, RECORD, Record};
use qwen_shared::exit::{Exit, Failure, io_reason};
use qwen_shared::process;
use qwen_shared::secret::Secret;
use serde_json::{Map, Value};

use super::args::Args;
use super::plan::{Plan, unchanged_exports};

/// The variables that OpenAI clients read, with their members of `qwen-token --format json`.
const VARIABLES: [(&str, &str); 3] = [
    ("OPENAI_API_KEY", "access_token"),
    ("OPENAI_BASE_URL", "base_url"),
    ("OPENAI_MODEL", "model"),
];

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
pub(crate) fn token(args: &Args, plan: &Plan<'_>, before: &Record) -> Result<Token, Failure> {
    let output = run_qwen_token(args, plan, before)?;
    let parsed: Map<String, Value> =
        serde_json::from_str(output.expose()).map_err(|_| unexpected_output())?;
    let mut variables = Vec::new();
    for (name, member) in VARIABLES {
        match parsed.get(member).unwrap_or(&Value::Bool(false)) {
            Value::String(value) if !value.contains('\0') => variables.push((name.to_owned(), value.clone())),
            // An endpoint that asks for no key; clients insist on having one.
            Value::Null if member == "access_token" => variables.push((name.to_owned(), NO_KEY.to_owned())),
            Value::Null => {}
            _ => return Err(unexpected_output()),
        }
    }
    let left = parsed.get("expires_in").and_then(Value::as_u64);
    Ok(Token {
        variables,
        renew_after: left.map(|seconds| seconds.saturating_sub(MARGIN).max(PAUSE)),
    })
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
    command.envs(plan.exports()).env(RECORD, plan.record.text());
    output_of(command)
}

/// Runs it with our stderr, where it reports its failure itself.
fn output_of(mut command: Command) -> Result<Secret<String>, Failure> {
    let failed = |error: &std::io::Error| {
        Failure::new(Exit::Io, format!("cannot run 'qwen-token': {}", io_reason(error)))
    };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error))?;
    let mut output = String::new();
    let read = child
        .stdout
        .take()
        .map_or(Ok(0), |mut stdout| stdout.read_to_string(&mut output));
    let status = child.wait().map_err(|error| failed(&error))?;
    if !status.success() {
        let exit = Exit::from_code(status.code()).unwrap_or(Exit::Bug);
        return Err(Failure::new(exit, "'qwen-token' gave no token"));
    }
    read.map_err(|error| failed(&error))?;
    Ok(Secret::new(output))
}

fn unexpected_output() -> Failure {
    Failure::new(Exit::Bug, "unexpected output of 'qwen-token'")
        .hint("install both programs in the same version")
}
