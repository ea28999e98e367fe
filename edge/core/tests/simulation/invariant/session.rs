//! A session begins once, changes only under a lease, ends only for a reason, and never comes back.

use causeway_core::session::state::{Command, SessionState};

use super::{
    ExpectedSession, InvariantChecker, SessionWrite,
    session_model::{Account, SessionModel},
};
use crate::{authorization_server::GrantEnd, browser::Browser, intent::Intent, scheduler::TaskId, world::World};

impl InvariantChecker {
    /// A browser begins to sign in.
    pub(crate) fn expect_session(&self, browser: &Browser) {
        let Browser { number, user, profile, .. } = browser;
        let expected =
            ExpectedSession { user: *user, profile, handle: None, ended_at_ms: None, is_end_confirmed: false };
        self.expected_sessions.borrow_mut().insert(*number, expected);
    }

    /// The coordinator stored a new state of a session.
    pub(crate) fn on_write(&self, world: &World, write: &SessionWrite<'_>) {
        let SessionWrite { handle, task, command, before, after, .. } = *write;
        match (before, command) {
            (None, Command::Create { .. }) => self.on_create(world, handle, task),
            (None, Command::Revoke) => {}
            (None, _) | (Some(_), Command::Create { .. }) => {
                self.report_violation(world, || format!("session {handle} begins with {command:?}"));
            }
            (Some(before), _) => {
                if before.revoked && !after.revoked {
                    self.report_violation(world, || format!("session {handle} is revived"));
                }
                if after.generation < before.generation || after.fencing_token < before.fencing_token {
                    self.report_violation(world, || {
                        format!("the generation or the fencing token of session {handle} decreases")
                    });
                }
                let is_changed = (before.generation, &before.record) != (after.generation, &after.record);
                if is_changed && !after.revoked && !matches!(command, Command::ReleaseLease { .. }) {
                    self.report_violation(world, || {
                        format!("the record of session {handle} is changed by {command:?}")
                    });
                }
                if !before.revoked && after.revoked {
                    self.on_end(world, write, before);
                }
            }
        }
        if after.revoked && after.record.is_some() {
            self.report_violation(world, || format!("session {handle} is revoked and has a record"));
        }
        match command {
            Command::AcquireLease { account, .. } => self.on_lease_acquired(world, write, account.as_ref()),
            Command::ReleaseLease { fencing_token, outcome } => {
                self.on_lease_released(world, write, *fencing_token, outcome);
            }
            _ => {}
        }
    }

    fn on_create(&self, world: &World, handle: &str, task: Option<TaskId>) {
        world.count("sessions");
        let Some(number) = self.number(task) else { return };
        let mut expected_sessions = self.expected_sessions.borrow_mut();
        let expected = expected_sessions.get_mut(&number).unwrap();
        if expected.is_end_confirmed {
            self.report_violation(world, || format!("session {number} begins after its provider ended it"));
        }
        expected.handle = Some(handle.to_owned());
        let account = Account::new(number, world.first_refresh_token(number), world.now_ms());
        let mut model = SessionModel::default();
        model.link_account(expected.profile.provider, account, world.now_ms());
        self.session_models.borrow_mut().insert(handle.to_owned(), model);
    }

    /// A session was revoked: by its user, from another session of its user, by its provider, or because its grant
    /// ended.
    fn on_end(&self, world: &World, write: &SessionWrite<'_>, before: &SessionState) {
        let SessionWrite { handle, task, read_at_ms, .. } = *write;
        world.count("revocations");
        let mut expected_sessions = self.expected_sessions.borrow_mut();
        let (number, expected) =
            expected_sessions.iter_mut().find(|(_, expected)| expected.handle.as_deref() == Some(handle)).unwrap();
        expected.ended_at_ms = Some(world.now_ms());
        let is_intended = match self.intent(task) {
            Intent::End(session) => session == *number,
            Intent::EndAllOf(user) => user == expected.user,
            // A later sign-in has nothing to do with a logout before it (S156).
            Intent::EndSignedInUntil { user, until_ms } => {
                user == expected.user && signed_in_at_ms(world, *number).is_some_and(|at_ms| at_ms <= until_ms)
            }
            Intent::Use | Intent::Disconnect => false,
        };
        if is_intended || natural_end_ms(before) <= read_at_ms {
            return;
        }
        // The only other reason is that the provider rejected the refresh token which the lease's holder sent.
        let session_models = self.session_models.borrow();
        let model = &session_models[handle];
        let lease = model.lease.as_ref().filter(|lease| lease.is_open && lease.task == task);
        let account = model.accounts.get(expected.profile.provider);
        let was_rejected = lease.is_some_and(|lease| {
            let sent_tokens = self.sent_tokens.borrow();
            let sends = account.and_then(|account| sent_tokens.get(&account.refresh_token)).into_iter().flatten();
            sends
                .filter(|sent| sent.task == task && lease.granted_at_ms <= sent.sent_at_ms)
                .any(|sent| sent.is_grant_rejected.get())
        });
        // A grant that ended because the edge itself sent a refresh token twice is no reason to end the session.
        let has_grant_ended =
            account.is_some_and(|it| world.grant_end(it.grant).is_some_and(|end| end != GrantEnd::Reuse));
        if !was_rejected || !has_grant_ended {
            self.report_violation(world, || format!("session {number} is ended without a reason"));
        }
        world.count("sessions ended with their grant");
    }

    /// Since when a session has been dead, by the coordinator's state and clock. `None` while it is alive.
    pub(crate) fn dead_since_ms(&self, world: &World, number: u64) -> Option<u64> {
        let expected_sessions = self.expected_sessions.borrow();
        let expected = &expected_sessions[&number];
        let Some(handle) = &expected.handle else { return Some(0) };
        let sessions = world.coordinator.sessions.borrow();
        let natural_ms = natural_end_ms(&sessions[handle]);
        let dead_ms = expected.ended_at_ms.map_or(natural_ms, |ended_at_ms| ended_at_ms.min(natural_ms));
        (dead_ms <= world.now_ms()).then_some(dead_ms)
    }

    /// The live sessions of the same user, with their handles.
    pub(crate) fn of_same_user(&self, world: &World, number: u64) -> Vec<(u64, String)> {
        let expected_sessions = self.expected_sessions.borrow();
        let own = &expected_sessions[&number];
        expected_sessions
            .iter()
            .filter(|(_, expected)| expected.is_same_user(own))
            .filter_map(|(number, expected)| Some((*number, expected.handle.clone()?)))
            .filter(|(number, _)| self.dead_since_ms(world, *number).is_none())
            .collect()
    }

    /// Whether a handle belongs to a session of the same user.
    pub(crate) fn is_of_same_user(&self, number: u64, handle: &str) -> bool {
        let expected_sessions = self.expected_sessions.borrow();
        let own = &expected_sessions[&number];
        expected_sessions
            .values()
            .any(|expected| expected.is_same_user(own) && expected.handle.as_deref() == Some(handle))
    }

    /// The sessions that must have ended when the provider's end of all sessions of a user, signed in up to a time, is done.
    /// It begins now.
    pub(crate) fn sessions_to_end(&self, world: &World, number: u64, until_ms: u64) -> Vec<u64> {
        let expected_sessions = self.expected_sessions.borrow();
        let own = &expected_sessions[&number];
        // If the provider does not report the sign-in's time, the edge takes its own. With a wrong clock, that may be
        // later than this end, so that a session which is not yet created may live.
        let is_known = |number: &u64, expected: &ExpectedSession| {
            let signed_in_at_ms = signed_in_at_ms(world, *number);
            (expected.handle.is_some() || (expected.profile.reports_auth_time && signed_in_at_ms.is_some()))
                && signed_in_at_ms.is_some_and(|at_ms| at_ms <= until_ms)
        };
        expected_sessions
            .iter()
            .filter(|(number, expected)| expected.is_same_user(own) && is_known(number, expected))
            .map(|(number, _)| *number)
            .collect()
    }

    /// The end of these sessions is done.
    pub(crate) fn on_end_of_all(&self, world: &World, numbers: &[u64]) {
        for number in numbers {
            self.expected_sessions.borrow_mut().get_mut(number).unwrap().is_end_confirmed = true;
            if self.dead_since_ms(world, *number).is_none() {
                self.report_violation(world, || {
                    format!("session {number} survives the end of all its user's sessions")
                });
            }
        }
    }
}

impl InvariantChecker {
    /// Counts the live sessions of a user that were signed in after a time.
    pub(crate) fn count_newer_sessions(&self, world: &World, number: u64, until_ms: u64) {
        for (number, _) in self.of_same_user(world, number) {
            if signed_in_at_ms(world, number).is_some_and(|at_ms| at_ms > until_ms) {
                world.count("sessions newer than a late logout");
            }
        }
    }
}

/// When the user of a sign-in signed in at the provider.
fn signed_in_at_ms(world: &World, number: u64) -> Option<u64> {
    world.authorization_servers.grants.borrow().get(&number).map(|grant| grant.created_at_ms)
}

impl ExpectedSession {
    fn is_same_user(&self, other: &Self) -> bool {
        (self.user, self.profile) == (other.user, other.profile)
    }
}

/// When a session ends by itself.
pub(super) fn natural_end_ms(state: &SessionState) -> u64 {
    state.expires_at_ms.min(state.used_at_ms + state.idle_limit_ms)
}
