//! Secrets as a type: no `Display`, a redacting `Debug`, zeroed when dropped.

use std::fmt;
use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use zeroize::Zeroize;

/// A value that must not be shown.
///
/// The only door is [`Secret::expose`], so that `grep expose` lists every place where a secret leaves its wrapping.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Hands out the value. What the caller makes of it is the caller's to keep off screens, logs and argument lists.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl Secret<String> {
    /// Returns a form that a user can recognise and nobody can use: the first three and last two characters of a
    /// long value, none of a short one.
    #[must_use]
    pub fn masked(&self) -> String {
        mask(&self.0)
    }
}

/// Masks any text as [`Secret::masked`] does. Fewer than 12 characters are hidden altogether.
#[must_use]
pub fn mask(text: &str) -> String {
    let length = text.chars().count();
    if length < 12 {
        return "***".to_owned();
    }
    let head: String = text.chars().take(3).collect();
    let tail: String = text.chars().skip(length - 2).collect();
    super::text::one_line(&format!("{head}***{tail}"))
}

/// True for the name of a header, a parameter or a member whose value is a secret by what it is called.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    const WORDS: [&str; 8] = [
        "auth",
        "key",
        "token",
        "secret",
        "cookie",
        "pass",
        "sig",
        "credential",
    ];
    let name = name.to_ascii_lowercase();
    // The header that names the kind of login is not one that logs in.
    name != "x-dashscope-authtype" && WORDS.iter().any(|word| name.contains(word))
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl From<String> for Secret<String> {
    fn from(value: String) -> Self {
        Self(value)
    }
}

/// The soft core limit that this process was started with.
static CORE_LIMIT: OnceLock<u64> = OnceLock::new();

/// Keeps the process out of core dumps and out of reach of a debugger of the same user.
///
/// Lowers the soft core limit to zero and marks the process undumpable; both are best effort, since a sandbox may
/// refuse them. The limit is inherited: call [`restore_core_limit`] before another program is run.
pub fn forbid_core_dump() {
    if let Ok((before, most)) = getrlimit(Resource::RLIMIT_CORE) {
        let _ = CORE_LIMIT.set(before);
        let _ = setrlimit(Resource::RLIMIT_CORE, 0, most);
    }
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Gives back the soft core limit that [`forbid_core_dump`] took, for a program that is about to be run.
pub fn restore_core_limit() {
    if let Some(&before) = CORE_LIMIT.get()
        && let Ok((_, most)) = getrlimit(Resource::RLIMIT_CORE)
    {
        let _ = setrlimit(Resource::RLIMIT_CORE, before, most);
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;
    use super::mask;

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::new("sk-canary".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(***)");
        assert_eq!(secret.expose(), "sk-canary");
    }

    #[test]
    fn a_mask_keeps_short_values_whole_hidden() {
        for (raw, shown) in [("", "***"), ("sk-12345", "***"), ("sk-1234567890", "sk-***90")] {
            assert_eq!(mask(raw), shown);
        }
    }
}
