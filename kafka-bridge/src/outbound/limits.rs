//! How many requests are in flight and how many items each carries. Additive increase after a success,
//! multiplicative decrease after a failure.

/// Requests in flight at the start.
const START_REQUESTS: usize = 2;

/// The maximum number of requests in flight.
const MAX_REQUESTS: usize = 16;

/// Items of a request at the start, and how many more it may carry after each success.
const STEP_ITEMS: usize = 128;

/// The maximum number of items of a request.
const MAX_ITEMS: usize = 2048;

/// The current limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    requests: usize,
    items: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests: START_REQUESTS, items: STEP_ITEMS }
    }
}

impl Limits {
    /// The maximum number of requests in flight now.
    #[must_use]
    pub(super) fn requests(self) -> usize {
        self.requests
    }

    /// The maximum number of items of a request now.
    #[must_use]
    pub(super) fn items(self) -> usize {
        self.items
    }

    /// A request succeeded while there was more to send. Without more, a higher limit would not have been used.
    pub(super) fn on_success(&mut self) {
        self.requests = (self.requests + 1).min(MAX_REQUESTS);
        self.items = (self.items + STEP_ITEMS).min(MAX_ITEMS);
    }

    /// A request failed or timed out, or there was no time for most of its users.
    pub(super) fn on_failure(&mut self) {
        self.requests = (self.requests / 2).max(1);
        self.items = (self.items / 2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_grow_step_by_step_and_halve() {
        let mut limits = Limits::default();
        limits.on_success();
        assert_eq!((limits.requests(), limits.items()), (3, 256));
        (0..100).for_each(|_| limits.on_success());
        assert_eq!((limits.requests(), limits.items()), (MAX_REQUESTS, MAX_ITEMS));
        limits.on_failure();
        assert_eq!((limits.requests(), limits.items()), (MAX_REQUESTS / 2, MAX_ITEMS / 2));
        (0..100).for_each(|_| limits.on_failure());
        assert_eq!((limits.requests(), limits.items()), (1, 1));
    }
}
