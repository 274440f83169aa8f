//! What every kind of login needs.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use qwen_shared::exit::Failure;
use qwen_shared::net::http::{BaseUrl, check_transport};
use qwen_shared::output::Reporter;
use qwen_shared::provider::Provider;
use qwen_shared::terminal::Terminal;

use crate::args::Args;
use crate::profile::LoginProfile;
use crate::questions::Choice;

/// How long the wait for a server is silent.
pub(crate) const SILENCE: Duration = Duration::from_secs(2);

/// Asks a server, and says what is waited for where its answer takes longer than it may in silence.
pub(crate) fn ask_server<T>(
    reporter: &Reporter,
    what: &str,
    silence: Duration,
    ask: impl FnOnce() -> T,
) -> T {
    thread::scope(|scope| {
        let (answered, answer) = channel::<()>();
        let say = move || {
            if answer.recv_timeout(silence) == Err(RecvTimeoutError::Timeout) {
                reporter.notice(&format!("waiting for {what}"));
            }
        };
        // Without a thread the wait is silent.
        let _ = thread::Builder::new().spawn_scoped(scope, say);
        let answer = ask();
        drop(answered);
        answer
    })
}

/// The options, the profile, and how to reach the person.
pub(crate) struct Login<'a> {
    pub(crate) args: Args,
    pub(crate) reporter: &'a Reporter,
    pub(crate) profile: LoginProfile,
    /// The provider of `--provider`.
    pub(crate) provider: Option<&'static Provider>,
    /// `None` where nobody can be asked.
    pub(crate) terminal: Option<Terminal>,
}

impl Login<'_> {
    /// True when a secret may go to this URL over plain http: by `--allow-http`, or by what the profile says of its own endpoint.
    pub(crate) fn allows_http(&self, url: &BaseUrl) -> bool {
        let own = &self.profile.settings;
        self.args.allow_http || own.allow_http && own.base_url.as_ref() == Some(url)
    }

    /// Checks that requests may go to this URL, with a secret or without. A person is asked where plain http would show
    /// something; false when they want another URL, and true when they consent as by `--allow-http`.
    ///
    /// # Errors
    /// 78.
    pub(crate) fn check_http(&mut self, url: &BaseUrl, has_secret: bool) -> Result<bool, Failure> {
        let failure = match check_transport(url, self.allows_http(url), has_secret) {
            Ok(notice) => {
                notice.iter().for_each(|notice| self.reporter.notice_once(notice));
                return Ok(true);
            }
            Err(failure) => failure,
        };
        let Some(terminal) = self.terminal.as_mut() else {
            let failure = Failure {
                hints: Vec::new(),
                ..failure
            };
            return Err(failure.hint("use https, or add --allow-http if that network is yours"));
        };
        let options = [
            "change the URL",
            "send it all the same, and remember that",
            "give up",
        ];
        terminal.say(&failure.message)?;
        match Choice::new("What now?", &options, 0).ask(terminal)? {
            0 => Ok(false),
            1 => {
                self.args.allow_http = true;
                Ok(true)
            }
            _ => Err(failure),
        }
    }
}
