//! A clock that a test moves.

use std::{cell::Cell, future::poll_fn, rc::Rc, task::Poll, time::Duration};

use futures_util::future::LocalBoxFuture;

use crate::runtime::clock::{Clock, millis};

/// The time in Unix milliseconds. Whoever holds it may move it.
#[derive(Debug, Clone)]
pub struct InMemoryClock(pub Rc<Cell<u64>>);

impl Clock for InMemoryClock {
    fn now_ms(&self) -> u64 {
        self.0.get()
    }

    fn sleep(&self, wait: Duration) -> LocalBoxFuture<'static, ()> {
        let (now_ms, until_ms) = (Rc::clone(&self.0), self.0.get().saturating_add(millis(wait)));
        Box::pin(poll_fn(move |context| {
            if now_ms.get() >= until_ms {
                return Poll::Ready(());
            }
            // Nothing knows when the time is moved. Among many futures, only one that woke is polled again.
            context.waker().wake_by_ref();
            Poll::Pending
        }))
    }
}
