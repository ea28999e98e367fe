//! How requests share instances: the same scheme and the same library as in Spin.
//!
//! An instance serves several requests concurrently and a limited number in total. It is dropped after an idle second.
//! A trap ends it, and with it every body that it was still writing.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::time::Sleep;
use wasmtime::{Store, StoreContextMut, component::GuestTaskId};
use wasmtime_wasi_http::{
    WasiHttpView as _,
    handler::{HandlerState, Instance, Proxy, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus},
};

use crate::guest::{Guest, GuestState};

/// How long an instance is reused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reuse {
    /// Requests that an instance serves in total.
    pub(crate) total: usize,
    /// Requests that it serves concurrently.
    pub(crate) concurrent: usize,
    /// How long it may be idle.
    pub(crate) idle: Duration,
}

/// Creates instances.
pub(crate) struct Workers {
    /// The component.
    pub(crate) guest: Arc<Guest>,
    /// How instances are reused.
    pub(crate) reuse: Reuse,
}

impl HandlerState for Workers {
    type StoreData = GuestState;
    type WorkerExpiration = IdleTimer;
    type WorkerState = Reuse;

    async fn instantiate(&self) -> wasmtime::Result<Instance<GuestState, IdleTimer, Reuse>> {
        let (store, service) = self.guest.instantiate().await?;
        Ok(Instance {
            store,
            proxy: Proxy::P3(service),
            view: |state| state.http(),
            expiration: IdleTimer { limit: self.reuse.idle, sleep: Box::pin(tokio::time::sleep(self.reuse.idle)) },
            state: self.reuse,
        })
    }
}

impl WorkerState for Reuse {
    type StoreData = GuestState;
    type RequestData = ();

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= self.total {
            ShouldAccept::Never
        } else if concurrent >= self.concurrent {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _store: StoreContextMut<'_, GuestState>,
        (): (),
        _task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        // Spin's default: no time limit for a request.
        Box::pin(std::future::pending())
    }

    fn drop(&self, store: Store<GuestState>, result: Result<(), wasmtime::Error>) {
        if let Err(error) = result {
            eprintln!("spin-host: an instance failed, with every request on it: {error:?}");
        }
        drop(store);
    }
}

/// Ends an instance that has been idle for the limit.
pub(crate) struct IdleTimer {
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl WorkerExpiration for IdleTimer {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>, status: WorkerStatus, since: Instant) -> Poll<()> {
        if status != WorkerStatus::Idle {
            return Poll::Pending;
        }
        let deadline = tokio::time::Instant::from_std(since) + self.limit;
        if self.sleep.deadline() != deadline {
            self.sleep.as_mut().reset(deadline);
        }
        self.sleep.as_mut().poll(cx)
    }
}
