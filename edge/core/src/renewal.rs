//! How often an upstream's refusal of a token may cost a refresh. An upstream that answers 401 to everything, or to one
//! path, must not let its callers wear out the refresh tokens, or the provider's patience.

use std::{cell::RefCell, collections::VecDeque, time::Duration};

use crate::session::id::SessionHandle;

/// How long after one refresh for a refused token the next refusal is believed to be about something else.
const PAUSE: Duration = Duration::from_secs(60);
/// Most refreshes an isolate remembers; the oldest are forgotten first.
const MAX_REMEMBERED: usize = 1000;

/// Refreshes that refusals have cost lately, as one isolate knows them.
#[derive(Debug, Default)]
pub struct ForcedRenewals(RefCell<VecDeque<Forced>>);

#[derive(Debug)]
struct Forced {
    session: SessionHandle,
    provider: String,
    at_ms: u64,
}

impl ForcedRenewals {
    /// Whether a refusal has cost a refresh lately, so that the next one may not.
    pub fn was_lately(&self, session: &SessionHandle, provider: &str, now_ms: u64) -> bool {
        let mut forced = self.0.borrow_mut();
        // What lies in the future was counted by a clock that was set back.
        let is_recent = |at_ms| now_ms.checked_sub(at_ms).is_some_and(|age_ms| u128::from(age_ms) < PAUSE.as_millis());
        forced.retain(|one| is_recent(one.at_ms));
        forced.iter().any(|one| one.session == *session && one.provider == provider)
    }

    /// Counts a refresh that a refusal has cost. One that failed in an outage is not to be held against the next.
    pub fn note(&self, session: &SessionHandle, provider: &str, now_ms: u64) {
        let mut forced = self.0.borrow_mut();
        if forced.len() >= MAX_REMEMBERED {
            forced.pop_front();
        }
        forced.push_back(Forced { session: session.clone(), provider: provider.to_owned(), at_ms: now_ms });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{session::id::SessionId, simulated::SeededRandom};

    #[test]
    fn one_refusal_a_minute_is_believed_for_each_account() {
        let random = SeededRandom::new(1);
        let [one, other] = [(), ()].map(|()| SessionId::draw(&random).unwrap().handle());
        let forced = ForcedRenewals::default();
        forced.note(&one, "github", 5);
        assert!(forced.was_lately(&one, "github", 5) && forced.was_lately(&one, "github", 60_004));
        assert!(!forced.was_lately(&one, "corp", 5) && !forced.was_lately(&other, "github", 5));
        assert!(!forced.was_lately(&one, "github", 60_005));
        forced.note(&one, "github", 5);
        assert!(!forced.was_lately(&one, "github", 4), "a clock that was set back locks nobody out");
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let random = SeededRandom::new(1);
        let forced = ForcedRenewals::default();
        for _ in 0..2 * MAX_REMEMBERED {
            forced.note(&SessionId::draw(&random).unwrap().handle(), "github", 0);
        }
        assert_eq!(forced.0.borrow().len(), MAX_REMEMBERED);
    }
}
