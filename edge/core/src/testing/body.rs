//! The body of a request or a response, in memory.

use std::{cell::Cell, fmt, future::poll_fn, rc::Rc, task::Poll};

use futures_util::{StreamExt as _, stream::LocalBoxStream};

use crate::{
    http::body::{BodyError, ByteLimit, ReadBody},
    stream::driver::Chunks,
};

/// A body in memory: its bytes, and what follows them if they are not all of it yet.
#[derive(Debug, Default)]
pub struct InMemoryBody(pub Vec<u8>, Rest);

/// What follows the bytes of a body.
#[derive(Default)]
enum Rest {
    /// Nothing.
    #[default]
    None,
    /// The end, after a time.
    Delay {
        /// The platform's time, which moves on while the body is read.
        now_ms: Rc<Cell<u64>>,
        until_ms: u64,
    },
    /// A stream.
    Chunks(LocalBoxStream<'static, Vec<u8>>),
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Delay { .. } => "Delay",
            Self::Chunks(_) => "Chunks",
        })
    }
}

impl From<Vec<u8>> for InMemoryBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes, Rest::None)
    }
}

impl From<Chunks> for InMemoryBody {
    fn from(chunks: Chunks) -> Self {
        Self(Vec::new(), Rest::Chunks(Box::pin(chunks.map(|chunk| chunk.as_ref().to_vec()))))
    }
}

impl InMemoryBody {
    /// The same body, complete only after this time on the clock `now_ms`. Read it under [`super::run::run_all`], which
    /// lets time pass.
    pub fn delayed(self, now_ms: &Rc<Cell<u64>>, wait_ms: u64) -> Self {
        let until_ms = now_ms.get().saturating_add(wait_ms);
        Self(self.0, Rest::Delay { now_ms: Rc::clone(now_ms), until_ms })
    }

    /// The chunks of a stream. Any other body has none.
    pub fn into_chunks(self) -> LocalBoxStream<'static, Vec<u8>> {
        match self.1 {
            Rest::Chunks(chunks) => chunks,
            Rest::None | Rest::Delay { .. } => Box::pin(futures_util::stream::empty()),
        }
    }
}

impl ReadBody for InMemoryBody {
    async fn read(self, limit_bytes: usize) -> Result<Vec<u8>, BodyError> {
        let mut bytes = self.0;
        match self.1 {
            Rest::None => {}
            Rest::Delay { now_ms, until_ms } => {
                poll_fn(|_| if now_ms.get() < until_ms { Poll::Pending } else { Poll::Ready(()) }).await;
            }
            Rest::Chunks(mut chunks) => {
                while bytes.len() <= limit_bytes
                    && let Some(chunk) = chunks.next().await
                {
                    bytes.extend(chunk);
                }
            }
        }
        if bytes.len() > limit_bytes { Err(BodyError::TooLarge) } else { Ok(bytes) }
    }

    fn limited(self, limit: ByteLimit) -> Result<Self, Self> {
        // One byte at a time: what the limit allows is sent before the rest is rejected.
        Ok(Self(self.0.into_iter().take_while(|_| limit.take(1)).collect(), self.1))
    }
}
