//! Single flight within an isolate: of concurrent requests for the same resource, one (the leader) fetches it. The others
//! (the followers) wait until the result is in the isolate's memory.
//!
//! Followers poll the memory instead of sharing the leader's future. On Workers, I/O belongs to the request that began it
//! and may stop for ever, without being dropped, when that request's client disconnects. So leadership also expires.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    time::Duration,
};

use super::{
    clock::{Clock, millis},
    dependency::Dependency,
    unavailable::Unavailable,
};

/// The shortest and the longest pause between two polls. The coordinator often answers within a few milliseconds.
const MIN_POLL: Duration = Duration::from_millis(1);
const MAX_POLL: Duration = Duration::from_millis(200);

/// How many leaders one after the other a follower waits for.
const MAX_SUCCESSORS: u32 = 4;

/// How many fetches there are before those that were stopped are looked for.
const MANY: usize = 64;

/// The fetches in progress, and those that were stopped and are not yet forgotten.
#[derive(Debug, Default)]
pub struct SingleFlight {
    under_way: RefCell<HashMap<String, InFlight>>,
    last: Cell<u64>,
    /// How many there were when the stopped ones were last forgotten.
    known: Cell<usize>,
}

#[derive(Debug)]
struct InFlight {
    number: u64,
    began_ms: u64,
    until_ms: u64,
}

impl InFlight {
    fn is_under_way(&self, now_ms: u64) -> bool {
        // A fetch that began in the future began before the clock was set back.
        (self.began_ms..self.until_ms).contains(&now_ms)
    }
}

/// The right to fetch a resource. Dropping it lets the next request lead.
#[derive(Debug)]
pub struct Leader<'a> {
    single_flight: &'a SingleFlight,
    name: String,
    number: u64,
}

/// The role of a request that joined.
#[derive(Debug)]
pub enum Joined<'a, T> {
    /// The resource is available.
    Follower(T),
    /// The resource is missing, and this request fetches it.
    Leader(Leader<'a>),
}

impl SingleFlight {
    /// Whether a fetch of `name` is in progress.
    #[must_use]
    pub fn is_under_way(&self, name: &str, now_ms: u64) -> bool {
        self.under_way.borrow().get(name).is_some_and(|flight| flight.is_under_way(now_ms))
    }

    /// Whether a fetch of `name` is in progress that began less than `age` ago.
    fn is_young(&self, name: &str, now_ms: u64, age: Duration) -> bool {
        let under_way = self.under_way.borrow();
        let flight = under_way.get(name).filter(|flight| flight.is_under_way(now_ms));
        flight.is_some_and(|flight| now_ms.saturating_sub(flight.began_ms) < millis(age))
    }

    /// Becomes the leader for at most `limit`, unless another request leads.
    pub fn try_lead(&self, name: &str, now_ms: u64, limit: Duration) -> Option<Leader<'_>> {
        if self.is_under_way(name, now_ms) {
            return None;
        }
        Some(self.lead(name, now_ms, limit))
    }

    /// Becomes the leader for at most `limit`, even if another request leads.
    pub fn lead(&self, name: &str, now_ms: u64, limit: Duration) -> Leader<'_> {
        let number = self.last.get().wrapping_add(1);
        self.last.set(number);
        self.forget_stopped(now_ms);
        let flight = InFlight { number, began_ms: now_ms, until_ms: now_ms.saturating_add(millis(limit)) };
        self.under_way.borrow_mut().insert(name.to_owned(), flight);
        Leader { single_flight: self, name: name.to_owned(), number }
    }

    /// Forgets the fetches whose time is up, whenever there are twice as many as were left the last time. A leader that was
    /// stopped is never dropped, and most names are asked for once.
    fn forget_stopped(&self, now_ms: u64) {
        let mut under_way = self.under_way.borrow_mut();
        if under_way.len() >= MANY.max(self.known.get().saturating_mul(2)) {
            under_way.retain(|_, flight| flight.is_under_way(now_ms));
            self.known.set(under_way.len());
        }
    }

    /// Takes the leadership from whichever request has it: what it fetches is out of date.
    pub fn cancel(&self, name: &str) {
        self.under_way.borrow_mut().remove(name);
    }

    /// Waits while another request fetches the resource and has had less than `patience` for it. `None`: this request must
    /// fetch it by itself. Then the others wait for it: of many that wait, one in each `patience` asks. Nobody waits longer
    /// than [`MAX_SUCCESSORS`] times that.
    pub async fn follow<T>(
        &self,
        clock: &impl Clock,
        name: &str,
        patience: Duration,
        look: impl Fn(u64) -> Option<T>,
    ) -> Option<T> {
        let began_ms = clock.now_ms();
        loop {
            let now_ms = clock.now_ms();
            let found = look(now_ms);
            let is_patient = now_ms.saturating_sub(began_ms) < millis(patience.saturating_mul(MAX_SUCCESSORS));
            if found.is_some() || !is_patient || !self.is_young(name, now_ms, patience) {
                return found;
            }
            clock.sleep(next_poll(now_ms.saturating_sub(began_ms))).await;
        }
    }

    /// Waits until `look` finds the resource or this request becomes the leader. A leader has at most `limit`. A follower
    /// waits at most as long as one stopped leader and its successor may take.
    ///
    /// # Errors
    /// [`Unavailable`] if other requests led all that time.
    pub async fn join<T>(
        &self,
        clock: &impl Clock,
        dependency: Dependency,
        name: &str,
        limit: Duration,
        look: impl Fn(u64) -> Option<T>,
    ) -> Result<Joined<'_, T>, Unavailable> {
        let began_ms = clock.now_ms();
        loop {
            let now_ms = clock.now_ms();
            if let Some(found) = look(now_ms) {
                return Ok(Joined::Follower(found));
            }
            if let Some(leader) = self.try_lead(name, now_ms, limit) {
                return Ok(Joined::Leader(leader));
            }
            if now_ms.saturating_sub(began_ms) > 2 * millis(limit) {
                return Err(Unavailable::new(dependency, "is being asked for too long"));
            }
            clock.sleep(next_poll(now_ms.saturating_sub(began_ms))).await;
        }
    }
}

/// The pause grows with the time waited, so that a request waits at most about a quarter longer than it must.
fn next_poll(waited_ms: u64) -> Duration {
    Duration::from_millis(waited_ms / 4).clamp(MIN_POLL, MAX_POLL)
}

impl Leader<'_> {
    /// Whether no other request leads by now, and this one was not cancelled.
    fn is_leading(&self) -> bool {
        self.single_flight.under_way.borrow().get(&self.name).is_some_and(|flight| flight.number == self.number)
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        if self.is_leading() {
            self.single_flight.cancel(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::LocalBoxFuture;

    use super::*;
    use crate::testing::{platform::InMemoryPlatform, run::run_all};

    const LIMIT: Duration = Duration::from_millis(500);

    #[test]
    fn one_request_leads_until_it_is_dropped_or_its_limit_has_passed() {
        let single_flight = SingleFlight::default();
        let first = single_flight.try_lead("x", 0, LIMIT).unwrap();
        assert!(single_flight.try_lead("x", 499, LIMIT).is_none() && single_flight.try_lead("y", 0, LIMIT).is_some());
        let second = single_flight.try_lead("x", 500, LIMIT).unwrap();
        drop(first);
        assert!(single_flight.is_under_way("x", 501), "the late one's end is not the second's");
        drop(second);
        assert!(!single_flight.is_under_way("x", 501));
        let _third = single_flight.try_lead("x", 1_000_000, LIMIT).unwrap();
        assert!(!single_flight.is_under_way("x", 999_999), "a clock that was set back does not block other requests");
    }

    #[test]
    fn stopped_requests_are_forgotten_and_others_are_not() {
        let single_flight = SingleFlight::default();
        let lead = |n: usize, now_ms| std::mem::forget(single_flight.lead(&format!("{n}"), now_ms, LIMIT));
        for n in 0..10_000 {
            lead(n, n as u64 * 10);
            assert!(single_flight.under_way.borrow().len() <= 2 * MANY);
        }
        for n in 0..1000 {
            lead(n, 1_000_000);
        }
        assert!((0..1000).all(|n| single_flight.is_under_way(&n.to_string(), 1_000_499)));
    }

    #[test]
    fn nobody_waits_for_a_stopped_request_longer_than_its_limit() {
        let (single_flight, platform) = (SingleFlight::default(), InMemoryPlatform::new(|_| None));
        let begun = platform.now_ms();
        std::mem::forget(single_flight.lead("x", begun, LIMIT));
        let patience = Duration::from_secs(3600);
        let waits = (0..3).map(|_| -> LocalBoxFuture<'_, Option<()>> {
            Box::pin(single_flight.follow(&platform, "x", patience, |_| None))
        });
        assert_eq!(run_all(&platform, waits.collect()), [None; 3], "each fetches by itself");
        assert!((500..1000).contains(&(platform.now_ms() - begun)));
    }

    #[test]
    fn follower_of_a_stopped_request_becomes_the_leader() {
        let (single_flight, platform) = (SingleFlight::default(), InMemoryPlatform::new(|_| None));
        let begun = platform.now_ms();
        let _stopped = single_flight.try_lead("x", begun, LIMIT).unwrap();
        let wait = single_flight.join(&platform, Dependency::IdentityProvider, "x", LIMIT, |_| None::<()>);
        let waited = run_all(&platform, vec![Box::pin(wait)]).remove(0);
        assert!(matches!(waited, Ok(Joined::Leader(_))));
        assert!((500..1000).contains(&(platform.now_ms() - begun)));
    }
}
