//! Threads, where the system has room for them.

use std::thread::Builder;

use qwen_shared::exit::{Failure, cannot_start};

/// Starts a thread that nobody waits for.
///
/// # Errors
/// 75 when a limit on processes or memory is reached.
pub(crate) fn spawn(work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    match Builder::new().spawn(work) {
        Ok(_) => Ok(()),
        Err(error) => Err(cannot_start("a thread", &error)),
    }
}
