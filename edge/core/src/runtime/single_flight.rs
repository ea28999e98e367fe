//! One at a time within an isolate: of requests that want the same thing from outside, one fetches it and the others
//! wait for what it puts into the isolate's memory.
//!
//! They look there again and again instead of sharing its future: on Workers, what a request began is that request's
//! alone, and may stop for ever when its client leaves, without being dropped. So a turn also ends by itself.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    time::Duration,
};

use super::{
    clock::{Clock, millis},
    unavailable::Unavailable,
};

/// How long is waited before the first look and at most before each of the next.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const MAX_LOOK: Duration = Duration::from_millis(200);

/// What is being fetched.
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

/// The right to fetch something. Dropped, it is the next one's.
#[derive(Debug)]
pub struct Leader<'a> {
    single_flight: &'a SingleFlight,
    name: String,
    number: u64,
}

/// What waiting came to.
#[derive(Debug)]
pub enum Joined<'a, T> {
    /// It is there.
    Follower(T),
    /// It is not, and it is ours to fetch.
    Leader(Leader<'a>),
}

impl SingleFlight {
    /// Whether somebody fetches it.
    #[must_use]
    pub fn is_under_way(&self, name: &str, now_ms: u64) -> bool {
        // One that begins in the future was begun by a clock that was set back.
        self.under_way.borrow().get(name).is_some_and(|it| (it.began_ms..it.until_ms).contains(&now_ms))
    }

    /// Takes the leader, for no longer than `limit`, unless somebody has it.
    pub fn try_lead(&self, name: &str, now_ms: u64, limit: Duration) -> Option<Leader<'_>> {
        if self.is_under_way(name, now_ms) {
            return None;
        }
        let number = self.last.get().wrapping_add(1);
        self.last.set(number);
        let flight = InFlight { number, began_ms: now_ms, until_ms: now_ms.saturating_add(millis(limit)) };
        self.under_way.borrow_mut().insert(name.to_owned(), flight);
        Some(Leader { single_flight: self, name: name.to_owned(), number })
    }

    /// Waits until `look` finds it or the turn to fetch it is ours. Nobody has the turn for longer than `limit`, and
    /// nobody waits for longer than one who stopped and one who came next may take.
    ///
    /// # Errors
    /// [`Unavailable`] if others had the turn all that time.
    pub async fn join<T>(
        &self,
        clock: &impl Clock,
        part: &'static str,
        name: &str,
        limit: Duration,
        look: impl Fn(u64) -> Option<T>,
    ) -> Result<Joined<'_, T>, Unavailable> {
        let began_ms = clock.now_ms();
        let mut wait = FIRST_LOOK;
        loop {
            let now_ms = clock.now_ms();
            if let Some(found) = look(now_ms) {
                return Ok(Joined::Follower(found));
            }
            if let Some(leader) = self.try_lead(name, now_ms, limit) {
                return Ok(Joined::Leader(leader));
            }
            if now_ms.saturating_sub(began_ms) > 2 * millis(limit) {
                return Err(Unavailable::new(part, "is being asked for too long"));
            }
            clock.sleep(wait).await;
            wait = (wait * 2).min(MAX_LOOK);
        }
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        let mut under_way = self.single_flight.under_way.borrow_mut();
        // It may have been over, and somebody else's by now.
        if under_way.get(&self.name).is_some_and(|flight| flight.number == self.number) {
            under_way.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{platform::InMemoryPlatform, run::run_all};

    const LIMIT: Duration = Duration::from_millis(500);

    #[test]
    fn a_turn_is_one_requests_until_it_is_dropped_or_over() {
        let single_flight = SingleFlight::default();
        let first = single_flight.try_lead("x", 0, LIMIT).unwrap();
        assert!(single_flight.try_lead("x", 499, LIMIT).is_none() && single_flight.try_lead("y", 0, LIMIT).is_some());
        let second = single_flight.try_lead("x", 500, LIMIT).unwrap();
        drop(first);
        assert!(single_flight.is_under_way("x", 501), "the late one's end is not the second's");
        drop(second);
        assert!(!single_flight.is_under_way("x", 501));
        let _third = single_flight.try_lead("x", 1_000_000, LIMIT).unwrap();
        assert!(!single_flight.is_under_way("x", 999_999), "a clock that was set back blocks nobody");
    }

    #[test]
    fn who_waits_for_a_request_that_stopped_for_ever_gets_the_turn() {
        let (single_flight, platform) = (SingleFlight::default(), InMemoryPlatform::new(|_| None));
        let begun = platform.now_ms();
        let _stopped = single_flight.try_lead("x", begun, LIMIT).unwrap();
        let wait = single_flight.join(&platform, "x", "x", LIMIT, |_| None::<()>);
        let waited = run_all(&platform, vec![Box::pin(wait)]).remove(0);
        assert!(matches!(waited, Ok(Joined::Leader(_))));
        assert!((500..1000).contains(&(platform.now_ms() - begun)));
    }
}
