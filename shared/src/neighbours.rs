//! What the users of neighbouring tools type, and what it is called here.

/// The words of `gh auth`, `gcloud auth`, `aws configure`, `docker login`, `npm`, `kubectl config`, `az`, `git remote` and Unix
/// for what `qwen-auth` and its siblings do, each with the command.
const WORDS: &[(&str, &[&str])] = &[
    (
        "qwen-auth status",
        &[
            "whoami", "who", "current", "active", "info", "stat", "st", "profile", "print", "env-info",
        ],
    ),
    (
        "qwen-auth list",
        &["ls", "dir", "profiles", "accounts", "all", "list-profiles"],
    ),
    (
        "qwen-auth use NAME",
        &[
            "switch",
            "select",
            "default",
            "activate",
            "checkout",
            "choose",
            "use-context",
            "set-default",
        ],
    ),
    (
        "qwen-auth show",
        &["get", "view", "cat", "describe", "display", "read", "inspect"],
    ),
    (
        "qwen-auth set --new NAME KEY=VALUE",
        &["new", "create", "init", "mk"],
    ),
    ("qwen-auth set KEY=VALUE", &["put", "update", "change", "modify"]),
    ("qwen-auth set KEY=", &["unset", "clear", "reset"]),
    (
        "qwen-auth remove NAME",
        &["rm", "delete", "del", "erase", "drop", "forget", "purge"],
    ),
    ("qwen-auth rename NAME NEW", &["mv", "move"]),
    ("qwen-auth edit", &["config", "open", "settings"]),
    (
        "qwen-auth check",
        &["validate", "verify", "lint", "doctor", "diagnose"],
    ),
    (
        "qwen-auth logout",
        &[
            "signout",
            "sign-out",
            "logoff",
            "log-out",
            "revoke",
            "application-revoke",
        ],
    ),
    (
        "qwen-login",
        &[
            "login",
            "signin",
            "sign-in",
            "log-in",
            "logon",
            "auth",
            "authenticate",
            "configure",
            "setup",
            "setup-token",
        ],
    ),
    (
        "qwen-login --profile NAME",
        &["add", "adduser", "add-user", "add-profile"],
    ),
    ("qwen-login --import", &["import", "migrate", "adopt"]),
    (
        "qwen-token",
        &[
            "token",
            "print-access-token",
            "print-token",
            "get-token",
            "key",
            "print-identity-token",
        ],
    ),
    ("qwen-token --refresh", &["refresh", "renew", "refresh-token"]),
    ("qwen-chat --list-models", &["models", "list-models"]),
    ("qwen-chat hi", &["test", "try", "ping"]),
];

/// Returns the command that a word of another tool stands for.
#[must_use]
pub fn command_for(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let found = WORDS.iter().find(|(_, words)| words.contains(&word.as_str()));
    found.map(|(command, _)| *command)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{WORDS, command_for};

    #[test]
    fn every_word_stands_for_one_command() {
        let words = || WORDS.iter().flat_map(|(_, words)| *words);
        assert_eq!(words().collect::<BTreeSet<_>>().len(), words().count());
        assert_eq!(command_for("WhoAmI"), Some("qwen-auth status"));
        assert_eq!(command_for("status"), None);
    }
}
