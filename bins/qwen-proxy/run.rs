//! What the tool does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use qwen_shared::app::check_command;
use qwen_shared::exit::{Failure, Outcome};
use qwen_shared::net::api::take_over_logins;
use qwen_shared::net::config::Settings;
use qwen_shared::output::Reporter;

use super::args::Args;
use super::child::{Child, end_as};
use super::environment::Access;
use super::notify::notify;
use super::relay::Relay;
use super::serve::serve;
use super::server::{Server, check_models};

/// What lends access while it runs.
pub(crate) enum Service {
    Server(Server),
    Relay(Relay),
}

pub(crate) fn run(args: Args, reporter: &Reporter) -> Outcome {
    if args.command.is_empty() {
        check_command("variables")?;
    }
    let service = Service::start(&args, reporter)?;
    match args.command.split_first() {
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments);
            lend_to(command, service, &args, reporter)
        }
        None => serve(service, &args, reporter),
    }
}

impl Service {
    fn start(args: &Args, reporter: &Reporter) -> Result<Self, Failure> {
        if let Some(socket) = &args.via {
            return Relay::start(socket, args.address.listen, reporter).map(Self::Relay);
        }
        let left = take_over_logins(reporter);
        let started = Settings::resolve(&args.overrides()).and_then(|settings| {
            settings.report(reporter);
            let options = args.options();
            check_models(&options, &settings, reporter)?;
            Server::start(options, settings, reporter)
        });
        started.map(Self::Server).map_err(|failure| left.explain(failure))
    }

    /// Returns what opens it.
    pub(crate) fn access(&self) -> Access {
        match self {
            Self::Server(server) => Access {
                base_url: server.base_url(),
                socket: server.socket().map(Into::into),
                token: server.token().clone(),
                model: server.model().map(str::to_owned),
            },
            Self::Relay(relay) => relay.access(),
        }
    }

    /// Makes room for as many connections as this process may have. It would be inherited.
    pub(crate) fn raise_descriptors(&self) {
        match self {
            Self::Server(server) => server.raise_descriptors(),
            Self::Relay(relay) => relay.raise_descriptors(),
        }
    }

    /// Has it said at once, from now on, that a budget is used up.
    pub(crate) fn speak(&self, reporter: &Reporter) {
        if let Self::Server(server) = self {
            server.speak(reporter);
        }
    }

    /// True for a value that holds the credential.
    pub(crate) fn is_lent(&self, value: &std::ffi::OsStr) -> bool {
        match self {
            Self::Server(server) => server.is_lent(value),
            // The token is in the variable that it came in.
            Self::Relay(_) => false,
        }
    }

    /// Takes no more requests, waits for those that run, at most for `limit`, or until `hurry` says so, and says what was
    /// done.
    pub(crate) fn stop(self, limit: Duration, hurry: impl Fn() -> bool, reporter: &Reporter) {
        match self {
            Self::Server(server) => {
                let summary = server.stop(limit, hurry);
                if let Some(exhaustion) = &summary.exhaustion {
                    reporter.notice(exhaustion);
                }
                reporter.detail(&summary.to_string());
            }
            Self::Relay(relay) => relay.stop(limit, hurry),
        }
    }
}

/// Runs the command with the endpoint, and ends as it ends.
fn lend_to(mut command: Command, service: Service, args: &Args, reporter: &Reporter) -> Outcome {
    let environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    let access = service.access();
    let changes = access.changes(&environment, args.no_proxy_env, |value| service.is_lent(value));
    for (name, value) in changes {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    reporter.hold();
    let ended = Child::start(&command).and_then(|child| {
        service.raise_descriptors();
        if let Err(error) = notify("READY=1") {
            reporter.notice(&format!(
                "the service manager was not told that this is ready: {error}"
            ));
        }
        child.wait()
    });
    // Whoever the command has left behind has lost it.
    service.stop(Duration::ZERO, || true, reporter);
    reporter.release();
    end_as(ended?)
}
