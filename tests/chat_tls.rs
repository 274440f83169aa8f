//! TLS and proxies: whose certificates count, what a bad one is called, and what passes through whom.
use crate::support::chat::{KEY, answer};
use crate::support::tls::{Authority, Tunnel};
use crate::support::{Reply, Sandbox, Server, Tool, wait_until};

const NOW: (&str, &str) = ("20200101", "20991231");

/// qwen-chat about to ask this base URL.
fn ask(sandbox: &Sandbox, base: &str) -> Tool {
    sandbox
        .tool("qwen-chat")
        .env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", base)
        .args(["--retries", "0", "hi"])
}

/// A run of a profile that may use plain http to a machine that does not exist.
fn on_the_lan(sandbox: &Sandbox) -> Tool {
    sandbox.config(
        r#"{"profiles":{"lan":{"provider":"custom","method":"api-key","base_url":"http://llm.example.test/v1","model":"m",
            "key":{"env":"LAN_KEY"},"allow_http":true}}}"#,
    );
    let tool = sandbox.tool("qwen-chat").env("LAN_KEY", KEY);
    tool.args(["-q", "--retries", "0", "hi"])
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

/// As a shell's `SSL_CERT_FILE=<(…)` gives them.
#[test]
fn certificates_may_come_through_a_pipe() {
    let Some(authority) = Authority::new() else { return };
    let (sandbox, server) = (Sandbox::new(), Server::script([answer(&["words"])]));
    let base = format!(
        "https://localhost:{}/v1",
        authority.guard(&server, "localhost", NOW).port()
    );
    let certificate = std::fs::read_to_string(authority.certificate()).unwrap();
    let tool = ask(&sandbox, &base)
        .env("SSL_CERT_FILE", "/dev/stdin")
        .arg("--no-stdin");
    tool.stdin(certificate).run().gives(0, "words\n", "");
}

/// https://github.com/rust-lang/rustup/issues/3820, https://github.com/vercel/turborepo/issues/13035
#[test]
fn an_authority_of_a_company_may_sign_on_any_curve_of_the_nist() {
    for (curve, digest) in [
        ("P-384", "sha256"),
        ("P-521", "sha256"),
        ("P-521", "sha384"),
        ("P-521", "sha512"),
    ] {
        let Some(authority) = Authority::signing(curve, digest) else {
            return;
        };
        let (sandbox, server) = (Sandbox::new(), Server::script([answer(&["words"])]));
        let base = format!(
            "https://localhost:{}/v1",
            authority.guard(&server, "localhost", NOW).port()
        );
        let ask = || ask(&sandbox, &base).env("SSL_CERT_FILE", authority.certificate());
        ask().run().gives(0, "words\n", "");
        // Another authority's key is none, whatever its name.
        let other = Authority::signing(curve, digest).unwrap();
        let run = ask().env("SSL_CERT_FILE", other.certificate()).run();
        run.fails(76, &["the signature of the server's certificate is wrong"]);
    }
}

#[test]
fn a_server_may_have_a_key_on_p_521() {
    let Some(authority) = Authority::signing("P-521", "sha512") else {
        return;
    };
    let sandbox = Sandbox::new();
    authority.openssl(
        "req -x509 -config settings -newkey ec -pkeyopt ec_paramgen_curve:P-521 -noenc -subj /CN=leaf -days 2 \
         -addext subjectAltName=DNS:localhost -keyout own.key -out own.pem",
    );
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut server = std::process::Command::new("openssl")
        .args([
            "s_server", "-quiet", "-www", "-cert", "own.pem", "-key", "own.key", "-accept",
        ])
        .arg(format!("127.0.0.1:{port}"))
        .current_dir(authority.path(""))
        .stdin(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_until("a server", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let run = sandbox
        .tool("qwen-chat")
        .env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", format!("https://localhost:{port}/v1"))
        .env("SSL_CERT_FILE", authority.path("own.pem"))
        .args(["--retries", "0", "--max-time", "20", "--list-models"])
        .run();
    server.kill().unwrap();
    server.wait().unwrap();
    // Its page is no answer, and came.
    run.fails(76, &["HTML"]);
}

#[test]
fn certificates_are_read_as_openssl_and_editors_of_windows_write_them() {
    let Some(authority) = Authority::new() else { return };
    let (sandbox, server) = (Sandbox::new(), Server::script([answer(&["words"])]));
    let base = format!(
        "https://localhost:{}/v1",
        authority.guard(&server, "localhost", NOW).port()
    );
    authority.openssl("x509 -in ca.pem -trustout -addtrust serverAuth -out trusted.pem");
    let plain = std::fs::read_to_string(authority.certificate()).unwrap();
    std::fs::write(
        authority.path("marked.pem"),
        format!("\u{feff}{}", plain.replace('\n', "\r\n")),
    )
    .unwrap();
    let trusted = std::fs::read_to_string(authority.path("trusted.pem")).unwrap();
    assert!(trusted.contains("BEGIN TRUSTED CERTIFICATE"));
    for file in ["trusted.pem", "marked.pem"] {
        let run = ask(&sandbox, &base)
            .env("SSL_CERT_FILE", authority.path(file))
            .run();
        run.gives(0, "words\n", "");
    }
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
        Server::answering(|_, _| crate::support::Reply::default().close()),
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
    server.wait_for(1);
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
    on_the_lan(&sandbox)
        .env("http_proxy", proxy.url(""))
        .run()
        .gives(0, "by proxy\n", "");
    assert_eq!(
        proxy.requests()[0].target,
        "http://llm.example.test/v1/chat/completions"
    );
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

#[test]
fn what_no_proxy_exempts_in_any_usual_form_goes_to_no_proxy() {
    let (sandbox, proxy) = (Sandbox::new(), Server::untouched());
    for list in [
        "example.test",
        ".example.test",
        "*.example.test",
        "a, llm.example.test:80",
        "*",
    ] {
        let tool = on_the_lan(&sandbox)
            .env("HTTP_PROXY", proxy.url(""))
            .env("NO_PROXY", list);
        let run = tool.run();
        assert!(!run.stderr.contains("proxy"), "{list}: {run:#?}");
        run.fails(75, &["'llm.example.test': cannot connect"]);
    }
}

#[test]
fn a_proxy_that_is_not_used_is_not_blamed() {
    let (sandbox, proxy) = (Sandbox::new(), Server::untouched());
    // A CGI program does not use HTTP_PROXY: a client could set it by a header named Proxy.
    let run = on_the_lan(&sandbox)
        .env("HTTP_PROXY", proxy.url(""))
        .env("REQUEST_METHOD", "GET")
        .run();
    assert!(!run.stderr.contains("proxy"), "{run:#?}");
    run.fails(75, &["'llm.example.test': cannot connect"]);
}

#[test]
fn a_proxy_that_fails_is_named_by_its_variable_and_never_by_its_password() {
    let sandbox = Sandbox::new();
    for (name, value, code, message) in [
        (
            "HTTP_PROXY",
            "http://user:canary@127.0.0.1:1",
            75,
            "cannot connect: connection refused (through the proxy of HTTP_PROXY)",
        ),
        (
            "ALL_PROXY",
            "ftp://user:canary@127.0.0.1:1",
            78,
            "ALL_PROXY does not name a proxy",
        ),
        ("http_proxy", "::::canary", 78, "http_proxy does not name a proxy"),
    ] {
        let run = on_the_lan(&sandbox).env(name, value).run();
        assert!(!run.stderr.contains("canary"), "{run:#?}");
        run.fails(code, &[message]);
    }
}

#[test]
fn a_proxy_that_wants_a_password_is_a_matter_of_settings() {
    let sandbox = Sandbox::new();
    let proxy = Server::script([Reply::new(
        407,
        "text/html",
        "<html><title>Who are you?</title></html>",
    )]);
    let parts = [
        "the proxy wants a user name and a password",
        "HTML page, 'Who are you?'",
        "_PROXY=http://USER:PASSWORD@",
    ];
    on_the_lan(&sandbox)
        .env("HTTP_PROXY", proxy.url(""))
        .run()
        .fails(78, &parts);
    ask(&sandbox, "https://llm.example.test/v1")
        .env("HTTPS_PROXY", proxy.url(""))
        .run()
        .fails(78, &parts);
    assert_eq!(proxy.requests().len(), 3);
}

#[test]
fn what_a_proxy_says_that_makes_no_tunnel_is_shown_and_judged_by_its_status() {
    let sandbox = Sandbox::new();
    for (status, body, code) in [
        (
            403,
            "<html><title>Access to llm.example.test is blocked</title>",
            69,
        ),
        (502, "<html><title>ERR_DNS_FAIL</title>", 75),
        (407, "Log in first", 78),
    ] {
        let proxy = Server::script([Reply::new(status, "text/html", body)]);
        let run = ask(&sandbox, "https://llm.example.test/v1")
            .env(
                "HTTPS_PROXY",
                proxy.url("").replace("http://", "http://user:canary@"),
            )
            .args(["--retries", "1"])
            .run();
        assert!(!run.stderr.contains("canary"), "{run:#?}");
        let words = body.replace("<html><title>", "").replace("</title>", "");
        run.fails(code, &[&words, &format!("({status}, HTTPS_PROXY)")]);
        for request in proxy.requests() {
            assert_eq!(request.method, "CONNECT");
            assert_eq!(
                request.header("proxy-authorization"),
                Some("Basic dXNlcjpjYW5hcnk=")
            );
        }
    }
}

#[test]
fn certificates_that_cannot_be_had_are_named_by_where_they_were_looked_for() {
    let sandbox = Sandbox::new();
    for (name, value, message) in [
        (
            "SSL_CERT_FILE",
            "/nowhere",
            "cannot read '/nowhere': no such file or directory",
        ),
        (
            "SSL_CERT_FILE",
            "/etc/passwd",
            "there is none where SSL_CERT_FILE points",
        ),
        (
            "SSL_CERT_DIR",
            "/proc/self/task",
            "there is none where SSL_CERT_DIR points",
        ),
    ] {
        let run = ask(&sandbox, "https://llm.example.test/v1")
            .env(name, value)
            .run();
        run.fails(78, &["no CA certificates: ", message, "hint: set SSL_CERT_FILE"]);
    }
}

/// What a certificate may say of being an authority's: as every tutorial makes it, as a careful one does, and nothing.
const FORMS: [&str; 3] = [
    "basicConstraints=critical,CA:TRUE",
    "basicConstraints=critical,CA:FALSE",
    "keyUsage=digitalSignature",
];

#[test]
fn a_self_signed_certificate_is_trusted_where_it_is_named_byte_for_byte() {
    let Some(authority) = Authority::new() else { return };
    for form in FORMS {
        for host in ["localhost", "127.0.0.1"] {
            let (sandbox, server) = (
                Sandbox::new(),
                Server::script([answer(&["own"]), answer(&["own"])]),
            );
            let (guarded, certificate) = authority.guard_self_signed(&server, host, NOW, form);
            let tool = || ask(&sandbox, &format!("https://{host}:{}/v1", guarded.port()));
            tool().run().fails(
                78,
                &[
                    "no secure connection: the server's certificate is self-signed",
                    "hint: set SSL_CERT_FILE to the file that holds the certificate of its CA, or the server's own",
                ],
            );
            tool()
                .env("SSL_CERT_FILE", &certificate)
                .run()
                .gives(0, "own\n", "");
            let directory = authority.directory_of(&certificate);
            tool().env("SSL_CERT_DIR", directory).run().gives(0, "own\n", "");
        }
    }
}

#[test]
fn a_self_signed_certificate_that_is_named_is_still_checked() {
    let Some(authority) = Authority::new() else { return };
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    for form in FORMS {
        for (host, days, code, reason) in [
            (
                "localhost",
                ("20200101", "20200102"),
                76,
                "has expired on 2020-01-02",
            ),
            (
                "localhost",
                ("20980101", "20991231"),
                76,
                "is not valid yet, but from 2098-01-01 on",
            ),
            (
                "other.example",
                NOW,
                76,
                "is for another host name (other.example)",
            ),
        ] {
            let (guarded, certificate) = authority.guard_self_signed(&server, host, days, form);
            let tool = ask(&sandbox, &format!("https://localhost:{}/v1", guarded.port()));
            let run = tool.env("SSL_CERT_FILE", certificate).run();
            run.fails(code, &["no secure connection: the server's certificate ", reason]);
        }
        // The same names, another key.
        let (_, older) = authority.guard_self_signed(&server, "localhost", NOW, form);
        let (guarded, _) = authority.guard_self_signed(&server, "localhost", NOW, form);
        let tool = ask(&sandbox, &format!("https://localhost:{}/v1", guarded.port()));
        let run = tool.env("SSL_CERT_FILE", older).run();
        run.fails(78, &["the server's certificate is self-signed"]);
    }
}

#[test]
fn a_server_that_shows_its_authoritys_certificate_is_told_so() {
    let Some(authority) = Authority::new() else { return };
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    let guarded = authority.guard_by_itself(&server);
    let run = ask(&sandbox, &format!("https://localhost:{}/v1", guarded.port())).run();
    let run = run.fails(78, &["the server's certificate is self-signed"]);
    for word in [
        "CaUsedAsEndEntity",
        "UnknownIssuer",
        "InvalidCertificate",
        "Other(",
    ] {
        assert!(!run.stderr.contains(word), "{run:#?}");
    }
}

#[test]
fn https_to_a_server_of_plain_http_says_that_it_speaks_no_tls() {
    let Some(authority) = Authority::new() else { return };
    let sandbox = Sandbox::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = [0; 4096];
            let _ = std::io::Read::read(&mut stream, &mut bytes);
            let _ = std::io::Write::write_all(
                &mut stream,
                b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
            );
        }
    });
    let run = ask(&sandbox, &format!("https://localhost:{port}/v1"))
        .env("SSL_CERT_FILE", authority.certificate())
        .run();
    run.fails(
        69,
        &[
            "no secure connection: the server speaks plain http on this port",
            "hint: let the base URL begin with 'http://'",
        ],
    );
}

/// As in rustls/webpki#205 and seanmonstar/reqwest#2041: the host stands in the subject alone, where only curl still looks.
#[test]
fn a_certificate_that_names_its_host_in_the_subject_alone_is_told_how_one_names_it() {
    let Some(authority) = Authority::new() else { return };
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    let command = "req -x509 -config settings -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj /CN=localhost \
        -addext basicConstraints=critical,CA:TRUE -keyout own.key -out own.pem";
    let (guarded, certificate) = authority.guard_made_by(&server, &[command]);
    let tool = ask(&sandbox, &format!("https://localhost:{}/v1", guarded.port()));
    let run = tool.env("SSL_CERT_FILE", certificate).run();
    run.fails(
        76,
        &["is for another host name: it names none as 'subjectAltName'"],
    );
}
