//! Request and response bodies that are read once, with a limit on their bytes.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    rc::Rc,
    task::Poll,
};

use futures_util::task::AtomicWaker;

/// A body that can be read once.
pub trait ReadBody: Sized {
    /// Reads all of it.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] as soon as it is known to exceed the limit; nothing beyond the limit is kept.
    fn read(self, limit_bytes: usize) -> impl Future<Output = Result<Vec<u8>, BodyError>>;

    /// The same body, which asks before each chunk and breaks off when it is refused, or when its sender breaks off: it
    /// must not end then, which would look like all there is to whoever reads it.
    ///
    /// # Errors
    /// The body as it was, where the runtime cannot promise that.
    fn limited(self, limit: ByteLimit) -> Result<Self, Self>;
}

/// How many bytes a body that streams may still have. Its copies count together: one goes with the body, one stays with
/// whoever wants to know why it broke off.
#[derive(Debug, Clone)]
pub struct ByteLimit(Rc<Counted>);

#[derive(Debug)]
struct Counted {
    left: Cell<usize>,
    failed: RefCell<Option<BodyError>>,
    waiting: AtomicWaker,
}

impl ByteLimit {
    /// A limit of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Rc::new(Counted { left: Cell::new(bytes), failed: RefCell::default(), waiting: AtomicWaker::new() }))
    }

    /// Takes a chunk's bytes off it. `false` if there were not as many left: then nothing of the chunk may pass, and
    /// nothing after it.
    #[must_use]
    pub fn take(&self, bytes: usize) -> bool {
        match self.0.left.get().checked_sub(bytes) {
            Some(left) if self.failure().is_none() => {
                self.0.left.set(left);
                true
            }
            _ => {
                self.fail(BodyError::TooLarge);
                false
            }
        }
    }

    /// Notes that whoever sends the body broke off, or sent what cannot be read.
    pub fn broken(&self, detail: impl std::fmt::Display) {
        self.fail(BodyError::Broken(detail.to_string()));
    }

    /// What is wrong with the body, if anything is.
    #[must_use]
    pub fn failure(&self) -> Option<BodyError> {
        self.0.failed.borrow().clone()
    }

    /// Completes when something is; a body that is as it should be never completes it.
    pub async fn failed(&self) -> BodyError {
        poll_fn(|cx| {
            self.0.waiting.register(cx.waker());
            self.failure().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn fail(&self, error: BodyError) {
        self.0.failed.borrow_mut().get_or_insert(error);
        self.0.waiting.wake();
    }
}

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Longer than the caller takes.
    #[error("body exceeds the limit")]
    TooLarge,
    /// The other side broke off.
    #[error("body broke off: {0}")]
    Broken(String),
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn s96_a_body_that_broke_off_is_told_from_one_that_was_too_long() {
        let limit = ByteLimit::new(5);
        assert!(limit.take(5) && limit.failed().now_or_never().is_none());
        assert!(!limit.take(1) && !limit.take(0), "nothing after it");
        limit.broken("late");
        assert_eq!(limit.failed().now_or_never(), Some(BodyError::TooLarge), "what came first counts");
        let limit = ByteLimit::new(5);
        limit.broken("bad chunk");
        assert_eq!(limit.clone().failure(), Some(BodyError::Broken("bad chunk".to_owned())));
        assert!(!limit.take(1));
    }
}
