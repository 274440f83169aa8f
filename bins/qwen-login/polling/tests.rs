use std::cell::{Cell, RefCell};
use std::time::Duration;

use qwen_shared::exit::Exit;
use qwen_shared::net::http::{HttpError, Phase};
use qwen_shared::net::oauth::{HttpResponse, OauthError, PublicClient, Transport};
use url::Url;

use super::{Clock, PollInterval, Progress, TokenPoller};
use crate::device_authorization::DeviceAuthorization;
use crate::pkce::CodeVerifier;

const SECOND: Duration = Duration::from_secs(1);

/// A clock that a poll and a sleep move, and nothing else.
#[derive(Default)]
struct Fake {
    now: Cell<Duration>,
    replies: RefCell<Vec<Result<HttpResponse, HttpError>>>,
    polls: RefCell<Vec<(u64, String)>>,
    suspend: Cell<Duration>,
}

impl Clock for Fake {
    fn now(&self) -> Duration {
        self.now.get()
    }

    fn sleep(&self, time: Duration) {
        assert!(time <= SECOND, "the countdown is to be reported every second");
        self.now.set(self.now.get() + time + self.suspend.take());
    }
}

impl Transport for Fake {
    fn post_form(&self, _: &Url, headers: &[(&str, &str)], form: &str) -> Result<HttpResponse, HttpError> {
        assert_eq!(headers, []);
        self.polls
            .borrow_mut()
            .push((self.now.get().as_secs(), form.to_owned()));
        self.now.set(self.now.get() + SECOND);
        let mut replies = self.replies.borrow_mut();
        if replies.len() > 1 {
            replies.remove(0)
        } else {
            replies[0].clone()
        }
    }

    fn get(&self, _: &Url) -> Result<HttpResponse, HttpError> {
        unreachable!("polling gets nothing")
    }
}

fn answer(status: u16, body: &str) -> HttpResponse {
    HttpResponse {
        status,
        retry_after: None,
        date: None,
        body: body.as_bytes().to_vec(),
    }
}

fn says(status: u16, code: &str) -> Result<HttpResponse, HttpError> {
    Ok(answer(status, &format!(r#"{{"error":"{code}"}}"#)))
}

fn token() -> Result<HttpResponse, HttpError> {
    Ok(answer(200, r#"{"access_token":"at","token_type":"Bearer"}"#))
}

fn token_endpoint() -> Url {
    Url::parse("http://127.0.0.1/x").unwrap()
}

fn client() -> PublicClient {
    PublicClient {
        client_id: "id".to_owned(),
        pkce: true,
        ..PublicClient::default()
    }
}

struct Login {
    /// Seconds from one poll's end to the next one's start.
    waits: Vec<u64>,
    form: String,
    ended: Result<String, OauthError>,
}

fn login_with(fake: &Fake, life: u64, interval: &str) -> Login {
    let body = format!(
        r#"{{"device_code":"d c","user_code":"u","verification_uri":"https://e.example/","expires_in":{life}{interval}}}"#
    );
    let device = DeviceAuthorization::parse(&answer(200, &body), false).unwrap();
    let url = token_endpoint();
    let poller = TokenPoller::new(fake, fake, &url, &client(), None, &device);
    let ended = poller.poll_until_done(&mut |_: Progress<'_>| {});
    let polls = fake.polls.borrow();
    let mut before = 0;
    let waits = polls
        .iter()
        .map(|(at, _)| {
            let wait = at - before;
            before = at + 1;
            wait
        })
        .collect();
    Login {
        waits,
        form: polls.first().map(|(_, form)| form.clone()).unwrap_or_default(),
        ended: ended.map(|token| token.access_token.expose().clone()),
    }
}

fn login(replies: Vec<Result<HttpResponse, HttpError>>) -> Login {
    let fake = Fake::default();
    *fake.replies.borrow_mut() = replies;
    login_with(&fake, 1000, "")
}

#[test]
fn pending_and_slow_down_are_known_in_every_dress() {
    let login = login(vec![
        says(400, "authorization_pending"),
        says(429, "authorization_pending"),
        Ok(answer(200, r#"{"status":"pending"}"#)),
        Ok(answer(200, r#"{"status":"pending","access_token":null}"#)),
        says(200, "authorization_pending"),
        says(401, "authorization_pending"),
        says(400, "slow_down"),
        says(429, "slow_down"),
        says(400, "authorization_pending"),
        token(),
    ]);
    assert_eq!(login.waits, [5, 5, 5, 5, 5, 5, 5, 10, 15, 15]);
    assert_eq!(login.ended.unwrap(), "at");
    assert_eq!(
        login.form,
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&client_id=id&device_code=d%20c"
    );
}

#[test]
fn a_slow_down_with_an_interval_lengthens_to_it_and_never_shortens() {
    let wants = |interval: &str| {
        Ok(answer(
            200,
            &format!(r#"{{"error":"slow_down","interval":{interval}}}"#),
        ))
    };
    for (interval, waits) in [
        ("10", [5, 10, 10]),
        ("17", [5, 17, 17]),
        ("\"17\"", [5, 17, 17]),
        ("2", [5, 10, 10]),
        ("0", [5, 10, 10]),
        ("null", [5, 10, 10]),
        ("9e9", [5, 300, 300]),
    ] {
        let replies = vec![wants(interval), says(400, "authorization_pending"), token()];
        assert_eq!(login(replies).waits, waits, "{interval}");
    }
}

#[test]
fn faults_on_the_way_are_waited_out() {
    let mut told = answer(503, "<html>");
    told.retry_after = Some(Duration::from_secs(33));
    let login = login(vec![
        Ok(answer(502, "<html>bad gateway</html>")),
        Err(HttpError::Connect("refused".to_owned())),
        Err(HttpError::Reset("gone".to_owned())),
        says(400, "authorization_pending"),
        Err(HttpError::Cut("gone".to_owned())),
        Err(HttpError::Timeout(Phase::FirstByte, SECOND)),
        Ok(answer(429, "")),
        Ok(told),
        says(500, "server_error"),
        says(500, "made_up"),
        says(429, "rate_limited"),
        says(403, "rate_limit_exceeded"),
        says(400, "temporarily_unavailable"),
        says(504, "authorization_pending"),
        token(),
    ]);
    assert_eq!(
        login.waits,
        [5, 10, 20, 40, 5, 10, 20, 40, 60, 60, 60, 60, 60, 60, 5]
    );
    assert!(login.ended.is_ok());
}

#[test]
fn a_decision_ends_it_at_once() {
    for (status, code) in [
        (400, "access_denied"),
        (429, "access_denied"),
        (400, "invalid_grant"),
        (401, "invalid_client"),
        (400, "made_up"),
        (400, "invalid_request"),
    ] {
        let login = login(vec![says(status, code)]);
        assert_eq!(login.waits.len(), 1);
        assert!(login.ended.unwrap_err().is_refused_as(code), "{status} {code}");
    }
    assert!(matches!(
        login(vec![says(400, "expired_token")]).ended,
        Err(OauthError::Expired)
    ));
    for status in [200, 302, 400, 404] {
        let login = login(vec![Ok(answer(status, "<html>"))]);
        assert_eq!(login.waits.len(), 1);
        assert_eq!(login.ended.unwrap_err().exit(), Exit::Protocol, "{status}");
    }
    let tls = HttpError::Tls {
        reason: "bad".to_owned(),
        unknown_issuer: true,
        is_garbled: false,
    };
    assert!(matches!(
        login(vec![Err(tls)]).ended,
        Err(OauthError::Http(HttpError::Tls { .. }))
    ));
}

#[test]
fn the_time_runs_out_by_the_clock_that_counts_sleep() {
    let fake = Fake::default();
    *fake.replies.borrow_mut() = vec![says(400, "authorization_pending")];
    let login = login_with(&fake, 20, r#","interval":6"#);
    assert_eq!(login.waits, [6, 6]);
    assert!(matches!(login.ended, Err(OauthError::Expired)));
    assert_eq!(fake.now().as_secs(), 20);

    let fake = Fake::default();
    *fake.replies.borrow_mut() = vec![says(400, "authorization_pending")];
    fake.suspend.set(Duration::from_secs(3600));
    let login = login_with(&fake, 600, "");
    assert_eq!(
        login.waits, [0u64; 0],
        "nothing is polled after the lid was closed for an hour"
    );
    assert!(matches!(login.ended, Err(OauthError::Expired)));
}

#[test]
fn running_out_of_time_while_the_server_is_away_is_the_servers_fault() {
    let fake = Fake::default();
    *fake.replies.borrow_mut() = vec![Err(HttpError::Connect("refused".to_owned()))];
    let ended = login_with(&fake, 60, "").ended.unwrap_err();
    assert!(
        matches!(&ended, OauthError::Http(HttpError::Connect(_))),
        "{ended}"
    );
}

#[test]
fn progress_counts_down_and_tells_trouble() {
    let fake = Fake::default();
    *fake.replies.borrow_mut() = vec![Ok(answer(502, "")), says(400, "slow_down"), token()];
    let body = r#"{"device_code":"d","user_code":"u","verification_uri":"https://e.example/","expires_in":100,"interval":2}"#;
    let device = DeviceAuthorization::parse(&answer(200, body), false).unwrap();
    let verifier = CodeVerifier::generate().unwrap();
    let mut seen = Vec::new();
    let url = token_endpoint();
    TokenPoller::new(&fake, &fake, &url, &client(), Some(&verifier), &device)
        .poll_until_done(&mut |progress| {
            seen.push(match progress {
                Progress::Waiting(left) => format!("{}", left.as_secs()),
                Progress::SlowDown(interval) => format!("slower {}", interval.as_secs()),
                Progress::Retrying(error, wait) => format!("{error}, {}", wait.as_secs()),
            });
        })
        .unwrap();
    assert_eq!(
        seen.join("; "),
        "100; 99; the server responded with status 502, 4; 97; 96; 95; 94; slower 7; 92; 91; 90; 89; 88; 87; 86"
    );
    let form = fake.polls.borrow()[0].1.clone();
    let field = format!("&code_verifier={}", verifier.expose());
    assert!(form.ends_with(&field), "{form}");
}

/// What `interval` waits after each of `events`, in seconds: `.` a response, `s` a `slow_down`, `x` a failure, a digit a
/// failure with that many times ten seconds of `Retry-After`.
fn waits(interval: u64, events: &str) -> Vec<u64> {
    let mut interval = PollInterval::new(Duration::from_secs(interval));
    let mut next = |event: char| match event {
        '.' => interval.after_response(),
        's' => interval.after_slow_down(None),
        'x' => interval.after_failure(None),
        tens => interval.after_failure(
            tens.to_digit(10)
                .map(|tens| 10 * u64::from(tens))
                .map(Duration::from_secs),
        ),
    };
    events.chars().map(|event| next(event).as_secs()).collect()
}

#[test]
fn the_interval_follows_the_standard() {
    for (interval, events, expected) in [
        (5, "..", vec![5, 5]),
        (5, "s.s.", vec![10, 10, 15, 15]),
        (5, "xxxx.x", vec![10, 20, 40, 60, 5, 10]),
        (90, "xx", vec![90, 90]),
        (5, "sx.", vec![10, 20, 10]),
        (5, "31.", vec![30, 20, 5]),
    ] {
        assert_eq!(waits(interval, events), expected, "{interval} {events}");
    }
}

#[test]
fn an_interval_never_overflows() {
    let mut interval = PollInterval::new(Duration::MAX);
    for _ in 0..100 {
        assert_eq!(interval.after_slow_down(None), Duration::MAX);
        assert_eq!(interval.after_failure(Some(Duration::MAX)), Duration::MAX);
    }
}
