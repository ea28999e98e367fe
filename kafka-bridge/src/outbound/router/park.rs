//! When records of a user are given up, so that everybody else goes on: they become dead letters, and a gap takes their
//! place.
//!
//! Nothing is given up because of a fault that is not the user's: time counts only once others were stored while the
//! user failed. While nobody is stored, it is the sink that fails, and delivery waits. Beyond [`PARK_BYTES`] the user's
//! buffer would lose records anyway, so there the answer of the user's own hub is enough,
//! in a request without anybody else.
//!
//! The gap waits in memory only: the watermark does not wait for it, or one user would hold up the partition. After a
//! restart the dead letters tell of it, see [`super::super::parked`].

use std::{sync::Arc, time::Duration};

use causeway_protocol::{buffer::MAX_BUFFER_BYTES, hub::ResetReason, subject::Subject};

use super::{Effect, Entry, Kind, Meta, Router, user::User};

/// A user who fails for this long is parked.
const PARK_AFTER: Duration = Duration::from_mins(2);

/// A user who fails and for whom more waits is parked.
const PARK_BYTES: u64 = MAX_BUFFER_BYTES;

/// The reason of the dead letters.
pub(in super::super) const PARKED: &str = "parked";

impl Router {
    /// Gives up the waiting records of a user who fails, if it is time. The user must have nothing in flight.
    pub(super) fn park_if_due(&mut self, subject: &Arc<Subject>) {
        let Some(user) = self.users.get_mut(subject) else { return };
        let Some(failing) = user.failing.as_mut() else { return };
        let is_due = (failing.is_own_fault && u64::try_from(user.bytes).unwrap_or(u64::MAX) > PARK_BYTES)
            || failing.failed_for >= PARK_AFTER;
        let is_only_gaps = user.queue.iter().all(|entry| matches!(entry.meta.kind, Kind::Gap));
        if !is_due || is_only_gaps {
            return;
        }
        failing.failed_for = Duration::ZERO;
        user.max_items = super::user::MAX_USER_ITEMS;
        self.parked_users += usize::from(!std::mem::replace(&mut user.is_parked, true));
        self.park(subject);
    }

    /// A user with items was parked before this instance knew of them.
    pub(in super::super) fn set_parked(&mut self, subject: &Subject) {
        let Some(user) = self.users.get_mut(subject) else { return };
        self.parked_users += usize::from(!std::mem::replace(&mut user.is_parked, true));
    }

    fn park(&mut self, subject: &Arc<Subject>) {
        let Some(user) = self.users.get_mut(subject) else { return };
        // Of each partition, in the order of the first item.
        let mut last_offsets: Vec<(_, i64)> = Vec::new();
        user.bytes = 0;
        for Entry { item, meta } in user.queue.drain(..) {
            match last_offsets.iter_mut().find(|(partition, _)| *partition == meta.partition) {
                Some((_, last)) => *last = (*last).max(item.offset),
                None => last_offsets.push((meta.partition, item.offset)),
            }
            let record = match meta.kind {
                Kind::Record => item,
                Kind::Probe(record) => *record,
                // The new gap includes it.
                Kind::Gap => {
                    self.effects.push(Effect::Stored { offset: item.offset, meta });
                    continue;
                }
            };
            let meta = Meta { kind: Kind::Record, ..meta };
            self.effects.push(Effect::Dead { subject: Subject::clone(subject), item: record, meta, reason: PARKED });
        }
        for (partition, last_offset) in last_offsets {
            let Some(source) = self.sources.get(&partition) else { continue };
            let gap = Entry::gap(partition, source, last_offset, ResetReason::Parked);
            self.effects.push(Effect::GapQueued { partition, bytes: gap.meta.bytes });
            User::push_back(user, gap);
        }
    }
}
