//! The real OAuth server of tests/peers/identity.mjs.

use serde_json::{Value, json};

use super::peer_process::PeerProcess;
use super::{peers, run};

/// The client that the server knows.
pub const CLIENT: &str = "qwen-cli-test";

/// A running oidc-provider. It ends when this is dropped.
pub struct Identity(PeerProcess);

impl Identity {
    /// Starts the server with these settings; `None`, said loudly, where it is not installed.
    pub fn start(settings: &[(&str, &str)]) -> Option<Self> {
        let node = peers::command("node");
        let module = peers::directory().join("node/node_modules/oidc-provider");
        if !peers::present("identity", node.is_some() && module.is_dir()) {
            return None;
        }
        let mut command = run::command(node.unwrap());
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/identity.mjs"))
            .envs(settings.iter().copied());
        Some(Self(PeerProcess::start(command)))
    }

    pub fn url(&self) -> &str {
        self.0.url()
    }

    /// Host and port, as messages name it.
    pub fn name(&self) -> &str {
        self.url().trim_start_matches("http://")
    }

    /// The `oauth` member of a profile that logs in here.
    pub fn oauth(&self) -> Value {
        let at = format!("{}/api/v1/oauth2", self.url());
        json!({
            "device_authorization_endpoint": format!("{at}/device/code"),
            "token_endpoint": format!("{at}/token"),
            "revocation_endpoint": format!("{at}/revoke"),
            "client_id": CLIENT,
            "scope": "openid profile email offline_access model.completion",
            "allowed_hosts": ["127.0.0.1"],
        })
    }

    /// Walks the whole device flow as a person would have it done, and returns the token endpoint's answer.
    pub fn login(&self) -> Value {
        self.change(&json!({"PKCE": 0}));
        let device = self.form(
            "/device/code",
            &format!("client_id={CLIENT}&scope=openid%20offline_access%20model.completion"),
        );
        self.control("POST", "/approve", &json!({"user_code": device["user_code"]}));
        let code = device["device_code"].as_str().unwrap();
        let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code";
        let token = self.form(
            "/token",
            &format!("grant_type={grant}&client_id={CLIENT}&device_code={code}"),
        );
        assert!(token["refresh_token"].is_string(), "{token}");
        token
    }

    /// Refreshes as any client would, and returns the token endpoint's answer.
    pub fn refresh(&self, refresh_token: &str) -> Value {
        let grant = format!("grant_type=refresh_token&client_id={CLIENT}&refresh_token={refresh_token}");
        self.form("/token", &grant)
    }

    /// Whether the server still honours a token.
    pub fn is_active(&self, token: &str) -> bool {
        self.form("/introspect", &format!("client_id={CLIENT}&token={token}"))["active"] == true
    }

    /// How many refreshes the server has seen, and how many it granted.
    pub fn refreshes(&self) -> (u64, u64) {
        let stats = self.control("GET", "/stats", &Value::Null);
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        (
            count(&stats["token"]["refresh_token"]),
            count(&stats["answers"]["refresh_token"]["ok"]),
        )
    }

    /// Lets a person approve the login with this code, or deny it.
    pub fn decide(&self, user_code: &str, approve: bool) {
        self.control(
            "POST",
            "/approve",
            &json!({"user_code": user_code, "deny": !approve}),
        );
    }

    /// What the server has counted.
    pub fn stats(&self) -> Value {
        self.control("GET", "/stats", &Value::Null)
    }

    /// Changes the server's settings while it runs.
    pub fn change(&self, settings: &Value) {
        self.control("POST", "/settings", settings);
    }

    fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        self.0.control(method, path, body)
    }

    fn form(&self, path: &str, body: &str) -> Value {
        self.0.form(&format!("/api/v1/oauth2{path}"), body).1
    }
}
