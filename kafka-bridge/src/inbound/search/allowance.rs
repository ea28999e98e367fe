//! How many searches each user may cause. A client chooses what it calls a repeat, and a search for one event may read
//! much of a partition. So a user's rate of events, which is made for writing, is too high for searches.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The maximum number of users that are counted at a time. No further one gets a search then.
const MAX_USERS: usize = 20_000;

/// The shortest time between two looks for users who may be forgotten. Each goes through all of them.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A few searches of each user at once, and one more after each interval.
pub(super) struct Allowance {
    interval: Duration,
    /// How long a user's allowance takes to become whole.
    whole: Duration,
    users: Mutex<Users>,
}

#[derive(Default)]
struct Users {
    /// When each user's allowance is whole again. Users of whom that is past may be forgotten.
    whole_at: HashMap<String, Instant>,
    swept: Option<Instant>,
}

impl Users {
    /// Makes room for one more, unless there is some or that was tried just now.
    fn sweep(&mut self, now: Instant) {
        let is_due = self.swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP_INTERVAL);
        if self.whole_at.len() >= MAX_USERS && is_due {
            self.swept = Some(now);
            self.whole_at.retain(|_, whole_at| *whole_at > now);
        }
    }
}

impl Allowance {
    pub(super) fn new(at_once: u32, interval: Duration) -> Self {
        Self { interval, whole: interval.saturating_mul(at_once), users: Mutex::default() }
    }

    /// Takes one search of a user's allowance. Returns whether there was one.
    pub(super) fn take(&self, user: &str) -> bool {
        let now = Instant::now();
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(whole_at) = users.whole_at.get_mut(user) {
            let next = (*whole_at).max(now) + self.interval;
            let is_left = next.duration_since(now) <= self.whole;
            if is_left {
                *whole_at = next;
            }
            return is_left;
        }
        users.sweep(now);
        let is_left = users.whole_at.len() < MAX_USERS && self.interval <= self.whole;
        if is_left {
            users.whole_at.insert(user.to_owned(), now + self.interval);
        }
        is_left
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn user_gets_a_few_searches_at_once_and_then_one_each_interval() {
        let allowance = Allowance::new(3, INTERVAL);
        let taken = |user: &str| (0..5).filter(|_| allowance.take(user)).count();
        assert_eq!(taken("a"), 3);
        assert_eq!(taken("b"), 3, "another user has an allowance of their own");
        advance(INTERVAL - Duration::from_millis(1)).await;
        assert_eq!(taken("a"), 0);
        advance(Duration::from_millis(1)).await;
        assert_eq!(taken("a"), 1);
        advance(INTERVAL * 100).await;
        assert_eq!(taken("a"), 3, "no more than that is saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn number_of_counted_users_is_bounded() {
        let allowance = Allowance::new(3, INTERVAL);
        assert!((0..MAX_USERS).all(|n| allowance.take(&n.to_string())));
        assert!(!allowance.take("one more"));
        assert!(allowance.take("0"), "who is counted goes on");
        advance(INTERVAL).await;
        assert!(allowance.take("one more"));
        assert_eq!(allowance.users.lock().unwrap().whole_at.len(), 2, "those whose allowance is whole are forgotten");
    }
}
