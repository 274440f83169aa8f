//! What went wrong with other local proxies and wrappers, rebuilt from public reports.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use serde::Deserialize;

use crate::support::Sandbox;
use crate::support::proxy::{KEY, Proxy, RawServer};

#[derive(Deserialize)]
struct Reports {
    wire: Vec<Exchange>,
    life: Vec<Script>,
}

/// Bytes of a client and a server, and what either of them gets.
#[derive(Deserialize)]
struct Exchange {
    name: String,
    report: String,
    send: String,
    answers: String,
    #[serde(default)]
    resets: bool,
    /// What of the request the server sees.
    #[serde(default)]
    sees: Vec<String>,
    gets: Vec<String>,
    #[serde(default)]
    lacks: Vec<String>,
    #[serde(default)]
    ends: String,
}

/// A script of bash, and what it prints.
#[derive(Deserialize)]
struct Script {
    name: String,
    report: String,
    script: String,
    stdout: String,
}

fn reports() -> Reports {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/proxy/reports.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn what_passes_through_is_what_the_reports_wanted() {
    let sandbox = Sandbox::new();
    for case in reports().wire {
        let name = format!("{} ({})", case.name, case.report);
        let upstream = RawServer::start();
        let proxy = Proxy::of(Proxy::tool(&sandbox, &upstream.url()));
        let mut client = proxy.connect();
        client.send(case.send.replace("{token}", &proxy.token));
        let mut server = upstream.accept();
        server.wait_for("\r\n\r\n");
        for seen in &case.sees {
            server.wait_for(seen);
        }
        server.send(&case.answers);
        if case.resets {
            client.wait_for(&case.gets[case.gets.len() - 1]);
            set_socket_linger(&server.stream, Some(Duration::ZERO)).unwrap();
            drop(server);
        }
        client.is_closed();
        let got = client.text();
        for text in &case.gets {
            assert!(got.contains(text), "{name}: no {text:?} in {got:?}");
        }
        for text in &case.lacks {
            assert!(!got.contains(text), "{name}: {text:?} in {got:?}");
        }
        assert!(got.ends_with(&case.ends), "{name}: {got:?}");
    }
}

#[test]
fn a_command_lives_and_ends_as_the_reports_wanted() {
    let cases = reports().life.into_iter().map(|case| {
        thread::spawn(move || {
            let sandbox = Sandbox::new();
            let tool = sandbox.command("/bin/bash").args(["-c", &case.script]);
            let tool = tool
                .env("OPENAI_API_KEY", KEY)
                .env("OPENAI_BASE_URL", "http://127.0.0.1:9/v1");
            let run = tool.run();
            assert_eq!(
                run.text(),
                case.stdout,
                "{} ({}): {run:#?}",
                case.name,
                case.report
            );
        })
    });
    for case in cases.collect::<Vec<_>>() {
        case.join().unwrap();
    }
}
