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
//! All of it can be lost at any time, and a change is rare: it costs what a new isolate costs. A request that has begun ends
//! with the edge it began with, as if it ran in an older isolate. What two isolates must agree on is the coordinator's.

use std::{cell::RefCell, fmt, rc::Rc};

use super::Edge;

/// How long values count as current on a runtime that does not read them for each request, in milliseconds.
const RECENT_MS: u64 = 1000;

/// What a runtime read of its variables.
pub struct Reading<R> {
    /// The values, or anything that differs whenever one of them does. They hold secrets.
    pub values: R,
    /// Whether everything could be read. Otherwise the values prove neither a change nor its absence.
    pub is_complete: bool,
    /// When they were read, in Unix milliseconds.
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
    /// The edge, and when its values were last found to be unchanged.
    current: RefCell<Option<(Rc<Deployed<R>>, u64)>>,
}

impl<R: PartialEq> CurrentEdge<R> {
    /// Begins without an edge.
    #[must_use]
    pub const fn new() -> Self {
        Self { current: RefCell::new(None) }
    }

    /// The edge for these values: the one before if no value differs, otherwise the one that `build` makes.
    ///
    /// The comparison need not take constant time: those who send requests choose neither side of it.
    pub fn of(&self, reading: Reading<R>, build: impl FnOnce(&R) -> Edge) -> Rc<Deployed<R>> {
        let Reading { values, is_complete, read_at_ms } = reading;
        let mut current = self.current.borrow_mut();
        if is_complete
            && let Some((deployed, checked_at_ms)) = current.as_mut()
            && deployed.values == values
        {
            *checked_at_ms = read_at_ms;
            return Rc::clone(deployed);
        }
        let edge = build(&values);
        if is_complete && current.is_some() {
            edge.replaces_another.set(true);
        }
        let deployed = Rc::new(Deployed { edge, values });
        // What could not be read is read again for the next request. If the values then are the previous ones, their edge
        // still has its memory.
        if is_complete {
            *current = Some((Rc::clone(&deployed), read_at_ms));
        }
        deployed
    }

    /// The edge, if its values were read recently: for runtimes where a reading may ask a remote store for each variable.
    #[must_use]
    pub fn recent(&self, now_ms: u64) -> Option<Rc<Deployed<R>>> {
        let current = self.current.borrow();
        let (deployed, checked_at_ms) = current.as_ref()?;
        // A clock that was set back must not prolong the time.
        (now_ms.checked_sub(*checked_at_ms)? < RECENT_MS).then(|| Rc::clone(deployed))
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
