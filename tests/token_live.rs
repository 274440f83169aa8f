//! What a token costs that is not due: `qwen-token` runs before every request of a script.
use crate::support::login::{QWEN_FILE, login, millis};
use crate::support::{Sandbox, Server, binary, peers};
use serde_json::json;

/// What would start a thread, a runtime, another program, or speak to a server or a keyring.
const DEAR: [&str; 9] = [
    "socket(",
    "connect(",
    "clone(",
    "clone3(",
    "vfork(",
    "epoll_create1(",
    "eventfd2(",
    "io_uring_setup(",
    "flock(",
];

/// The calls of qwen-token, which has to print this token.
fn calls(sandbox: &Sandbox, strace: &std::path::Path) -> String {
    let trace = sandbox.root().join("trace");
    let traced = sandbox.command(strace).arg("-fo").arg(&trace);
    traced.arg(binary("qwen-token")).run().gives(0, "at-old\n", "");
    sandbox.read("trace")
}

#[test]
fn a_token_that_is_not_due_costs_one_read_and_no_runtime() {
    let strace = peers::command("strace");
    if !peers::present("strace", strace.is_some()) {
        return;
    }
    let strace = strace.unwrap();
    let server = Server::untouched();
    let own = Sandbox::new();
    own.logged_in(&server.url("/token"), &login(-10, 3590));
    let shared = Sandbox::new();
    let oauth = json!({"token_endpoint": server.url("/token"), "client_id": "c"});
    shared.oauth_profile("qwen", "file", &oauth);
    let theirs = json!({
        "access_token": "at-old", "refresh_token": "rt-old", "token_type": "Bearer", "resource_url": "portal.qwen.ai",
        "expiry_date": millis(3590),
    });
    shared.write(QWEN_FILE, theirs.to_string());
    for sandbox in [own, shared] {
        let calls = calls(&sandbox, &strace);
        for dear in DEAR {
            assert!(!calls.contains(dear), "{dear} in {calls}");
        }
        let is_read = |line: &&str| line.contains("read") && line.contains("access_token");
        assert_eq!(calls.lines().filter(is_read).count(), 1, "{calls}");
        assert_eq!(calls.matches("execve(").count(), 1, "{calls}");
    }
}
