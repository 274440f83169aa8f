//! A stored login of profile `work`, as the tests need it.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::Sandbox;

/// The profile's own credential file, below the sandbox's top.
pub const OWN_FILE: &str = "home/.config/qwen/credentials/work.json";

/// Qwen Code's credential file.
pub const QWEN_FILE: &str = "home/.qwen/oauth_creds.json";

/// Milliseconds since 1970, `seconds` from now.
pub fn millis(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap() + seconds * 1000
}

/// A login: token `at-old`, refresh token `rt-old`, issued and ending that many seconds from now.
pub fn login(issued: i64, ends: i64) -> Value {
    json!({
        "method": "oauth", "access_token": "at-old", "refresh_token": "rt-old", "token_type": "Bearer",
        "expires_at": millis(ends), "issued_at": millis(issued),
    })
}

/// Lays `members` over a login; `null` takes one out.
pub fn with(mut login: Value, members: Value) -> Value {
    let login_members = login.as_object_mut().unwrap();
    for (name, value) in members.as_object().unwrap() {
        if value.is_null() {
            login_members.remove(name);
        } else {
            login_members.insert(name.clone(), value.clone());
        }
    }
    login
}

impl Sandbox {
    /// Configures profile `work` to log in by these `oauth` settings.
    pub fn oauth_profile(&self, provider: &str, store: &str, oauth: &Value) {
        self.config(
            &json!({"profiles": {"work": {
                "provider": provider, "method": "oauth", "base_url": "http://127.0.0.1:9/v1", "model": "m",
                "key": {"store": store}, "oauth": oauth,
            }}})
            .to_string(),
        );
    }

    /// Configures profile `work` with a token endpoint and its credential in its own file.
    pub fn logged_in(&self, token_endpoint: &str, login: &Value) -> PathBuf {
        let oauth =
            json!({"token_endpoint": token_endpoint, "client_id": "c", "allowed_hosts": ["127.0.0.1"]});
        self.oauth_profile("custom", "file", &oauth);
        self.write(OWN_FILE, login.to_string())
    }

    /// What the profile's own file holds now.
    pub fn stored(&self) -> Map<String, Value> {
        serde_json::from_str(&self.read(OWN_FILE)).unwrap()
    }

    /// The names of the files in a directory below the sandbox's top, sorted.
    pub fn files(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.root().join(directory)).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}
