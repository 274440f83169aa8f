//! The requests of a device login, and what must not happen to the answer to the last one.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use qwen_shared::net::credential::LoginJournal;
use qwen_shared::net::http::{HttpError, Timeouts};
use qwen_shared::net::oauth::{BlockingTransport, HttpResponse, KeepingTransport, Transport, members};
use qwen_shared::output::Reporter;
use qwen_shared::signal::Deferral;
use serde_json::Value;
use url::Url;

/// A transport for polls. The answer for which the person has approved the login goes into the journal before anything else;
/// and a signal that comes while an answer is awaited ends the program after that (3 s at most, and once the login is approved
/// when it is stored).
pub(crate) struct ApprovalTransport<'a> {
    dated: &'a DatedTransport,
    journal: RefCell<LoginJournal>,
    deferral: RefCell<Option<Deferral>>,
}

impl<'a> ApprovalTransport<'a> {
    pub(crate) const fn new(dated: &'a DatedTransport, journal: LoginJournal) -> Self {
        Self {
            dated,
            journal: RefCell::new(journal),
            deferral: RefCell::new(None),
        }
    }

    /// Returns what is held until the login is stored.
    pub(crate) fn into_approved(self) -> Approved {
        Approved {
            journal: self.journal.into_inner(),
            deferral: self.deferral.into_inner(),
        }
    }
}

impl Transport for ApprovalTransport<'_> {
    fn post_form(&self, url: &Url, headers: &[(&str, &str)], form: &str) -> Result<HttpResponse, HttpError> {
        let deferral = RefCell::new(Deferral::begin(self.journal.borrow().remover()));
        let keep = |body: &[u8]| {
            if is_approval(body) {
                // A signal whose grace is over removes the journal.
                deferral.borrow_mut().extend();
                self.journal.borrow_mut().answer(body);
            }
        };
        let transport = KeepingTransport::new(Timeouts::for_token_requests(), &keep);
        let response = transport.post_form(url, headers, form)?;
        if (200..300).contains(&response.status) && is_approval(&response.body) {
            *self.deferral.borrow_mut() = Some(deferral.into_inner());
        }
        Ok(self.dated.remember(response))
    }

    fn get(&self, url: &Url) -> Result<HttpResponse, HttpError> {
        self.dated.get(url)
    }
}

/// True for the body of a response that brings a token.
fn is_approval(body: &[u8]) -> bool {
    members(body).is_some_and(|body| {
        let token = body.get("access_token").and_then(Value::as_str);
        token.is_some_and(|token| !token.is_empty())
    })
}

/// An approved login that is not stored yet.
pub(crate) struct Approved {
    journal: LoginJournal,
    deferral: Option<Deferral>,
}

impl Approved {
    /// Lets signals end the program again. One that came meanwhile does it now: the journal has the login.
    pub(crate) fn allow_signals(&mut self) {
        self.deferral = None;
    }

    /// Leaves the login to the next program; returns the path of its journal, where it has one.
    pub(crate) fn leave(self) -> Option<PathBuf> {
        let Self { journal, deferral } = self;
        let path = journal.keep();
        drop(deferral);
        path
    }

    /// The login is stored, or given up: the journal goes, and a signal that came meanwhile ends the program.
    pub(crate) fn finish(self) {
        let Self { journal, deferral } = self;
        drop(journal);
        drop(deferral);
    }
}

/// A transport that remembers the server's last `Date`.
pub(crate) struct DatedTransport {
    inner: BlockingTransport,
    /// The time by this machine's clock and by the server's.
    last: Cell<Option<(SystemTime, SystemTime)>>,
}

impl DatedTransport {
    /// The response took some of the difference to arrive.
    const MAX_DIFFERENCE: Duration = Duration::from_secs(120);

    pub(crate) const fn new(inner: BlockingTransport) -> Self {
        Self {
            inner,
            last: Cell::new(None),
        }
    }

    fn remember(&self, response: HttpResponse) -> HttpResponse {
        if let Some(server_time) = response.date {
            self.last.set(Some((SystemTime::now(), server_time)));
        }
        response
    }

    /// Warns if the clocks differ: the expiry of tokens is computed by this machine's.
    pub(crate) fn report_clock_difference(&self, reporter: &Reporter) {
        let Some((own, server)) = self.last.get() else {
            return;
        };
        let (relation, difference) = match own.duration_since(server) {
            Ok(difference) => ("ahead of", difference),
            Err(error) => ("behind", error.duration()),
        };
        if difference >= Self::MAX_DIFFERENCE {
            let minutes = difference.as_secs() / 60;
            reporter.notice(&format!(
                "this machine's clock is {minutes} min {relation} the server's; tokens may seem to expire at the wrong time"
            ));
        }
    }
}

impl Transport for DatedTransport {
    fn post_form(&self, url: &Url, headers: &[(&str, &str)], form: &str) -> Result<HttpResponse, HttpError> {
        let response = self.inner.post_form(url, headers, form)?;
        Ok(self.remember(response))
    }

    fn get(&self, url: &Url) -> Result<HttpResponse, HttpError> {
        let response = self.inner.get(url)?;
        Ok(self.remember(response))
    }
}
