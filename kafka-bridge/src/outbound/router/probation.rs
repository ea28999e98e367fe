//! Users whose hub did not answer in time lately. A hub that needs longer than a request of several users allows, but
//! less than one of its own does, would hold up others again after each success. So such a user is sent alone until the
//! hub has answered quickly several times in a row.

use std::{collections::HashMap, sync::Arc, time::Duration};

use causeway_protocol::subject::Subject;
use tokio::time::Instant;

/// How many quick answers in a row end it.
const ANSWERS: u32 = 8;

/// An answer after this long is not quick. The edge gives hubs that share a request a second.
const QUICK: Duration = Duration::from_millis(500);

/// The maximum number of users who are remembered. More are forgotten, the longest without an answer first.
const MAX_USERS: usize = 4096;

/// The users on probation.
#[derive(Debug, Default)]
pub(super) struct Probation {
    users: HashMap<Arc<Subject>, Progress>,
}

#[derive(Debug)]
struct Progress {
    /// The last answer, or failure.
    since: Instant,
    /// Quick answers in a row.
    answers: u32,
}

impl Probation {
    /// The user's hub did not answer in time.
    pub(super) fn begin(&mut self, now: Instant, subject: Arc<Subject>) {
        if self.users.len() >= MAX_USERS && !self.users.contains_key(&subject) {
            let oldest = self.users.iter().min_by_key(|(_, progress)| progress.since);
            if let Some(oldest) = oldest.map(|(subject, _)| Arc::clone(subject)) {
                self.users.remove(&oldest);
            }
        }
        self.users.insert(subject, Progress { since: now, answers: 0 });
    }

    /// The user's hub answered.
    pub(super) fn on_answer(&mut self, now: Instant, subject: &Subject, took: Duration) {
        let Some(progress) = self.users.get_mut(subject) else { return };
        progress.since = now;
        progress.answers = if took <= QUICK { progress.answers + 1 } else { 0 };
        if progress.answers >= ANSWERS {
            self.users.remove(subject);
        }
    }

    /// Since when a user may be sent, if alone. `None` if the user is not on probation.
    pub(super) fn since(&self, subject: &Subject) -> Option<Instant> {
        self.users.get(subject).map(|progress| progress.since)
    }
}
