//! The OAuth servers of tests/peers that people run themselves, one of each kind for all tests.

use std::sync::OnceLock;

use serde_json::{Value, json};

use super::peer_process::PeerProcess;
use super::{peers, run};

/// What a login here asks for, unless a test says otherwise.
pub const SCOPE: &str = "openid offline_access model.completion";

/// An OAuth server, and how it differs from the others.
pub struct OauthPeer {
    /// The group of tests/peers/install, and what that brings.
    group: &'static str,
    installed: &'static str,
    /// What starts it, below tests/peers.
    server: &'static str,
    /// True where it is installed only by its name or by `tests/all --long`.
    is_heavy: bool,
    /// Its settings.
    settings: &'static [(&'static str, &'static str)],
    /// The `oauth` member of a profile for the server at a URL, but for the client.
    oauth: fn(&str) -> Value,
    process: OnceLock<Option<PeerProcess>>,
}

/// It demands PKCE.
pub static OIDC_PROVIDER: OauthPeer = OauthPeer {
    group: "identity",
    installed: "node/node_modules/oidc-provider",
    server: "identity.mjs",
    is_heavy: false,
    settings: &[],
    oauth: |url| json!({"issuer": url}),
    process: OnceLock::new(),
};

pub static AUTHLIB: OauthPeer = OauthPeer {
    group: "authlib",
    installed: "authlib",
    server: "authlib/server.py",
    is_heavy: false,
    settings: &[],
    oauth: |url| json!({"issuer": url}),
    process: OnceLock::new(),
};

pub static BETTER_AUTH: OauthPeer = OauthPeer {
    group: "better-auth",
    installed: "better-auth/node_modules",
    server: "better-auth/server.mjs",
    is_heavy: false,
    settings: &[],
    oauth: |url| json!({"issuer": format!("{url}/api/auth")}),
    process: OnceLock::new(),
};

/// Only the device authorization plug-in: its tokens are sessions of the site.
pub static BETTER_AUTH_SESSIONS: OauthPeer = OauthPeer {
    group: "better-auth",
    installed: "better-auth/node_modules",
    server: "better-auth/server.mjs",
    is_heavy: false,
    settings: &[("PLUGIN", "session")],
    oauth: |url| {
        json!({
            "device_authorization_endpoint": format!("{url}/api/auth/device/code"),
            "token_endpoint": format!("{url}/api/auth/device/token"),
        })
    },
    process: OnceLock::new(),
};

/// Its metadata document does not say where the device flow begins.
pub static DJANGO: OauthPeer = OauthPeer {
    group: "django-oauth-toolkit",
    installed: "django-oauth-toolkit",
    server: "django-oauth-toolkit/server.py",
    is_heavy: true,
    settings: &[],
    oauth: |url| {
        json!({
            "issuer": format!("{url}/o"),
            "device_authorization_endpoint": format!("{url}/o/device-authorization/"),
        })
    },
    process: OnceLock::new(),
};

impl OauthPeer {
    /// Registers a client of this test's own; `None`, said loudly, where the server is not installed.
    pub fn client(&'static self) -> Option<OauthClient> {
        let mut client = self.unregistered()?;
        let registered = client
            .process
            .control("POST", "/client", &json!({"scope": SCOPE}));
        registered["client_id"]
            .as_str()
            .unwrap()
            .clone_into(&mut client.id);
        Some(client)
    }

    /// A client of a server that registers none and takes any.
    pub fn unregistered(&'static self) -> Option<OauthClient> {
        let process = self.process.get_or_init(|| self.start()).as_ref()?;
        Some(OauthClient {
            peer: self,
            process,
            id: "anyone".to_owned(),
        })
    }

    fn start(&self) -> Option<PeerProcess> {
        let there = peers::directory().join(self.installed).is_dir();
        if !there && self.is_heavy {
            let group = self.group;
            eprintln!("SKIPPED: the peer '{group}' is missing; run tests/peers/install {group}");
            return None;
        }
        if !peers::present(self.group, there) {
            return None;
        }
        let interpreter = match self.server.ends_with(".mjs") {
            true => "node",
            false => "python3",
        };
        let mut command = run::command(peers::command(interpreter).unwrap());
        command
            .arg(format!(
                "{}/tests/peers/{}",
                env!("CARGO_MANIFEST_DIR"),
                self.server
            ))
            .envs(self.settings.iter().copied());
        Some(PeerProcess::start(command))
    }
}

/// A public client that the server knows.
pub struct OauthClient {
    peer: &'static OauthPeer,
    process: &'static PeerProcess,
    pub id: String,
}

impl OauthClient {
    pub fn url(&self) -> &str {
        self.process.url()
    }

    /// Host and port, as messages name it.
    pub fn name(&self) -> &str {
        self.url().trim_start_matches("http://")
    }

    /// The `oauth` member of a profile that logs in here as this client.
    pub fn oauth(&self) -> Value {
        let mut oauth = (self.peer.oauth)(self.url());
        oauth["client_id"] = json!(self.id);
        oauth["scope"] = json!(SCOPE);
        oauth["allowed_hosts"] = json!(["127.0.0.1"]);
        oauth
    }

    /// Lets a person sign in and approve the login with this code, or deny it.
    pub fn decide(&self, user_code: &str, approve: bool) {
        let decision = json!({"user_code": user_code, "deny": !approve});
        self.process.control("POST", "/approve", &decision);
    }

    /// Ends the life of a code, by the server's clock alone.
    pub fn expire(&self, user_code: &str) {
        self.process
            .control("POST", "/expire", &json!({"user_code": user_code}));
    }

    /// Makes the server ask for this time between two polls, whatever it announced.
    pub fn pace(&self, user_code: &str, seconds: u64) {
        let pace = json!({"user_code": user_code, "seconds": seconds});
        self.process.control("POST", "/pace", &pace);
    }

    /// Whether the server honours an access token.
    pub fn is_active(&self, token: &str) -> bool {
        self.process.control("POST", "/active", &json!({"token": token}))["active"] == true
    }

    /// What the server has counted of this client.
    pub fn stats(&self) -> Value {
        let path = format!("/stats?client_id={}", self.id);
        self.process.control("GET", &path, &Value::Null)
    }

    /// How often the server gave this answer to requests of this grant.
    pub fn answers(&self, grant: &str, answer: &str) -> u64 {
        self.stats()["answers"][grant][answer].as_u64().unwrap_or(0)
    }

    /// Refreshes at this endpoint as any client would, and returns the answer.
    pub fn refresh(&self, token_endpoint: &str, refresh_token: &str) -> Value {
        let path = token_endpoint.strip_prefix(self.url()).unwrap();
        let client = &self.id;
        let form = format!("grant_type=refresh_token&client_id={client}&refresh_token={refresh_token}");
        self.process.form(path, &form).1
    }
}
