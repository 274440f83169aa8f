//! When the connection stands: the moment from which the head of the answer is waited for.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

/// What a client's connector is doing. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    under_way: usize,
    last: Option<Instant>,
}

impl Connections {
    /// True while a connection is being made.
    pub(super) fn is_under_way(&self) -> bool {
        self.state().under_way > 0
    }

    /// Returns when the last connection was made.
    pub(super) fn last(&self) -> Option<Instant> {
        self.state().last
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Layer<S> for Connections {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched {
            inner,
            connections: self.clone(),
        }
    }
}

/// A connector that says when it begins and when it is done.
#[derive(Clone, Debug)]
pub(super) struct Watched<S> {
    inner: S,
    connections: Connections,
}

impl<S, R> Service<R> for Watched<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let attempt = Attempt::begin(&self.connections);
        let connecting = self.inner.call(request);
        Box::pin(async move {
            let made = connecting.await;
            drop(attempt);
            made
        })
    }
}

/// One connection being made; over when dropped, also by a cancelled request.
struct Attempt(Connections);

impl Attempt {
    fn begin(connections: &Connections) -> Self {
        connections.state().under_way += 1;
        Self(connections.clone())
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.under_way = state.under_way.saturating_sub(1);
        state.last = Some(Instant::now());
    }
}
