//! TLS and proxies: whose certificates count, what a bad one is called, and what passes through whom.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::chat::{KEY, answer};
use support::tls::{Authority, Tunnel};
use support::{Run, Sandbox, Server, Tool};

const NOW: (&str, &str) = ("20200101", "20991231");

/// qwen-chat about to ask this base URL.
fn ask(sandbox: &Sandbox, base: &str) -> Tool {
    sandbox
        .tool("qwen-chat")
        .env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", base)
        .args(["--retries", "0", "hi"])
}

#[test]
fn a_private_authority_is_trusted_through_ssl_cert_file_and_only_so() {
    let Some(authority) = Authority::new() else { return };
    let (sandbox, server) = (Sandbox::new(), Server::script([answer(&["secret ", "words"])]));
    for host in ["localhost", "127.0.0.1"] {
        let base = format!("https://{host}:{}/v1", authority.guard(&server, host, NOW).port());
        let run = ask(&sandbox, &base).run();
        run.fails(
            78,
            &[
                "the server's certificate is from an unknown issuer",
                "hint: set SSL_CERT_FILE",
            ],
        );
        let run = ask(&sandbox, &base)
            .env("SSL_CERT_FILE", authority.certificate())
            .run();
        run.gives(0, "secret words\n", "");
    }
    assert_eq!(server.requests().len(), 2);
    let bearer = format!("Bearer {KEY}");
    assert_eq!(
        server.requests()[0].header("authorization"),
        Some(bearer.as_str())
    );
}

#[test]
fn a_bad_certificate_is_named_and_nothing_is_sent() {
    let Some(authority) = Authority::new() else { return };
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    for (host, days, reason) in [
        (
            "localhost",
            ("20200101", "20200102"),
            "the server's certificate has expired",
        ),
        (
            "localhost",
            ("20980101", "20991231"),
            "the server's certificate is not valid yet",
        ),
        (
            "other.example",
            NOW,
            "the server's certificate is for another host name",
        ),
    ] {
        let guarded = authority.guard(&server, host, days);
        let run = ask(&sandbox, &format!("https://localhost:{}/v1", guarded.port()))
            .env("SSL_CERT_FILE", authority.certificate())
            .run();
        run.fails(76, &["no secure connection: ", reason]);
    }
}

#[test]
fn a_certificate_file_that_is_none_is_a_setting_to_fix() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    let empty = sandbox.write("empty.pem", "");
    for file in [empty.as_path(), std::path::Path::new("/nowhere.pem")] {
        let run = ask(&sandbox, &format!("https://localhost:{}/v1", server.port()))
            .env("SSL_CERT_FILE", file)
            .run();
        run.fails(78, &["no CA certificates"]);
    }
}

#[test]
fn a_server_that_speaks_no_tls_is_a_protocol_error() {
    let (sandbox, server) = (
        Sandbox::new(),
        Server::answering(|_, _| support::Reply::default().close()),
    );
    let Some(authority) = Authority::new() else { return };
    let run = ask(&sandbox, &format!("https://localhost:{}/v1", server.port()))
        .env("SSL_CERT_FILE", authority.certificate())
        .run();
    assert!([75, 76].contains(&run.code()), "{run:#?}");
    assert_eq!(run.text(), "");
    // It saw bytes that are no HTTP; so that the harness is content, it is called once in plain HTTP too.
    std::net::TcpStream::connect(("127.0.0.1", server.port()))
        .and_then(|mut stream| std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\n\r\n"))
        .unwrap();
    while server.requests().is_empty() {
        std::thread::yield_now();
    }
}

#[test]
fn https_goes_through_a_proxys_tunnel_which_never_sees_the_key() {
    let Some(authority) = Authority::new() else { return };
    let (sandbox, server) = (Sandbox::new(), Server::script([answer(&["through"])]));
    let guarded = authority.guard(&server, "llm.example.test", NOW);
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let tunnel = Tunnel::to(guarded.port());
        let run = ask(&sandbox, "https://llm.example.test/v1")
            .env("SSL_CERT_FILE", authority.certificate())
            .env(name, tunnel.url())
            .run();
        run.gives(0, "through\n", "");
        let asked = tunnel.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert!(
            asked[0].starts_with("CONNECT llm.example.test:443 HTTP/1.1\r\n"),
            "{asked:?}"
        );
        assert!(!asked[0].contains(KEY), "{asked:?}");
    }
}

#[test]
fn plain_http_that_a_profile_allows_goes_to_the_proxy_whole() {
    let (sandbox, proxy) = (Sandbox::new(), Server::script([answer(&["by proxy"])]));
    sandbox.config(
        r#"{"profiles":{"lan":{"provider":"custom","method":"api-key","base_url":"http://llm.example.test/v1","model":"m",
            "key":{"env":"LAN_KEY"},"allow_http":true}}}"#,
    );
    let run = || -> Tool {
        sandbox
            .tool("qwen-chat")
            .env("LAN_KEY", KEY)
            .args(["-q", "--retries", "0", "hi"])
    };
    run()
        .env("http_proxy", proxy.url(""))
        .run()
        .gives(0, "by proxy\n", "");
    assert_eq!(
        proxy.requests()[0].target,
        "http://llm.example.test/v1/chat/completions"
    );
    let refused: Run = run()
        .env("http_proxy", proxy.url(""))
        .env("NO_PROXY", "example.test")
        .run();
    refused.fails(75, &["'llm.example.test': cannot connect"]);
    assert_eq!(proxy.requests().len(), 1);
}

#[test]
fn loopback_never_goes_through_a_proxy() {
    let (sandbox, server, proxy) = (
        Sandbox::new(),
        Server::script([answer(&["direct"])]),
        Server::untouched(),
    );
    for host in ["127.0.0.1", "localhost"] {
        let tool = ask(&sandbox, &format!("http://{host}:{}/v1", server.port()));
        let tool = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"]
            .iter()
            .fold(tool, |tool, name| tool.env(name, proxy.url("")));
        tool.run().gives(0, "direct\n", "");
    }
}
