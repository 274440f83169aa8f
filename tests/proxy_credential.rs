//! The credential that qwen-proxy lends: fetched first, renewed in time and once, and told plainly where it is dead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::login::{OWN_FILE, login, with};
use crate::support::proxy::{Answer, Proxy};
use crate::support::{Gate, Identity, Reply, Request, Sandbox, Server, Tool, wait_until};

const CHAT: &str = "/v1/chat/completions";

/// A sandbox with a login at `identity` for `server`, which ends in so many seconds.
fn logged_in(identity: &Server, server: &Server, ends: i64) -> Sandbox {
    let sandbox = Sandbox::new();
    let oauth =
        json!({"token_endpoint": identity.url("/token"), "client_id": "c", "allowed_hosts": ["127.0.0.1"]});
    sandbox.config(
        &json!({"default_profile": "work", "profiles": {"work": {
            "provider": "custom", "method": "oauth", "base_url": server.url("/v1"), "model": "m",
            "key": {"store": "file"}, "oauth": oauth,
        }}})
        .to_string(),
    );
    sandbox.write(OWN_FILE, login(-3600, ends).to_string());
    sandbox
}

fn proxy(sandbox: &Sandbox) -> Tool {
    sandbox.tool("qwen-proxy")
}

fn token(access: &str, seconds: u64) -> Reply {
    let body = json!({"access_token": access, "refresh_token": "rt-new", "token_type": "Bearer", "expires_in": seconds});
    Reply::json(200, &body.to_string())
}

fn bearer(request: &Request) -> String {
    let header = request.header("authorization").unwrap_or_default();
    header.trim_start_matches("Bearer ").to_owned()
}

fn refused() -> Reply {
    Reply::json(
        401,
        r#"{"error":{"message":"token expired","code":"invalid_token"}}"#,
    )
}

/// A server that takes one token alone.
fn taking(good: &'static str) -> Server {
    Server::answering(move |_, request| match bearer(request) == good {
        true => Reply::json(200, r#"{"ok":true}"#),
        false => refused(),
    })
}

#[test]
fn one_renewal_serves_all_requests_in_flight() {
    let gate = Gate::default();
    let opened = gate.clone();
    let identity = Server::answering(move |_, _| {
        opened.pass();
        token("at-new", 3600)
    });
    let server = taking("at-new");
    let sandbox = logged_in(&identity, &server, 3600);
    let proxy = Proxy::of(proxy(&sandbox));
    let mut clients: Vec<_> = (0..32)
        .map(|_| {
            let mut connection = proxy.connect();
            connection.send(proxy.head("POST", CHAT, "content-length: 2\r\n") + "{}");
            connection
        })
        .collect();
    server.wait_for(32);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer().text(), r#"{"ok":true}"#);
    }
    assert_eq!(identity.count(), 1);
    assert_eq!(sandbox.stored()["access_token"], "at-new");
    assert_eq!(proxy.post(CHAT, "{}").status, 200);
    assert_eq!(identity.count(), 1);
}

/// Tokens that live five seconds, and a server that refuses each from its last moment on: no request meets that.
#[test]
fn a_token_is_renewed_before_its_end() {
    let alive: Arc<Mutex<Vec<(String, Instant)>>> = Arc::default();
    let issued = Arc::clone(&alive);
    let identity = Server::answering(move |count, _| {
        let access = format!("at-{count}");
        let end = Instant::now() + Duration::from_secs(5);
        issued.lock().unwrap().push((access.clone(), end));
        token(&access, 5)
    });
    let seen: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let noted = Arc::clone(&seen);
    let server = Server::answering(move |_, request| {
        let token = bearer(request);
        let is_alive = alive.lock().unwrap().iter().any(|(known, _)| *known == token);
        noted.lock().unwrap().insert(token);
        if is_alive {
            Reply::json(200, "{}")
        } else {
            refused()
        }
    });
    let sandbox = logged_in(&identity, &server, 1);
    let proxy = Proxy::of(proxy(&sandbox));
    while seen.lock().unwrap().len() < 3 {
        assert_eq!(proxy.post(CHAT, "{}").status, 200);
        thread::sleep(Duration::from_millis(50));
    }
    assert!(identity.count() <= 5, "{}", identity.count());
}

#[test]
fn an_identity_server_that_is_down_is_not_asked_for_every_request() {
    let identity = Server::script([Reply::json(503, "{}")]);
    let server = taking("at-new");
    let sandbox = logged_in(&identity, &server, 3600);
    let proxy = Proxy::of(proxy(&sandbox));
    let began = Instant::now();
    for _ in 0..20 {
        let answer = proxy.post(CHAT, "{}");
        // The login may be alive: it is the renewal that failed.
        assert!(matches!(answer.status, 401 | 503), "{}", answer.text());
        assert_eq!(answer.header("x-qwen-proxy"), Some("1"));
        if answer.status == 503 {
            answer.refuses(503, "credential_unavailable");
            assert!(answer.header("retry-after").is_some());
            assert_eq!(answer.header("x-should-retry"), Some("true"));
        }
    }
    let most = 4 * (1 + began.elapsed().as_secs() as usize / 5);
    assert!(identity.count() <= most, "{} of 20", identity.count());
}

#[test]
fn a_dead_login_is_told_with_its_remedy() {
    let identity = Server::script([Reply::json(400, r#"{"error":"invalid_grant"}"#)]);
    let server = taking("at-new");
    let sandbox = logged_in(&identity, &server, 3600);
    let proxy = Proxy::of(proxy(&sandbox));
    let began = Instant::now();
    for _ in 0..20 {
        let answer = proxy.post(CHAT, "{}");
        answer.refuses(401, "login_required");
        assert!(
            answer.text().contains("qwen-login --profile work"),
            "{}",
            answer.text()
        );
        assert!(!answer.text().contains("at-old") && !answer.text().contains("rt-old"));
        assert_eq!(answer.header("x-should-retry"), Some("false"));
    }
    let most = 2 * (1 + began.elapsed().as_secs() as usize / 5);
    assert!(identity.count() <= most, "{}", identity.count());
    let said = proxy.ends().stderr;
    assert!(!said.contains("at-old") && !said.contains("rt-old"), "{said}");
}

#[test]
fn a_server_that_refuses_every_token_costs_few_renewals() {
    let identity = Server::answering(|count, _| token(&format!("at-{count}"), 3600));
    let server = Server::script([refused()]);
    let sandbox = logged_in(&identity, &server, 3600);
    let proxy = Proxy::of(proxy(&sandbox));
    let began = Instant::now();
    for _ in 0..20 {
        proxy.post(CHAT, "{}").refuses(401, "login_required");
    }
    let most = 2 * (1 + began.elapsed().as_secs() as usize / 60);
    assert!(identity.count() <= most, "{}", identity.count());
}

/// A body that is gone cannot be sent again: the client is told that it is worth doing.
#[test]
fn a_refused_upload_renews_and_is_the_clients_to_repeat() {
    let identity = Server::script([token("at-new", 3600)]);
    let server = taking("at-new");
    let sandbox = logged_in(&identity, &server, 3600);
    let proxy = Proxy::of(proxy(&sandbox));
    let upload = |size: usize| -> Answer {
        proxy.post_with(
            "/v1/audio/transcriptions",
            "content-type: application/octet-stream\r\n",
            vec![b'x'; size],
        )
    };
    let answer = upload(500_000);
    answer.refuses(503, "credential_renewed");
    assert_eq!(answer.header("x-should-retry"), Some("true"));
    assert_eq!(upload(500_000).status, 200);
    assert_eq!(identity.count(), 1);
}

#[test]
fn a_small_upload_is_sent_again_by_itself() {
    let identity = Server::script([token("at-new", 3600)]);
    let server = taking("at-new");
    let sandbox = logged_in(&identity, &server, 3600);
    let proxy = Proxy::of(proxy(&sandbox));
    let answer = proxy.post(CHAT, "{\"a\":1}");
    assert_eq!((answer.status, server.count()), (200, 2));
    assert_eq!(server.requests()[1].text(), "{\"a\":1}");
}

#[test]
fn a_key_that_a_command_prints_is_fetched_anew_when_it_is_refused() {
    let server = taking("key-2-0123456789abcdef");
    let sandbox = Sandbox::new();
    sandbox.write("count", "0");
    let script = "n=$(($(cat \"$COUNT\") + 1)); echo $n > \"$COUNT\"; echo key-$n-0123456789abcdef";
    sandbox.config(
        &json!({"default_profile": "p", "profiles": {"p": {"method": "api-key", "base_url": server.url("/v1"),
            "key": {"command": ["/bin/sh", "-c", script]}}}})
        .to_string(),
    );
    let proxy = Proxy::of(proxy(&sandbox).env("COUNT", sandbox.root().join("count")));
    assert_eq!(sandbox.read("count").trim(), "1");
    for _ in 0..5 {
        assert_eq!(proxy.post(CHAT, "{}").status, 200);
    }
    assert_eq!(sandbox.read("count").trim(), "2");
}

#[test]
fn a_refused_key_is_told_with_the_place_it_came_from() {
    let sandbox = Sandbox::new();
    let server = Server::script([refused()]);
    let proxy = Proxy::start(&sandbox, &server, &[]);
    let answer = proxy.post(CHAT, "{}");
    answer.refuses(401, "login_required");
    assert!(answer.text().contains("OPENAI_API_KEY"), "{}", answer.text());
    assert_eq!(server.count(), 1);
}

#[test]
fn a_store_that_fails_is_told_with_the_login_of_the_profile_that_was_chosen() {
    let identity = Server::answering(|count, _| token(&format!("at-{count}"), 1));
    let server = Server::script([Reply::json(200, r#"{"ok":true}"#)]);
    let sandbox = logged_in(&identity, &server, 1);
    let proxy = Proxy::of(proxy(&sandbox).args(["--profile", "work"]));
    let link = sandbox.root().join("link");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    std::fs::rename(&link, sandbox.root().join(OWN_FILE)).unwrap();
    let mut text = String::new();
    wait_until("the token's end", || {
        let answer = proxy.post(CHAT, "{}");
        text = answer.text();
        answer.status != 200
    });
    assert!(
        text.contains("remove it, then run 'qwen-login --profile work'"),
        "{text}"
    );
}

#[test]
fn without_a_credential_nothing_is_served() {
    let sandbox = Sandbox::new();
    sandbox.config(
        r#"{"default_profile":"p","profiles":{"p":{"method":"api-key","base_url":"https://llm.example/v1","key":{"store":"file"}}}}"#,
    );
    sandbox
        .tool("qwen-proxy")
        .args(["--", "echo", "it runs"])
        .run()
        .fails(77, &["no credential", "qwen-login"]);
    // Nor where the key may not go.
    let tool = Proxy::tool(&sandbox, "http://llm.example/v1");
    tool.args(["--", "echo", "it runs"])
        .run()
        .fails(78, &["plain http"]);
}

/// A refusal that says nothing about the credential is the server's own, and passes.
#[test]
fn a_refusal_that_is_about_something_else_renews_nothing() {
    let identity = Server::untouched();
    let refusals = [
        Reply::json(
            403,
            r#"{"error":{"message":"Country, region, or territory not supported","code":"unsupported_country_region_territory"}}"#,
        ),
        Reply::json(400, r#"{"error":{"message":"bad request"}}"#),
        Reply::json(
            429,
            r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#,
        ),
    ];
    let server = Server::script(refusals);
    let sandbox = logged_in(&identity, &server, 3600);
    let proxy = Proxy::of(proxy(&sandbox));
    for status in [403, 400, 429] {
        let answer = proxy.post(CHAT, "{}");
        assert_eq!((answer.status, answer.header("x-qwen-proxy")), (status, None));
    }
}

/// How long the tokens of the ailing authority live.
const LIFE: Duration = Duration::from_secs(2);

/// The token endpoint of a real authority that takes a refresh token once, on a bad day: of three renewals the first fails, the
/// second is slow. It notes when it has issued each token.
fn ailing(
    identity: Arc<Identity>,
    issued: Arc<Mutex<BTreeMap<String, Instant>>>,
    is_well: Arc<AtomicBool>,
) -> Server {
    Server::answering(move |count, request| {
        let form = request.text();
        let is_well = is_well.load(Ordering::Relaxed);
        if count % 3 == 0 && !is_well {
            return Reply::json(500, "{}");
        }
        let token = form
            .split('&')
            .find_map(|pair| pair.strip_prefix("refresh_token="));
        let answer = identity.refresh(token.unwrap());
        let Some(access) = answer["access_token"].as_str() else {
            return Reply::json(400, &answer.to_string());
        };
        if count % 3 == 1 && !is_well {
            thread::sleep(Duration::from_millis(400));
        }
        issued.lock().unwrap().insert(access.to_owned(), Instant::now());
        Reply::json(200, &answer.to_string())
    })
}

/// Asks with 32 clients until so many renewals have been granted; returns how often each code came, with `ok` for answers.
fn besiege(proxy: &Proxy, identity: &Identity, renewals: u64) -> BTreeMap<String, usize> {
    let (is_over, codes) = (
        AtomicBool::new(false),
        Mutex::<BTreeMap<String, usize>>::default(),
    );
    let before = identity.refreshes().1;
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let answer = proxy.post(CHAT, "{}");
                    let code = match answer.status {
                        200 => "ok".to_owned(),
                        _ => answer.code(),
                    };
                    if code == "credential_unavailable" {
                        answer.refuses(503, &code);
                        assert!(answer.header("retry-after").is_some());
                    }
                    *codes.lock().unwrap().entry(code).or_default() += 1;
                }
            });
        }
        wait_until("so many renewals", || identity.refreshes().1 >= before + renewals);
        is_over.store(true, Ordering::Relaxed);
    });
    codes.into_inner().unwrap()
}

/// 32 clients, tokens of two seconds, an authority that fails and dawdles: no login is taken for dead, no refresh token is
/// spent twice, and it all goes on when the authority is well again.
#[test]
fn an_ailing_authority_costs_delays_and_no_login() {
    let Some(identity) = Identity::start(&[("AT_TTL", "2")]) else {
        return;
    };
    let (identity, is_well) = (Arc::new(identity), Arc::new(AtomicBool::new(false)));
    let issued: Arc<Mutex<BTreeMap<String, Instant>>> = Arc::default();
    let endpoint = ailing(Arc::clone(&identity), Arc::clone(&issued), Arc::clone(&is_well));
    let server = Server::answering(move |_, request| {
        let issued = issued.lock().unwrap();
        match issued.get(&bearer(request)).is_some_and(|at| at.elapsed() < LIFE) {
            true => Reply::json(200, "{}"),
            false => refused(),
        }
    });
    let tokens = identity.login();
    let sandbox = logged_in(&endpoint, &server, 1);
    let tokens = json!({"access_token": tokens["access_token"], "refresh_token": tokens["refresh_token"]});
    sandbox.write(OWN_FILE, with(login(-2, 1), tokens).to_string());
    let before = identity.refreshes();
    let proxy = Proxy::of(proxy(&sandbox));
    let codes = besiege(&proxy, &identity, 4);
    let names: Vec<&str> = codes.keys().map(String::as_str).collect();
    assert!(
        names == ["credential_unavailable", "ok"] || names == ["ok"],
        "{codes:?}"
    );
    is_well.store(true, Ordering::Relaxed);
    wait_until("a renewal", || proxy.post(CHAT, "{}").status == 200);
    let codes = besiege(&proxy, &identity, 3);
    assert_eq!(codes.keys().collect::<Vec<_>>(), ["ok"], "{codes:?}");
    let after = identity.refreshes();
    assert_eq!(
        after.0 - before.0,
        after.1 - before.1,
        "a refresh token was spent twice"
    );
}
