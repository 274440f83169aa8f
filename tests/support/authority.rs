//! An authorization server by script: for the faults that a real one never shows.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::run::{Run, Tool};
use super::sandbox::Sandbox;
use super::server::{Reply, Request, Server};

pub const DEVICE_CODE: &str = "canary-device-code";
pub const ACCESS: &str = "canary-access-token";
pub const REFRESH: &str = "canary-refresh-token";
pub const USER_CODE: &str = "WDJB-MJHT";
pub const URI: &str = "https://id.example/device";
pub const COMPLETE: &str = "https://id.example/device?user_code=WDJB-MJHT&client=qwen-code";

/// A sound answer to a device authorization request, with an interval of a second.
pub fn device() -> Value {
    json!({
        "device_code": DEVICE_CODE, "user_code": USER_CODE, "verification_uri": URI,
        "verification_uri_complete": COMPLETE, "expires_in": 600, "interval": 1,
    })
}

/// The same with some members replaced; `null` takes one away.
pub fn device_with(changes: Value) -> Value {
    let mut answer = device();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => answer.as_object_mut().unwrap().shift_remove(name),
            value => answer
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
    answer
}

/// A sound answer of the token endpoint.
pub fn token() -> Value {
    json!({
        "access_token": ACCESS, "refresh_token": REFRESH, "token_type": "Bearer", "expires_in": 3600,
        "resource_url": "127.0.0.1", "added_by_server": {"kept": true},
    })
}

pub fn ok(body: &Value) -> Reply {
    Reply::json(200, &body.to_string())
}

pub fn refusal(status: u16, code: &str) -> Reply {
    Reply::json(status, &json!({ "error": code }).to_string())
}

/// What the server answers, and when it was asked: `device` once, then `polls` in order, the last of them ever after.
pub struct Authority {
    pub server: Server,
    times: std::sync::Arc<Mutex<Vec<Instant>>>,
}

impl Authority {
    pub fn new(device: Reply, polls: impl IntoIterator<Item = Reply>) -> Self {
        let polls = Mutex::new(polls.into_iter().collect::<VecDeque<Reply>>());
        Self::answering(device, move || {
            let mut polls = polls.lock().unwrap();
            if polls.len() > 1 {
                polls.pop_front().unwrap()
            } else {
                polls.front().cloned().unwrap()
            }
        })
    }

    /// Answers each poll by a function.
    pub fn answering(device: Reply, poll: impl Fn() -> Reply + Send + Sync + 'static) -> Self {
        let times: std::sync::Arc<Mutex<Vec<Instant>>> = std::sync::Arc::default();
        let noted = std::sync::Arc::clone(&times);
        let server = Server::answering(move |_, request: &Request| match request.target.as_str() {
            "/device" => device.clone(),
            "/token" => {
                noted.lock().unwrap().push(Instant::now());
                poll()
            }
            _ => Reply::json(404, "{}"),
        });
        Self { server, times }
    }

    /// A login that succeeds at the first poll.
    pub fn approving() -> Self {
        Self::new(ok(&device()), [ok(&token())])
    }

    /// The `oauth` member of a profile that logs in here.
    pub fn oauth(&self) -> Value {
        oauth(&self.server.url(""))
    }

    /// Writes a profile `lab` that logs in here.
    pub fn configure(&self, sandbox: &Sandbox) {
        let profile = json!({"method": "oauth", "oauth": self.oauth()});
        sandbox.config(&json!({"profiles": {"lab": profile}}).to_string());
    }

    /// The times between the polls, in whole seconds.
    pub fn waits(&self) -> Vec<u64> {
        let times = self.times.lock().unwrap();
        times
            .windows(2)
            .map(|pair| (pair[1] - pair[0] + Duration::from_millis(20)).as_secs())
            .collect()
    }

    /// The bodies of the requests to the token endpoint.
    pub fn polls(&self) -> Vec<String> {
        self.server
            .requests()
            .iter()
            .filter(|request| request.target == "/token")
            .map(Request::text)
            .collect()
    }
}

/// The `oauth` member of a profile whose endpoints are below `url`.
pub fn oauth(url: &str) -> Value {
    json!({
        "device_authorization_endpoint": format!("{url}/device"),
        "token_endpoint": format!("{url}/token"),
        "client_id": "toolkit", "scope": "openid model.completion", "allowed_hosts": ["127.0.0.1"],
    })
}

pub fn login(sandbox: &Sandbox) -> Tool {
    sandbox
        .detached("qwen-login")
        .args(["--oauth", "--no-verify", "--store", "file"])
}

/// Runs a login against the server in a new home.
pub fn run(authority: &Authority) -> (Sandbox, Run) {
    let sandbox = Sandbox::new();
    authority.configure(&sandbox);
    let run = login(&sandbox).run();
    (sandbox, run)
}

pub fn stored(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&sandbox.read("home/.config/qwen/credentials/lab.json")).unwrap()
}

#[track_caller]
pub fn nothing_is_stored(sandbox: &Sandbox) {
    let path = sandbox.home().join(".config/qwen/credentials/lab.json");
    assert!(!path.exists(), "{}", path.display());
}
