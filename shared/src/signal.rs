//! What this process does about a signal.

/// True when the process ignores the signal, as its parent had it (`nohup`, a background job of a script): then it stays
/// ignored, and no handler is put in its place.
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    is_in(signal, &["SigIgn:"])
}

/// True when the signal is neither ignored nor handled (as a conversation does).
#[must_use]
pub fn is_default(signal: i32) -> bool {
    !is_in(signal, &["SigIgn:", "SigCgt:"])
}

/// Looks a signal up in masks of `/proc/self/status`: asking the kernel takes a call that can also set a handler, which is
/// unsafe. Where there is no such file, none is in any.
fn is_in(signal: i32, masks: &[&str]) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let all = status
        .lines()
        .filter_map(|line| masks.iter().find_map(|name| line.strip_prefix(name)))
        .filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .fold(0, |all, mask| all | mask);
    signal > 0 && all & (1 << (signal - 1)) != 0
}
