//! The latest readiness check of an isolate, shared by all requests: `/readyz` is public, so checks must be bounded.

use std::cell::RefCell;

use super::{single_flight::SingleFlight, unavailable::Unavailable};

/// How long a result is shared, in milliseconds.
const SHARED_MS: u64 = 1000;

/// The latest result.
#[derive(Debug, Default)]
pub struct Readiness {
    last: RefCell<Option<(u64, Result<(), Unavailable>)>>,
    /// Lets one request run the check.
    pub single_flight: SingleFlight,
}

impl Readiness {
    /// The latest result, if it is recent enough.
    #[must_use]
    pub fn latest(&self, now_ms: u64) -> Option<Result<(), Unavailable>> {
        let last = self.last.borrow();
        let (at_ms, result) = last.as_ref()?;
        (now_ms.checked_sub(*at_ms)? < SHARED_MS).then(|| result.clone())
    }

    /// Stores a result.
    pub fn remember(&self, now_ms: u64, result: Result<(), Unavailable>) {
        *self.last.borrow_mut() = Some((now_ms, result));
    }
}
