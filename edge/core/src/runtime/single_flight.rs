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

/// The first and the longest pause between two polls.
const FIRST_POLL: Duration = Duration::from_millis(10);
const MAX_POLL: Duration = Duration::from_millis(200);

/// The fetches in progress.
#[derive(Debug, Default)]
pub struct SingleFlight {
    under_way: RefCell<HashMap<String, InFlight>>,
    last: Cell<u64>,
}

#[derive(Debug)]
struct InFlight {
    number: u64,
    began_ms: u64,
    until_ms: u64,
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
        // A fetch that began in the future began before the clock was set back.
        self.under_way.borrow().get(name).is_some_and(|it| (it.began_ms..it.until_ms).contains(&now_ms))
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
        let flight = InFlight { number, began_ms: now_ms, until_ms: now_ms.saturating_add(millis(limit)) };
        self.under_way.borrow_mut().insert(name.to_owned(), flight);
        Leader { single_flight: self, name: name.to_owned(), number }
    }

    /// Takes the leadership from whichever request has it: what it fetches is out of date.
    pub fn cancel(&self, name: &str) {
        self.under_way.borrow_mut().remove(name);
    }

    /// Waits while another request fetches the resource, but no longer than `patience`. `None`: this request must fetch it
    /// by itself.
    pub async fn follow<T>(
        &self,
        clock: &impl Clock,
        name: &str,
        patience: Duration,
        look: impl Fn(u64) -> Option<T>,
    ) -> Option<T> {
        let began_ms = clock.now_ms();
        let mut wait = FIRST_POLL;
        loop {
            let now_ms = clock.now_ms();
            let found = look(now_ms);
            let is_patient = now_ms.saturating_sub(began_ms) < millis(patience);
            if found.is_some() || !is_patient || !self.is_under_way(name, now_ms) {
                return found;
            }
            clock.sleep(wait).await;
            wait = (wait * 2).min(MAX_POLL);
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
        let mut wait = FIRST_POLL;
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
            clock.sleep(wait).await;
            wait = (wait * 2).min(MAX_POLL);
        }
    }
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
