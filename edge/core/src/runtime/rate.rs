//! The rates and their limits; and windows for runtimes that count in a store: the counter's key, its lifetime, and its
//! limit. A runtime only counts.

use super::platform::Rate;

/// Events that a user may post. No one types five messages a second for a minute.
pub const EVENTS_RATE: Rate = Rate::per_minute("EVENTS_RATE", 300);
/// Logout requests (back-channel, front-channel, webhook) per provider and client address that are not verified yet.
pub const LOGOUT_RATE: Rate = Rate::per_minute("LOGOUT_RATE", 600);
/// Steps of sign-ins from one address. Beginning a sign-in may send a request to the provider, and finishing one does.
/// Whole offices and internet providers share an address, and each sign-in takes two steps.
pub const LOGIN_RATE: Rate = Rate::per_minute("LOGIN_RATE", 6000);

/// The rates of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// `EVENTS_PER_MINUTE`: events of a user.
    pub events: Rate,
    /// `LOGIN_STEPS_PER_MINUTE`: steps of sign-ins of an address.
    pub login: Rate,
    /// `LOGOUTS_PER_MINUTE`: unverified logouts of a provider and an address.
    pub logout: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self { events: EVENTS_RATE, login: LOGIN_RATE, logout: LOGOUT_RATE }
    }
}

impl Rate {
    const fn per_minute(name: &'static str, limit: u32) -> Self {
        Self { name, limit, default_limit: limit, period_seconds: 60 }
    }

    /// The same counter with another limit.
    #[must_use]
    pub const fn with_limit(self, limit: u32) -> Self {
        Self { limit, ..self }
    }

    /// The name of the limiter that counts this rate, on a runtime whose limiters have limits of their own. The limiter of
    /// another limit than the default has the limit in its name. So a limiter with the wrong limit is not found.
    #[must_use]
    pub fn limiter(&self) -> String {
        if self.limit == self.default_limit { self.name.to_owned() } else { format!("{}_{}", self.name, self.limit) }
    }
}

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

    const RATE: Rate = Rate::per_minute("R", 3);

    #[test]
    fn limiter_of_another_limit_has_another_name_but_the_same_counter() {
        let stricter = RATE.with_limit(2);
        assert_eq!((RATE.limiter().as_str(), stricter.limiter().as_str()), ("R", "R_2"));
        assert_eq!(RATE.with_limit(3).limiter(), "R");
        let (before, after) = (Window::new(RATE, "github:7", 0), Window::new(stricter, "github:7", 0));
        assert_eq!(before.key, after.key, "what was counted before a change still counts");
        assert!(before.allows(3) && !after.allows(3));
    }

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
