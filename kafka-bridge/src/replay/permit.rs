//! How many scans run at a time. One user can't keep the others from theirs, and pages of history can't keep streams from
//! what they missed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use causeway_protocol::subject::Subject;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::ReplayLimits;
use crate::rejection::Rejection;

/// The users with scans, and how many each has.
type Users = Arc<Mutex<HashMap<Subject, usize>>>;

/// Admits scans.
pub(super) struct Permits {
    all: Arc<Semaphore>,
    history: Arc<Semaphore>,
    users: Users,
    limits: ReplayLimits,
}

/// What a scan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// What a stream missed. Its client waits, and gets nothing else meanwhile.
    Resume,
    /// A page of history. A page can ask for any number of them.
    History,
}

/// A scan that runs.
pub(super) struct Permit {
    _all: OwnedSemaphorePermit,
    _history: Option<OwnedSemaphorePermit>,
    _user: UserPermit,
}

struct UserPermit {
    users: Users,
    subject: Subject,
}

impl Permits {
    pub(super) fn new(limits: ReplayLimits) -> Self {
        let history = Arc::new(Semaphore::new((limits.scans / 2).max(1)));
        Self { all: Arc::new(Semaphore::new(limits.scans)), history, users: Users::default(), limits }
    }

    /// Admits a scan. Waits a moment for others to end.
    pub(super) async fn acquire(&self, subject: &Subject, purpose: Purpose) -> Result<Permit, Rejection> {
        let user = self.of_user(subject)?;
        let both = async {
            let history = match purpose {
                Purpose::History => Some(Arc::clone(&self.history).acquire_owned().await?),
                Purpose::Resume => None,
            };
            Ok::<_, AcquireError>((Arc::clone(&self.all).acquire_owned().await?, history))
        };
        match tokio::time::timeout(self.limits.wait, both).await {
            Ok(Ok((all, history))) => Ok(Permit { _all: all, _history: history, _user: user }),
            _ => Err(Rejection::ReplaysFull),
        }
    }

    fn of_user(&self, subject: &Subject) -> Result<UserPermit, Rejection> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let scans = users.entry(subject.clone()).or_default();
        if *scans >= self.limits.user_scans {
            return Err(Rejection::UserReplaysFull);
        }
        *scans += 1;
        Ok(UserPermit { users: Arc::clone(&self.users), subject: subject.clone() })
    }
}

impl Drop for UserPermit {
    fn drop(&mut self) {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scans) = users.get_mut(&self.subject) {
            *scans = scans.saturating_sub(1);
            if *scans == 0 {
                users.remove(&self.subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_user_cannot_take_all_scans() {
        let user = |id: &str| Subject::new("t", id).unwrap();
        let permits = Permits::new(ReplayLimits { scans: 3, user_scans: 2, ..ReplayLimits::default() });
        let acquire = async |id| permits.acquire(&user(id), Purpose::Resume).await;
        let first = acquire("a").await.ok();
        let _second = acquire("a").await.ok().unwrap();
        assert_eq!(acquire("a").await.err(), Some(Rejection::UserReplaysFull));
        let _third = acquire("b").await.ok().unwrap();
        assert_eq!(acquire("c").await.err(), Some(Rejection::ReplaysFull), "after a while");
        drop(first);
        assert!(acquire("c").await.is_ok());
        assert_eq!(permits.users.lock().unwrap().len(), 2, "who has no scan is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn history_takes_at_most_half_of_the_scans() {
        let permits = Permits::new(ReplayLimits { scans: 4, ..ReplayLimits::default() });
        let acquire = async |id, purpose| permits.acquire(&Subject::new("t", id).unwrap(), purpose).await;
        let first = acquire("a", Purpose::History).await.ok();
        let _second = acquire("b", Purpose::History).await.ok().unwrap();
        assert_eq!(acquire("c", Purpose::History).await.err(), Some(Rejection::ReplaysFull));
        let _third = acquire("c", Purpose::Resume).await.ok().unwrap();
        let _fourth = acquire("d", Purpose::Resume).await.ok().unwrap();
        assert_eq!(acquire("e", Purpose::Resume).await.err(), Some(Rejection::ReplaysFull));
        drop(first);
        assert!(acquire("e", Purpose::Resume).await.is_ok(), "and streams may take all of them");
        assert!(acquire("e", Purpose::History).await.is_ok());
    }
}
