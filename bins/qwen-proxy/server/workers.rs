//! The threads that serve, each with a runtime of its own: what came by one is served by it to the end.
//!
//! Several runtimes on a thread each in the place of one on several threads: no program of the toolkit has to carry a scheduler
//! that it does not use, and no task wanders from one core to the other.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use qwen_shared::exit::{Failure, cannot_start};
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// The most threads.
const MOST: usize = 4;

/// How long the end waits for what blocks: a renewal of the credential that has begun may have changed the login at the server.
const LAST_WAIT: Duration = Duration::from_secs(35);

/// The threads. Dropped they end, and what they run with them.
#[derive(Debug)]
pub(super) struct Workers {
    end: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    handles: Vec<Handle>,
}

impl Workers {
    /// Starts them.
    ///
    /// # Errors
    /// 75 or 74: the machine gives no thread or no descriptor.
    pub(super) fn start() -> Result<Self, Failure> {
        let count = thread::available_parallelism()
            .map_or(2, usize::from)
            .clamp(2, MOST);
        let (end, _) = watch::channel(false);
        let mut workers = Self {
            end,
            threads: Vec::new(),
            handles: Vec::new(),
        };
        for number in 0..count {
            workers
                .add(number)
                .map_err(|error| cannot_start("a thread", &error))?;
        }
        Ok(workers)
    }

    fn add(&mut self, number: usize) -> std::io::Result<()> {
        let mut end = self.end.subscribe();
        let (tell, told) = mpsc::channel();
        let run = move || match Builder::new_current_thread().enable_all().build() {
            Err(error) => drop(tell.send(Err(error))),
            Ok(runtime) => {
                let _ = tell.send(Ok(runtime.handle().clone()));
                let _ = runtime.block_on(end.wait_for(|is_over| *is_over));
                runtime.shutdown_timeout(LAST_WAIT);
            }
        };
        self.threads.push(
            thread::Builder::new()
                .name(format!("proxy-{number}"))
                .spawn(run)?,
        );
        let told = told.recv().map_err(std::io::Error::other)?;
        self.handles.push(told?);
        Ok(())
    }

    /// Returns the runtimes.
    pub(super) fn handles(&self) -> &[Handle] {
        &self.handles
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.end.send_replace(true);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
