//! The body of a request or a response, in memory.

use std::{cell::Cell, future::poll_fn, rc::Rc, task::Poll};

use crate::http::body::{BodyError, ByteLimit, ReadBody};

/// A body in memory: its bytes, and when they are complete if they are not yet.
#[derive(Debug, Default)]
pub struct InMemoryBody(pub Vec<u8>, Option<Delay>);

/// When a delayed body is complete.
#[derive(Debug)]
struct Delay {
    /// The platform's time, which moves on while the body is read.
    now_ms: Rc<Cell<u64>>,
    until_ms: u64,
}

impl From<Vec<u8>> for InMemoryBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes, None)
    }
}

impl InMemoryBody {
    /// The same body, complete only after this time on the clock `now_ms`. Read it under [`super::run::run_all`], which
    /// lets time pass.
    pub fn delayed(self, now_ms: &Rc<Cell<u64>>, wait_ms: u64) -> Self {
        let until_ms = now_ms.get().saturating_add(wait_ms);
        Self(self.0, Some(Delay { now_ms: Rc::clone(now_ms), until_ms }))
    }
}

impl ReadBody for InMemoryBody {
    async fn read(self, limit_bytes: usize) -> Result<Vec<u8>, BodyError> {
        if let Some(Delay { now_ms, until_ms }) = self.1 {
            poll_fn(|_| if now_ms.get() < until_ms { Poll::Pending } else { Poll::Ready(()) }).await;
        }
        if self.0.len() > limit_bytes { Err(BodyError::TooLarge) } else { Ok(self.0) }
    }

    fn limited(self, limit: ByteLimit) -> Result<Self, Self> {
        // One byte at a time: what the limit allows is sent before the rest is rejected.
        Ok(Self(self.0.into_iter().take_while(|_| limit.take(1)).collect(), self.1))
    }
}
