//! How many scans run at a time. One user can't keep the others from theirs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use causeway_protocol::subject::Subject;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ReplayLimits;
use crate::rejection::Rejection;

/// The users with scans, and how many each has.
type Users = Arc<Mutex<HashMap<Subject, usize>>>;

/// Admits scans.
pub(super) struct Permits {
    all: Arc<Semaphore>,
    users: Users,
    limits: ReplayLimits,
}

/// A scan that runs.
pub(super) struct Permit {
    _all: OwnedSemaphorePermit,
    _user: UserPermit,
}

struct UserPermit {
    users: Users,
    subject: Subject,
}

impl Permits {
    pub(super) fn new(limits: ReplayLimits) -> Self {
        Self { all: Arc::new(Semaphore::new(limits.scans)), users: Users::default(), limits }
    }

    /// Admits a scan. Waits a moment for others to end.
    pub(super) async fn acquire(&self, subject: &Subject) -> Result<Permit, Rejection> {
        let user = self.of_user(subject)?;
        let all = tokio::time::timeout(self.limits.wait, Arc::clone(&self.all).acquire_owned()).await;
        match all {
            Ok(Ok(all)) => Ok(Permit { _all: all, _user: user }),
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
        let first = permits.acquire(&user("a")).await.ok();
        let _second = permits.acquire(&user("a")).await.ok().unwrap();
        assert_eq!(permits.acquire(&user("a")).await.err(), Some(Rejection::UserReplaysFull));
        let _third = permits.acquire(&user("b")).await.ok().unwrap();
        assert_eq!(permits.acquire(&user("c")).await.err(), Some(Rejection::ReplaysFull), "after a while");
        drop(first);
        assert!(permits.acquire(&user("c")).await.is_ok());
        assert_eq!(permits.users.lock().unwrap().len(), 2, "who has no scan is forgotten");
    }
}
