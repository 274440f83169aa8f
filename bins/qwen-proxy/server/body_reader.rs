//! The thread that reads long bodies, one after the other: meanwhile those that serve go on, and whoever sends many such bodies
//! uses up no more than one processor.

use std::sync::mpsc::{Sender, channel};
use std::thread;

use qwen_shared::exit::{Failure, cannot_start};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// The thread. It ends once this is dropped and nothing waits for it.
#[derive(Debug)]
pub(super) struct BodyReader(Sender<Job>);

impl BodyReader {
    /// Starts it.
    ///
    /// # Errors
    /// 75: the machine gives no thread.
    pub(super) fn start() -> Result<Self, Failure> {
        let (give, jobs) = channel::<Job>();
        thread::Builder::new()
            .name("proxy-bodies".to_owned())
            .spawn(move || jobs.into_iter().for_each(|job| job()))
            .map_err(|error| cannot_start("a thread", &error))?;
        Ok(Self(give))
    }

    /// Reads on the thread; `None` where that has ended. Nothing is read for a client that has gone by then.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (tell, told) = oneshot::channel();
        let job = move || {
            if !tell.is_closed() {
                let _ = tell.send(read());
            }
        };
        self.0.send(Box::new(job)).ok()?;
        told.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::mpsc::channel;
    use std::task::{Context, Waker};

    use super::BodyReader;

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_read() {
        let reader = BodyReader::start().unwrap();
        let (go, gone) = channel::<()>();
        let (tell, told) = channel();
        let mut context = Context::from_waker(Waker::noop());
        let mut first = Box::pin(reader.run(move || gone.recv().is_ok()));
        assert!(first.as_mut().poll(&mut context).is_pending());
        let given_up = {
            let mut second = pin!(reader.run(move || tell.send(()).is_ok()));
            second.as_mut().poll(&mut context).is_pending()
        };
        assert!(given_up);
        go.send(()).unwrap();
        assert_eq!(first.await, Some(true));
        assert_eq!(reader.run(|| 3).await, Some(3));
        assert!(told.recv().is_err());
    }
}
