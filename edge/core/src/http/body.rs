//! Request and response bodies that are read once, with a limit on their bytes.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use futures_util::task::AtomicWaker;
use http::{HeaderMap, header};

use super::web::single;

/// The longest body whose whole time is bounded instead of its silence.
const MAX_WHOLE_BYTES: u64 = 1 << 20;
/// The least rate, in bytes per second, at which such a body must arrive on average.
const LEAST_RATE: u64 = 4096;

/// How long the whole body of an answer may take, if its headers tell that it is short: the time that it may be silent, and
/// the time for its bytes at the least rate. For runtimes that cannot tell a silent body from a slow one at no cost.
#[must_use]
pub fn longest_transfer(headers: &HeaderMap, idle: Duration) -> Option<Duration> {
    let length: u64 = single(headers, &header::CONTENT_LENGTH)?.parse().ok()?;
    (length <= MAX_WHOLE_BYTES).then(|| idle.saturating_add(Duration::from_secs(length / LEAST_RATE)))
}

/// A body that can be read once.
pub trait ReadBody: Sized {
    /// Reads the whole body.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] as soon as the body is known to exceed the limit. Nothing beyond the limit is kept in memory.
    fn read(self, limit_bytes: usize) -> impl Future<Output = Result<Vec<u8>, BodyError>>;

    /// The same body with a limit. It breaks off when a chunk exceeds the limit or its sender breaks off. It must not end
    /// normally then, because it would look complete to its reader.
    ///
    /// # Errors
    /// Returns the unchanged body if the runtime cannot guarantee this.
    fn limited(self, limit: ByteLimit) -> Result<Self, Self>;
}

/// The number of bytes that a streaming body may still have. Clones share the count: one belongs to the body, another to the
/// caller, who learns from it why the body broke off.
#[derive(Debug, Clone)]
pub struct ByteLimit(Rc<LimitState>);

#[derive(Debug)]
struct LimitState {
    remaining_bytes: Cell<usize>,
    failure: RefCell<Option<BodyError>>,
    waker: AtomicWaker,
}

impl ByteLimit {
    /// A limit in bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Rc::new(LimitState {
            remaining_bytes: Cell::new(bytes),
            failure: RefCell::default(),
            waker: AtomicWaker::new(),
        }))
    }

    /// Subtracts a chunk's bytes. Returns `false` if they exceed the limit. Then neither the chunk nor anything after it may
    /// pass.
    #[must_use]
    pub fn take(&self, bytes: usize) -> bool {
        match self.0.remaining_bytes.get().checked_sub(bytes) {
            Some(remaining_bytes) if self.failure().is_none() => {
                self.0.remaining_bytes.set(remaining_bytes);
                true
            }
            _ => {
                self.fail(BodyError::TooLarge);
                false
            }
        }
    }

    /// Records that the sender broke off or sent an unreadable chunk.
    pub fn broken(&self, detail: impl std::fmt::Display) {
        self.fail(BodyError::Broken(detail.to_string()));
    }

    /// Why the body failed, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<BodyError> {
        self.0.failure.borrow().clone()
    }

    /// Completes when the body fails. Never completes for a good body.
    pub async fn failed(&self) -> BodyError {
        poll_fn(|cx| {
            self.0.waker.register(cx.waker());
            self.failure().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn fail(&self, error: BodyError) {
        self.0.failure.borrow_mut().get_or_insert(error);
        self.0.waker.wake();
    }
}

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It exceeds the caller's limit.
    #[error("body exceeds the limit")]
    TooLarge,
    /// Its sender broke off.
    #[error("body broke off: {0}")]
    Broken(String),
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn s96_a_body_that_broke_off_differs_from_one_that_was_too_long() {
        let limit = ByteLimit::new(5);
        assert!(limit.take(5) && limit.failed().now_or_never().is_none());
        assert!(!limit.take(1) && !limit.take(0), "no chunk passes after the limit");
        limit.broken("late");
        assert_eq!(limit.failed().now_or_never(), Some(BodyError::TooLarge), "the first failure counts");
        let limit = ByteLimit::new(5);
        limit.broken("bad chunk");
        assert_eq!(limit.clone().failure(), Some(BodyError::Broken("bad chunk".to_owned())));
        assert!(!limit.take(1));
    }

    #[test]
    fn s105_a_short_body_has_time_for_its_bytes() {
        let longest = |lengths: &[&str]| {
            let values = lengths.iter().map(|length| (header::CONTENT_LENGTH, length.parse().unwrap()));
            longest_transfer(&values.collect(), Duration::from_secs(30))
        };
        assert_eq!(longest(&["0"]), Some(Duration::from_secs(30)));
        assert_eq!(longest(&["1048576"]), Some(Duration::from_secs(286)));
        for unknown in [&[] as &[&str], &["1048577"], &["18446744073709551615"], &["x"], &["1", "1"], &["-1"]] {
            assert_eq!(longest(unknown), None, "{unknown:?}");
        }
    }
}
