//! The edge of the configuration in force. Variables and secrets may change while an isolate lives: a runtime may keep it
//! when only bindings change.
//!
//! A runtime reads what its variables are now, in whatever form is cheap to compare, and asks here for the edge that belongs
//! to them. A changed value gives a new [`Edge`] with a new memory. Nothing of the previous memory outlives a change:
//!
//! - installation tokens were minted with the previous app, key and permissions;
//! - providers' metadata, keys and nonces were accepted under the previous issuers, and their shared copies are sealed with
//!   the previous key ring;
//! - sessions were confirmed under the previous revocation bound;
//! - readiness is that of the previous bridge.
//!
//! A reading that fails proves no change. The last values stay in force for a minute then, and are read again once a second.
//!
//! All of it can be lost at any time, and a change is rare: it costs what a new isolate costs. A request that has begun ends
//! with the edge it began with, as if it ran in an older isolate. What two isolates must agree on is the coordinator's.

use std::{cell::RefCell, fmt, rc::Rc};

use super::Edge;

/// How long values count as current on a runtime that does not read them for each request, in milliseconds. As long no
/// reading follows one that failed.
const RECENT_MS: u64 = 1000;
/// How long the last values stay in force while they cannot be read, in milliseconds. A removed key must not open sessions
/// for longer because its store is down.
const MAX_UNREAD_MS: u64 = 60_000;
/// How long a reading may take, in milliseconds. One that seems to have begun earlier than that before another is of a clock
/// that was set back.
const MAX_READING_MS: u64 = 60_000;

/// What a runtime read of its variables.
pub struct Reading<R> {
    /// The values, or anything that differs whenever one of them does. They hold secrets.
    pub values: R,
    /// Whether everything could be read. Otherwise the values prove neither a change nor its absence.
    pub is_complete: bool,
    /// When the reading began, in Unix milliseconds.
    pub read_at_ms: u64,
}

/// An edge and the values that it was built from.
pub struct Deployed<R> {
    /// The edge.
    pub edge: Edge,
    /// The values.
    pub values: R,
}

/// The edge of the configuration in force, one per isolate.
pub struct CurrentEdge<R> {
    readings: RefCell<Readings<R>>,
}

/// The last readings.
struct Readings<R> {
    /// The edge of the last complete reading, and when that began.
    complete: Option<(Rc<Deployed<R>>, u64)>,
    /// The edge that answers since a later reading failed, and when that began.
    incomplete: Option<(Rc<Deployed<R>>, u64)>,
}

impl<R> Readings<R> {
    /// The edge of the last complete reading, unless that is too long ago to stay in force unread.
    fn still_in_force(&self, now_ms: u64) -> Option<&Rc<Deployed<R>>> {
        let (deployed, read_at_ms) = self.complete.as_ref()?;
        (now_ms.checked_sub(*read_at_ms)? < MAX_UNREAD_MS).then_some(deployed)
    }

    /// Whether a reading began before the one that is in force, and took longer.
    fn is_overtaken(&self, read_at_ms: u64) -> bool {
        let after_ms = |(_, in_force_ms): &(_, u64)| in_force_ms.saturating_sub(read_at_ms);
        self.complete.as_ref().is_some_and(|complete| (1..MAX_READING_MS).contains(&after_ms(complete)))
    }
}

impl<R: PartialEq> CurrentEdge<R> {
    /// Begins without an edge.
    #[must_use]
    pub const fn new() -> Self {
        Self { readings: RefCell::new(Readings { complete: None, incomplete: None }) }
    }

    /// The edge for these values: the one before if no value differs, otherwise the one that `build` makes. Values that could
    /// not all be read leave the last edge in force for a minute, and then close every route.
    ///
    /// The comparison need not take constant time: those who send requests choose neither side of it.
    pub fn of(&self, reading: Reading<R>, build: impl FnOnce(&R) -> Edge) -> Rc<Deployed<R>> {
        let Reading { values, is_complete, read_at_ms } = reading;
        let mut readings = self.readings.borrow_mut();
        // Concurrent requests may each read. What a newer reading found stays in force.
        let in_force = readings
            .complete
            .as_ref()
            .filter(|(deployed, _)| readings.is_overtaken(read_at_ms) || is_complete && deployed.values == values);
        if let Some((deployed, _)) = in_force {
            let deployed = Rc::clone(deployed);
            if !readings.is_overtaken(read_at_ms) {
                *readings = Readings { complete: Some((Rc::clone(&deployed), read_at_ms)), incomplete: None };
            }
            return deployed;
        }
        let unread = if is_complete { None } else { readings.still_in_force(read_at_ms).cloned() };
        let deployed = unread.unwrap_or_else(|| {
            let edge = build(&values);
            edge.replaces_another.set(is_complete && readings.complete.is_some());
            Rc::new(Deployed { edge, values })
        });
        if is_complete {
            *readings = Readings { complete: Some((Rc::clone(&deployed), read_at_ms)), incomplete: None };
        } else {
            // If the values can be read again and are the previous ones, their edge still has its memory.
            readings.incomplete = Some((Rc::clone(&deployed), read_at_ms));
        }
        deployed
    }

    /// The edge, if its values were read recently: for runtimes where a reading may ask a remote store for each variable.
    #[must_use]
    pub fn recent(&self, now_ms: u64) -> Option<Rc<Deployed<R>>> {
        let readings = self.readings.borrow();
        let (deployed, read_at_ms) = readings.incomplete.as_ref().or(readings.complete.as_ref())?;
        // A clock that was set back must not prolong the time.
        let is_recent = now_ms.checked_sub(*read_at_ms)? < RECENT_MS;
        let is_last = readings.complete.as_ref().is_some_and(|(last, _)| Rc::ptr_eq(last, deployed));
        let is_in_force = !is_last || readings.still_in_force(now_ms).is_some();
        (is_recent && is_in_force).then(|| Rc::clone(deployed))
    }
}

impl<R: PartialEq> Default for CurrentEdge<R> {
    fn default() -> Self {
        Self::new()
    }
}

// The values hold secrets, so no debug output shows them.

impl<R> fmt::Debug for Reading<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("is_complete", &self.is_complete).finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for Deployed<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deployed").finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for CurrentEdge<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentEdge").finish_non_exhaustive()
    }
}
