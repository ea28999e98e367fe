//! What an isolate found out a moment ago about whether it can do its work, for all who ask: anybody may, at any rate.

use std::cell::RefCell;

use super::{single_flight::SingleFlight, unavailable::Unavailable};

/// How long what was found out is told to others, in milliseconds.
const TOLD_MS: u64 = 1000;

/// The last verdict.
#[derive(Debug, Default)]
pub struct Readiness {
    last: RefCell<Option<(u64, Result<(), Unavailable>)>>,
    /// Whoever is finding out.
    pub single_flight: SingleFlight,
}

impl Readiness {
    /// The last verdict, if it is not too old.
    #[must_use]
    pub fn verdict(&self, now_ms: u64) -> Option<Result<(), Unavailable>> {
        let last = self.last.borrow();
        let (at_ms, verdict) = last.as_ref()?;
        (now_ms.checked_sub(*at_ms)? < TOLD_MS).then(|| verdict.clone())
    }

    /// Remembers a verdict.
    pub fn remember(&self, now_ms: u64, verdict: Result<(), Unavailable>) {
        *self.last.borrow_mut() = Some((now_ms, verdict));
    }
}
