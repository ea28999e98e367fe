//! Rate windows for runtimes that count in a store: the counter's key, its lifetime, and its limit. A runtime only counts.

use super::platform::Rate;

/// One period of a rate, for one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    limit: u32,
    /// The counter's key, which differs each period.
    pub key: String,
    /// After how many seconds the counter may be forgotten, from its first count.
    pub expires_in_seconds: u32,
}

impl Window {
    /// The window that `now_ms` falls in. Windows are fixed, so up to twice the rate passes across a boundary.
    #[must_use]
    pub fn new(rate: Rate, who: &str, now_ms: u64) -> Self {
        let period_seconds = rate.period_seconds.max(1);
        let number = now_ms / 1000 / u64::from(period_seconds);
        Self {
            limit: rate.limit,
            key: format!("causeway:rate:{}:{who}:{number}", rate.name),
            expires_in_seconds: period_seconds,
        }
    }

    /// Whether the `count`th request of the window, counted from 1, is within the rate.
    #[must_use]
    pub fn allows(&self, count: i64) -> bool {
        count <= i64::from(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { name: "R", limit: 3, period_seconds: 60 };

    #[test]
    fn each_user_has_one_counter_per_period() {
        let key = |who: &str, now_ms| Window::new(RATE, who, now_ms).key;
        assert_eq!(key("github:7", 60_000), key("github:7", 119_999));
        assert_ne!(key("github:7", 119_999), key("github:7", 120_000));
        assert_ne!(key("github:7", 60_000), key("github:8", 60_000));
        assert_ne!(key("github:7", 0), Window::new(Rate { name: "S", ..RATE }, "github:7", 0).key);
    }

    #[test]
    fn requests_beyond_the_limit_are_rejected() {
        let window = Window::new(RATE, "github:7", 0);
        assert!(window.allows(1) && window.allows(3));
        assert!(!window.allows(4) && !window.allows(i64::MAX));
    }

    #[test]
    fn counter_outlives_its_period() {
        let window = Window::new(RATE, "github:7", 119_999);
        assert_eq!(window.expires_in_seconds, 60);
        assert_eq!(Window::new(Rate { period_seconds: 0, ..RATE }, "a", 5_000).expires_in_seconds, 1);
    }
}
