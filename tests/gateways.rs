//! Against real gateways: nginx, with its own pages in the place of the API's errors, and LiteLLM's proxy.
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::batch::{line, results, whole};
use crate::support::chat::{KEY, answer};
use crate::support::{Reply, Sandbox, Server, Tool, peers, wait_until};
use serde_json::json;

/// A gateway; it ends when this is dropped.
pub struct Gateway {
    child: Child,
    pub port: u16,
}

impl Gateway {
    /// Starts a gateway and waits until it listens.
    pub fn start(mut command: Command, port: u16) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let gateway = Self { child, port };
        wait_until("the gateway listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        gateway
    }

    fn chat(&self, sandbox: &Sandbox, path: &str) -> Tool {
        sandbox
            .tool("qwen-chat")
            .env("OPENAI_API_KEY", KEY)
            .env("OPENAI_BASE_URL", format!("http://127.0.0.1:{}{path}", self.port))
            .env("OPENAI_MODEL", "m-1")
            .args(["--no-stdin", "--retries", "0"])
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// nginx in front of `server`; `None`, said loudly, where it is not installed. With a certificate it speaks TLS.
fn nginx(sandbox: &Sandbox, server: &Server, certificate: Option<(&str, &str)>) -> Option<Gateway> {
    let program = PathBuf::from("/usr/sbin/nginx");
    if !peers::present("nginx", program.is_file()) {
        return None;
    }
    let (port, root, upstream) = (free_port(), sandbox.root(), server.port());
    let root = root.display();
    let (mode, tls) = match certificate {
        Some((certificate, key)) => (
            " ssl",
            format!("ssl_certificate {certificate}; ssl_certificate_key {key};"),
        ),
        None => ("", String::new()),
    };
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {root}/{name};"))
        .collect();
    let pass = format!("proxy_pass http://127.0.0.1:{upstream}/v1/; proxy_buffering off;");
    let config = sandbox.write(
        "nginx.conf",
        format!(
            "daemon off; master_process off; pid {root}/nginx.pid; error_log {root}/nginx.log; events {{}}
            http {{ log_format status $status; access_log {root}/statuses status; {paths} limit_req_zone $binary_remote_addr zone=z:1m rate=60r/m; limit_req_zone $binary_remote_addr zone=y:1m rate=30r/m;
              server {{ listen 127.0.0.1:{port}{mode}; {tls}
                location /v1/ {{ {pass} }}
                location /auth/ {{ return 401; }}
                location /denied/ {{ return 403; }}
                location /small/ {{ client_max_body_size 10; {pass} }}
                location /gone/ {{ proxy_pass http://127.0.0.1:1/; }}
                location /slow/ {{ proxy_read_timeout 1s; {pass} }}
                location /limited/ {{ limit_req zone=z; limit_req_status 429; {pass} }}
                location /slowly/ {{ limit_req zone=y; limit_req_status 429; {pass} }}
              }} }}"
        ),
    );
    let mut command = Command::new(program);
    command.arg("-c").arg(config).arg("-p").arg(sandbox.root());
    Some(Gateway::start(command, port))
}

#[test]
fn the_pages_of_nginx_are_no_verdict_on_a_key_and_none_is_shown() {
    let sandbox = Sandbox::new();
    let server = Server::answering(
        |_, request| match request.json()["messages"][0]["content"].as_str() {
            Some("wait") => Reply::default().hold(),
            _ => answer(&["Hello"]),
        },
    );
    let Some(nginx) = nginx(&sandbox, &server, None) else {
        server.url("");
        return;
    };
    nginx
        .chat(&sandbox, "/v1")
        .arg("hi")
        .run()
        .gives(0, "Hello\n", "");
    for (path, question, code, words) in [
        ("/auth", "hi", 69, "(401)"),
        ("/denied", "hi", 69, "(403)"),
        ("/small", "hi", 65, "(413)"),
        ("/nowhere", "hi", 69, "(404)"),
        ("/gone", "hi", 75, "(502)"),
        ("/slow", "wait", 75, "(504)"),
    ] {
        let run = nginx.chat(&sandbox, path).arg(question).run();
        let run = run.fails(code, &[words]);
        assert!(!run.stderr.contains('<'), "{run:#?}");
        assert!(!run.stderr.contains("check the key"), "{run:#?}");
    }
}

#[test]
fn a_limit_of_nginx_is_waited_for() {
    let sandbox = Sandbox::new();
    let server = Server::answering(|_, _| whole("Hello"));
    let Some(nginx) = nginx(&sandbox, &server, None) else {
        server.url("");
        return;
    };
    let lines: String = (0..3).map(|number| line(&format!("q{number}"), "x")).collect();
    let run = sandbox
        .tool("qwen-batch")
        .env("OPENAI_API_KEY", KEY)
        .env(
            "OPENAI_BASE_URL",
            format!("http://127.0.0.1:{}/limited", nginx.port),
        )
        .env("OPENAI_MODEL", "m-1")
        .args(["run", "-j", "2"])
        .stdin(lines)
        .run()
        .exits(0);
    assert_eq!(results(&run.text()).len(), 3);
    assert!(sandbox.read("statuses").contains("429"));
}

/// Runs numbered lines against a gateway; all are to be answered.
#[track_caller]
fn all_are_answered(sandbox: &Sandbox, base: String, key: &str, model: &str, count: usize) {
    let lines: String = (0..count)
        .map(|number| line(&format!("q{number}"), "x"))
        .collect();
    let run = sandbox
        .tool("qwen-batch")
        .env("OPENAI_API_KEY", key)
        .env("OPENAI_BASE_URL", base)
        .env("OPENAI_MODEL", model)
        .args(["run", "--retries", "0"])
        .stdin(lines)
        .limit(Duration::from_secs(1_200))
        .run()
        .exits(0);
    assert_eq!(results(&run.text()).len(), count);
    println!("{count} lines in {:?}: {}", run.elapsed, run.stderr);
    let said = run.stderr.lines().filter(|line| !line.contains(" done"));
    assert!(said.count() < count / 2 + 6, "{run:#?}");
}

/// A limit of thirty a minute without a word on how long: a dozen lines; sixty with QWEN_LONG.
#[test]
fn a_limit_of_nginx_that_says_nothing_costs_no_line() {
    let sandbox = Sandbox::new();
    let server = Server::answering(|_, _| whole("Hello"));
    let Some(nginx) = nginx(&sandbox, &server, None) else {
        server.url("");
        return;
    };
    let count = if std::env::var_os("QWEN_LONG").is_some() {
        60
    } else {
        12
    };
    let base = format!("http://127.0.0.1:{}/slowly", nginx.port);
    all_are_answered(&sandbox, base, KEY, "m-1", count);
    let statuses = sandbox.read("statuses");
    let count = |status: &str| statuses.lines().filter(|line| *line == status).count();
    println!("{} answers, {} refusals", count("200"), count("429"));
    assert!(count("429") > 0);
}

#[test]
fn the_usual_self_signed_certificate_is_trusted_where_it_is_named() {
    let sandbox = Sandbox::new();
    let openssl = peers::command("openssl");
    if !peers::present("openssl", openssl.is_some()) {
        return;
    }
    let server = Server::answering(|_, _| answer(&["Hello"]));
    let (certificate, key) = (sandbox.root().join("cert.pem"), sandbox.root().join("key.pem"));
    let made = Command::new(openssl.unwrap())
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "3",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let named = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let Some(nginx) = nginx(&sandbox, &server, Some(named)) else {
        server.url("");
        return;
    };
    let ask = || {
        nginx
            .chat(&sandbox, "/v1")
            .env("OPENAI_BASE_URL", format!("https://127.0.0.1:{}/v1", nginx.port))
            .arg("hi")
    };
    ask().run().fails(78, &["certificate", "SSL_CERT_FILE"]);
    ask()
        .env("SSL_CERT_FILE", &certificate)
        .run()
        .gives(0, "Hello\n", "");
}

/// LiteLLM's proxy is heavy: it is installed by `tests/all --long` alone.
#[test]
fn litellm_is_understood_in_what_it_refuses() {
    let program = peers::directory().join("litellm/bin/litellm");
    if !program.is_file() {
        eprintln!("SKIPPED: the peer 'litellm' is missing; run tests/peers/install litellm");
        return;
    }
    let sandbox = Sandbox::new();
    let server = Server::answering(|_, request| match request.json()["stream"].as_bool() {
        Some(true) => answer(&["Hello"]),
        _ => whole("Hello"),
    });
    let port = free_port();
    let model = json!({
        "model_name": "m-1",
        "litellm_params": {"model": "openai/m-1", "api_base": server.url("/v1"), "api_key": "sk-upstream"},
    });
    let slow = json!({
        "model_name": "slow",
        "litellm_params": {"model": "openai/m-1", "api_base": server.url("/v1"), "api_key": "sk-upstream", "rpm": 20},
    });
    let config = json!({
        "model_list": [model, slow], "general_settings": {"master_key": "sk-master-0123456789"},
        // The one that keeps to the limits of a model.
        "router_settings": {"routing_strategy": "usage-based-routing-v2", "num_retries": 0},
    });
    let config = sandbox.write("litellm.yaml", config.to_string());
    let mut command = Command::new(program);
    command
        .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--config"])
        .arg(config)
        .env("HOME", sandbox.home())
        .env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
    let litellm = Gateway::start(command, port);
    let ask = |key: &str, model: &str| {
        litellm
            .chat(&sandbox, "/v1")
            .env("OPENAI_API_KEY", key)
            .args(["-m", model, "hi"])
            .run()
    };
    ask("sk-master-0123456789", "m-1").gives(0, "Hello\n", "");
    ask("sk-nobodys-0123456789", "m-1").exits(77);
    ask("sk-master-0123456789", "nobodys").exits(69);
    // Its own limit on a model: no line fails.
    if std::env::var_os("QWEN_LONG").is_some() {
        let base = format!("http://127.0.0.1:{port}/v1");
        all_are_answered(&sandbox, base, "sk-master-0123456789", "slow", 60);
    }
}
