//! qwen-login: when a browser is opened, what it sees, and the QR code for everybody else.
use std::path::PathBuf;

use crate::support::authority::{Authority, COMPLETE, URI, USER_CODE, device_with, ok, token};
use crate::support::{Sandbox, Terminal, Tool, wait_until};
use qrcode::{Color, EcLevel, QrCode};
use serde_json::json;

/// A home with a profile that logs in at a server, and a browser that writes down how it was started.
struct Desktop {
    sandbox: Sandbox,
    authority: Authority,
    browser: PathBuf,
}

impl Desktop {
    fn new() -> Self {
        Self::at(Authority::approving())
    }

    fn at(authority: Authority) -> Self {
        let sandbox = Sandbox::new();
        authority.configure(&sandbox);
        let log = sandbox.root().join("log");
        let browser = sandbox.program(
            "browser",
            format!(
                "#!/bin/sh\n{{ printf '%s\\n' \"$@\"; env; ls -l /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2; }} > {0}.part\n\
                 mv {0}.part {0}\n",
                log.display()
            ),
        );
        Self {
            sandbox,
            authority,
            browser,
        }
    }

    fn login(&self) -> Tool {
        self.sandbox
            .tool("qwen-login")
            .args(["--oauth", "--no-verify"])
            .env("TERM", "xterm")
            .env("QWEN_CREDENTIAL_STORE", "file")
            .env("DISPLAY", ":99")
            .env("BROWSER", &self.browser)
    }

    fn log(&self) -> Option<String> {
        std::fs::read_to_string(self.sandbox.root().join("log")).ok()
    }

    fn waits_for_the_browser(&self) -> String {
        wait_until("a browser was opened", || self.log().is_some());
        self.log().unwrap()
    }
}

#[test]
fn a_browser_gets_the_address_and_no_secret() {
    let desktop = Desktop::new();
    let profiles = json!({
        "lab": {"method": "oauth", "oauth": desktop.authority.oauth()}, "other": {"key": {"env": "LLM_PASS"}},
    });
    let config = json!({"default_profile": "lab", "profiles": profiles});
    desktop.sandbox.config(&config.to_string());
    let login = desktop
        .login()
        .env("LLM_PASS", "canary-key")
        .env("OPENAI_API_KEY", "canary-key")
        .env("DASHSCOPE_API_KEY", "canary-key")
        .env("MY_OWN_TOKEN", "canary-token");
    let terminal = Terminal::start(login);
    let log = desktop.waits_for_the_browser();
    assert_eq!(log.lines().next(), Some(COMPLETE));
    assert!(log.contains("DISPLAY=:99") && !log.contains("canary"), "{log}");
    assert_eq!(log.matches("-> /dev/null").count(), 2, "{log}");
    terminal.shows("logged in");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn the_plain_address_is_opened_where_there_is_no_complete_one() {
    let answer = device_with(json!({"verification_uri_complete": "javascript:alert(1)"}));
    let desktop = Desktop::at(Authority::new(ok(&answer), [ok(&token())]));
    let terminal = Terminal::start(desktop.login());
    assert_eq!(desktop.waits_for_the_browser().lines().next(), Some(URI));
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn a_list_of_browsers_is_tried_in_order_and_a_place_for_the_address_kept() {
    let desktop = Desktop::new();
    let browser = desktop.browser.display();
    let list = format!("/does/not/exist:false:lynx:{browser} --new-tab %s --end:{browser} never");
    let terminal = Terminal::start(desktop.login().env("BROWSER", list));
    let log = desktop.waits_for_the_browser();
    let started: Vec<&str> = log.lines().take(3).collect();
    assert_eq!(started, ["--new-tab", COMPLETE, "--end"]);
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn no_browser_is_opened_where_nobody_sits() {
    for (name, value) in [
        ("NO_BROWSER", "1"),
        ("CI", "true"),
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("DISPLAY", ""),
        ("BROWSER", "lynx"),
        ("BROWSER", "/usr/bin/w3m -o x:www-browser"),
    ] {
        let desktop = Desktop::new();
        let terminal = Terminal::start(desktop.login().arg("-v").env(name, value));
        terminal.shows("no browser is opened: ");
        terminal.shows("logged in");
        assert_eq!(terminal.ends(), 0);
        assert_eq!(desktop.log(), None, "{name}={value}");
    }
    let desktop = Desktop::new();
    let ssh = desktop
        .login()
        .env_remove("DISPLAY")
        .env("SSH_CONNECTION", "1 2 3 4");
    assert_eq!(Terminal::start(ssh).ends(), 0);
    assert_eq!(Terminal::start(desktop.login().arg("--no-browser")).ends(), 0);
    let unseen = desktop
        .sandbox
        .command("/bin/sh")
        .args(["-c", "qwen-login --oauth --no-verify 2>log"]);
    let unseen = unseen
        .env("DISPLAY", ":99")
        .env("BROWSER", &desktop.browser)
        .env("QWEN_CREDENTIAL_STORE", "file");
    assert_eq!(Terminal::start(unseen).ends(), 0);
    assert_eq!(desktop.log(), None);
    assert_eq!(desktop.authority.polls().len(), 3);
}

#[test]
fn a_browser_that_fails_or_hangs_does_not_hold_up_the_login() {
    for browser in ["false", "/does/not/exist", "sleep 600 %s"] {
        let desktop = Desktop::new();
        let terminal = Terminal::start(desktop.login().env("BROWSER", browser));
        terminal.shows("logged in");
        assert_eq!(terminal.ends(), 0, "{browser}");
    }
}

/// Reads the half blocks of a drawn code; true for a light module.
fn drawn(shown: &str) -> Vec<Vec<bool>> {
    let mut rows = Vec::new();
    for line in shown.lines().map(|line| line.trim_end_matches('\r')) {
        if line.contains('█') || line.contains('▀') {
            let half = |blocks: [char; 2]| line.chars().map(|c| blocks.contains(&c)).collect::<Vec<bool>>();
            rows.push(half(['█', '▀']));
            rows.push(half(['█', '▄']));
        }
    }
    rows
}

#[test]
fn the_qr_code_holds_the_complete_address() {
    let desktop = Desktop::new();
    let terminal = Terminal::start(desktop.login().env("NO_COLOR", "1"));
    terminal.shows("logged in");
    let rows = drawn(&terminal.shown());
    let code = QrCode::with_error_correction_level(COMPLETE, EcLevel::L).unwrap();
    let side = code.width();
    assert!(
        rows.len() >= side + 8 && rows.iter().all(|row| row.len() == side + 8),
        "{}",
        terminal.shown()
    );
    for (y, row) in rows.iter().enumerate().take(side + 8) {
        for (x, &light) in row.iter().enumerate() {
            let within = (4..side + 4).contains(&x) && (4..side + 4).contains(&y);
            let dark = within && code[(x - 4, y - 4)] == Color::Dark;
            assert_eq!(light, !dark, "column {x}, row {y}");
        }
    }
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn a_narrow_terminal_gets_a_code_only_when_asked() {
    let desktop = Desktop::new();
    let narrow = || desktop.login().env("NO_COLOR", "1");
    for (login, wanted) in [(narrow(), false), (narrow().arg("--qr"), true)] {
        let terminal = Terminal::of_width(30, login);
        terminal.shows("logged in");
        assert_eq!(terminal.shown().contains('▄'), wanted);
        assert_eq!(terminal.ends(), 0);
    }
}

#[test]
fn a_low_terminal_gets_no_code_that_would_push_the_address_off_the_screen() {
    let desktop = Desktop::new();
    for (rows, columns) in [(24, 80), (40, 100), (28, 100), (25, 50), (60, 48)] {
        let login = desktop.login().env("NO_COLOR", "1").arg("-v");
        let terminal = Terminal::of_size(columns, rows, login);
        terminal.shows("logged in");
        let shown = terminal.plain();
        let first = shown.lines().position(|line| line.contains(['▄', '█']));
        let said = "no QR code is drawn: it needs ";
        assert_eq!(first.is_some(), !shown.contains(said), "{rows} {shown}");
        if let Some(first) = first {
            let last = shown
                .lines()
                .position(|line| line.contains("waiting for your approval"));
            let used: usize = shown
                .lines()
                .skip(first)
                .take(last.unwrap() - first + 1)
                .map(|line| line.chars().count().div_ceil(usize::from(columns)).max(1))
                .sum();
            assert!(used <= usize::from(rows), "{used} of {rows}: {shown}");
        }
        assert_eq!(first.is_some(), rows >= 40, "{rows}");
        assert_eq!(terminal.ends(), 0);
    }
}

#[test]
fn a_terminal_that_cannot_draw_is_told_in_lines_what_is_waited_for() {
    for dumb in ["dumb", ""] {
        let desktop = Desktop::new();
        let terminal = Terminal::start(desktop.login().env("TERM", dumb));
        terminal.shows("logged in");
        let shown = terminal.plain();
        let lines = shown
            .lines()
            .filter(|line| line.starts_with("waiting for your approval: "));
        assert_eq!(lines.count(), 1, "{shown}");
        assert!(!terminal.shown().contains('\u{1b}'), "{shown}");
        assert_eq!(terminal.ends(), 0);
    }
}

#[test]
fn address_and_code_are_lines_of_their_own_on_a_terminal_that_is_too_narrow() {
    let desktop = Desktop::new();
    let terminal = Terminal::of_width(30, desktop.login());
    terminal.shows("logged in");
    let shown = terminal.plain();
    for wanted in [COMPLETE, USER_CODE] {
        assert!(shown.lines().any(|line| line == wanted), "{wanted}: {shown}");
    }
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn colours_make_the_code_black_on_white_whatever_the_terminal_is() {
    let desktop = Desktop::new();
    let terminal = Terminal::start(desktop.login());
    terminal.shows("logged in");
    assert!(terminal.shown().contains("\u{1b}[40;97m█"));
    assert_eq!(terminal.ends(), 0);
}
