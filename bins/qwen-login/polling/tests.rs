use std::cell::{Cell, RefCell};
use std::time::Duration;

use qwen_shared::net::http::{HttpError, Phase};
use qwen_shared::net::oauth::{Answer, Endpoints, OauthError, PublicClient, Transport};
use url::Url;

use super::{Clock, Exchange, Progress};
use crate::authorization::{Attempt, DeviceAuthorization};

const SECOND: Duration = Duration::from_secs(1);

/// A clock that a poll and a sleep move, and nothing else.
#[derive(Default)]
struct Fake {
    now: Cell<Duration>,
    replies: RefCell<Vec<Result<Answer, HttpError>>>,
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
    fn post_form(&self, _: &Url, headers: &[(&str, &str)], form: &str) -> Result<Answer, HttpError> {
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

    fn fetch(&self, _: &Url) -> Result<Answer, HttpError> {
        unreachable!("polling fetches nothing")
    }
}

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status,
        content_type: None,
        retry_after: None,
        date: None,
        body: body.as_bytes().to_vec(),
    }
}

fn says(status: u16, code: &str) -> Result<Answer, HttpError> {
    Ok(answer(status, &format!(r#"{{"error":"{code}"}}"#)))
}

fn token() -> Result<Answer, HttpError> {
    Ok(answer(200, r#"{"access_token":"at","token_type":"Bearer"}"#))
}

fn server(pkce: bool) -> (Endpoints, PublicClient) {
    let url = Url::parse("http://127.0.0.1/x").unwrap();
    let endpoints = Endpoints {
        device_authorization_endpoint: url.clone(),
        token_endpoint: url,
        revocation_endpoint: None,
    };
    let client = PublicClient {
        client_id: "id".to_owned(),
        scope: String::new(),
        pkce,
    };
    (endpoints, client)
}

struct Login {
    /// Seconds from one poll's end to the next one's start.
    waits: Vec<u64>,
    form: String,
    ended: Result<String, OauthError>,
}

fn login_with(fake: &Fake, life: u64, interval: &str) -> Login {
    let (endpoints, client) = server(false);
    let body = format!(
        r#"{{"device_code":"d c","user_code":"u","verification_uri":"https://e.example/","expires_in":{life}{interval}}}"#
    );
    let device = DeviceAuthorization::parse(&answer(200, &body)).unwrap();
    let attempt = Attempt::begin(&client).unwrap();
    let exchange = Exchange::new(fake, fake, &endpoints, &client, &attempt, &device);
    let ended = exchange.wait(&mut |_: Progress<'_>| {});
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

fn login(replies: Vec<Result<Answer, HttpError>>) -> Login {
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
        says(504, "authorization_pending"),
        token(),
    ]);
    assert_eq!(login.waits, [5, 10, 20, 40, 5, 10, 20, 40, 60, 60, 60, 60, 5]);
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
        assert!(matches!(login.ended, Err(OauthError::Refused { code: got, .. }) if got == code));
    }
    assert!(matches!(
        login(vec![says(400, "expired_token")]).ended,
        Err(OauthError::Expired)
    ));
    for status in [200, 302, 400, 404] {
        let login = login(vec![Ok(answer(status, "<html>"))]);
        assert_eq!(login.waits.len(), 1);
        assert!(matches!(login.ended, Err(OauthError::Malformed(_))), "{status}");
    }
    let tls = HttpError::Tls {
        reason: "bad".to_owned(),
        unknown_issuer: true,
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
    let (endpoints, client) = server(true);
    let body = r#"{"device_code":"d","user_code":"u","verification_uri":"https://e.example/","expires_in":100,"interval":2}"#;
    let device = DeviceAuthorization::parse(&answer(200, body)).unwrap();
    let attempt = Attempt::begin(&client).unwrap();
    let mut seen = Vec::new();
    Exchange::new(&fake, &fake, &endpoints, &client, &attempt, &device)
        .wait(&mut |progress| {
            seen.push(match progress {
                Progress::Waiting(left) => format!("{}", left.as_secs()),
                Progress::Slower(interval) => format!("slower {}", interval.as_secs()),
                Progress::Trouble(error, wait) => format!("{error}, {}", wait.as_secs()),
            });
        })
        .unwrap();
    assert_eq!(
        seen.join("; "),
        "100; 99; the server answers with status 502, 4; 97; 96; 95; 94; slower 7; 92; 91; 90; 89; 88; 87; 86"
    );
    let verifier = fake.polls.borrow()[0].1.clone();
    assert!(verifier.contains("&code_verifier="), "{verifier}");
}
