//! Ctrl-C in a conversation: it ends an answer, not the program.

use std::future::pending;
use std::sync::Arc;

use qwen_shared::net::api::Error;
use qwen_shared::signal::Caught;
use tokio::net::UnixStream;

/// Does work until Ctrl-C is pressed; the work is dropped then, and the terminal's cursor is behind its `^C`. Without `ctrl_c`, Ctrl-C ends the program.
pub(crate) async fn until_interrupted<T>(
    ctrl_c: Option<Arc<Caught>>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Some(ctrl_c) = ctrl_c else {
        return work.await;
    };
    tokio::select! {
        biased;
        () = interrupted(&ctrl_c) => Err(Error::Stopped),
        done = work => done,
    }
}

/// Forgets the Ctrl-C of earlier.
pub(crate) fn forget_interrupts(ctrl_c: &Caught) {
    while ctrl_c.take().is_some() {}
}

async fn interrupted(ctrl_c: &Caught) {
    // One from between two requests, in a login for example, is not about this one.
    forget_interrupts(ctrl_c);
    let arrivals = ctrl_c.watch().and_then(UnixStream::from_std);
    if let Ok(arrivals) = arrivals
        && arrivals.readable().await.is_ok()
    {
        return;
    }
    pending().await
}
