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
pub struct Flights {
    under_way: RefCell<HashMap<String, Flight>>,
    last: Cell<u64>,
}

#[derive(Debug)]
struct Flight {
    number: u64,
    began_ms: u64,
    until_ms: u64,
}

/// The right to fetch something. Dropped, it is the next one's.
#[derive(Debug)]
pub struct Turn<'a> {
    flights: &'a Flights,
    name: String,
    number: u64,
}

/// What waiting came to.
#[derive(Debug)]
pub enum Waited<'a, T> {
    /// It is there.
    Found(T),
    /// It is not, and it is ours to fetch.
    Turn(Turn<'a>),
}

impl Flights {
    /// Whether somebody fetches it.
    #[must_use]
    pub fn is_under_way(&self, name: &str, now_ms: u64) -> bool {
        // One that begins in the future was begun by a clock that was set back.
        self.under_way.borrow().get(name).is_some_and(|it| (it.began_ms..it.until_ms).contains(&now_ms))
    }

    /// Takes the turn, for no longer than `limit`, unless somebody has it.
    pub fn take(&self, name: &str, now_ms: u64, limit: Duration) -> Option<Turn<'_>> {
        if self.is_under_way(name, now_ms) {
            return None;
        }
        let number = self.last.get().wrapping_add(1);
        self.last.set(number);
        let flight = Flight { number, began_ms: now_ms, until_ms: now_ms.saturating_add(millis(limit)) };
        self.under_way.borrow_mut().insert(name.to_owned(), flight);
        Some(Turn { flights: self, name: name.to_owned(), number })
    }

    /// Waits until `look` finds it or the turn to fetch it is ours. Nobody has the turn for longer than `limit`, and
    /// nobody waits for longer than one who stopped and one who came next may take.
    ///
    /// # Errors
    /// [`Unavailable`] if others had the turn all that time.
    pub async fn turn_or<T>(
        &self,
        clock: &impl Clock,
        part: &'static str,
        name: &str,
        limit: Duration,
        look: impl Fn(u64) -> Option<T>,
    ) -> Result<Waited<'_, T>, Unavailable> {
        let began_ms = clock.now_ms();
        let mut wait = FIRST_LOOK;
        loop {
            let now_ms = clock.now_ms();
            if let Some(found) = look(now_ms) {
                return Ok(Waited::Found(found));
            }
            if let Some(turn) = self.take(name, now_ms, limit) {
                return Ok(Waited::Turn(turn));
            }
            if now_ms.saturating_sub(began_ms) > 2 * millis(limit) {
                return Err(Unavailable::new(part, "is being asked for too long"));
            }
            clock.sleep(wait).await;
            wait = (wait * 2).min(MAX_LOOK);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut under_way = self.flights.under_way.borrow_mut();
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
        let flights = Flights::default();
        let first = flights.take("x", 0, LIMIT).unwrap();
        assert!(flights.take("x", 499, LIMIT).is_none() && flights.take("y", 0, LIMIT).is_some());
        let second = flights.take("x", 500, LIMIT).unwrap();
        drop(first);
        assert!(flights.is_under_way("x", 501), "the late one's end is not the second's");
        drop(second);
        assert!(!flights.is_under_way("x", 501));
        let _third = flights.take("x", 1_000_000, LIMIT).unwrap();
        assert!(!flights.is_under_way("x", 999_999), "a clock that was set back blocks nobody");
    }

    #[test]
    fn who_waits_for_a_request_that_stopped_for_ever_gets_the_turn() {
        let (flights, platform) = (Flights::default(), InMemoryPlatform::new(|_| None));
        let begun = platform.now_ms();
        let _stopped = flights.take("x", begun, LIMIT).unwrap();
        let wait = flights.turn_or(&platform, "x", "x", LIMIT, |_| None::<()>);
        let waited = run_all(&platform, vec![Box::pin(wait)]).remove(0);
        assert!(matches!(waited, Ok(Waited::Turn(_))));
        assert!((500..1000).contains(&(platform.now_ms() - begun)));
    }
}
