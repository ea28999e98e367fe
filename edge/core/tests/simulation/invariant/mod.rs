//! What must hold whatever happens. The checker sees every step of the world and knows what no single isolate knows.
//!
//! A fault excuses its own consequences and no more. A crash excuses only its own session, for the tokens that it had
//! at that time, until new ones are stored.
//!
//! - [`session`]: how sessions begin, change and end
//! - [`lease`]: of several writers of a session, one writes at a time
//! - [`refresh_token`]: who sends a refresh token, and how often
//! - [`response`]: what upstreams and users get
//! - [`session_model`]: a session as the checker knows it; [`sent_token`]: a refresh token that was sent

mod lease;
mod refresh_token;
mod response;
mod sent_token;
mod session;
mod session_model;

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
};

use causeway_core::session::state::{Command, SessionState};

use self::{
    sent_token::SentToken,
    session_model::{Account, SessionModel},
};
use crate::{browser::MAX_SKEW_MS, intent::Intent, provider_profile::ProviderProfile, scheduler::TaskId, world::World};

/// How long after a provider denied a restricted token the edge may rely on that, by clocks that may be wrong.
const DENIAL_VALID_MS: u64 = 60_000 + MAX_SKEW_MS;

/// A sign-in, and the session that it created.
pub(crate) struct ExpectedSession {
    user: u64,
    profile: &'static ProviderProfile,
    /// `None` until the session is created.
    pub(crate) handle: Option<String>,
    /// When the coordinator revoked it.
    ended_at_ms: Option<u64>,
    /// Its provider ended it, and the edge reported success.
    is_end_confirmed: bool,
}

/// A session state that the coordinator stored.
pub(crate) struct SessionWrite<'a> {
    pub(crate) handle: &'a str,
    pub(crate) task: Option<TaskId>,
    /// When the command was sent. Its sender may have given up since.
    pub(crate) sent_at_ms: u64,
    /// When the coordinator read the state that this one replaces.
    pub(crate) read_at_ms: u64,
    pub(crate) command: &'a Command,
    pub(crate) before: Option<&'a SessionState>,
    pub(crate) after: &'a SessionState,
}

/// New tokens that could not be stored, because their session had ended.
struct OrphanedTokens {
    task: TaskId,
    grant: u64,
    since_ms: u64,
}

#[derive(Default)]
pub(crate) struct InvariantChecker {
    violation: RefCell<Option<String>>,
    /// By the number of the sign-in, which is its browser's number.
    pub(crate) expected_sessions: RefCell<BTreeMap<u64, ExpectedSession>>,
    /// By handle.
    session_models: RefCell<HashMap<String, SessionModel>>,
    /// The number of the sign-in for which each task works.
    tasks: RefCell<HashMap<TaskId, u64>>,
    intents: RefCell<HashMap<TaskId, Intent>>,
    /// The provider and the grant of the authorization code that each task exchanged.
    exchanged: RefCell<HashMap<TaskId, (&'static str, u64)>>,
    /// When the last disruption of each task ends: a crash, a stall or a missing answer.
    disruptions: RefCell<HashMap<TaskId, u64>>,
    /// Tasks that got no processor for a while.
    pub(crate) stalled: RefCell<HashSet<TaskId>>,
    /// Tasks that acquired a lease and have no reply to its release.
    leased: RefCell<HashSet<TaskId>>,
    /// By refresh token.
    sent_tokens: RefCell<HashMap<String, Vec<Rc<SentToken>>>>,
    orphaned_tokens: RefCell<Vec<OrphanedTokens>>,
}

impl InvariantChecker {
    /// Reports a violated invariant. The first one is kept.
    pub(crate) fn report_violation(&self, world: &World, what: impl FnOnce() -> String) {
        let what = what();
        world.trace(|| format!("!!! {what}"));
        self.violation.borrow_mut().get_or_insert(what);
    }

    pub(crate) fn violation(&self) -> Option<String> {
        self.violation.borrow().clone()
    }

    /// Registers a task that works for a sign-in or its session.
    pub(crate) fn register_task(&self, task: TaskId, number: u64, intent: Intent) {
        self.tasks.borrow_mut().insert(task, number);
        self.intents.borrow_mut().insert(task, intent);
    }

    /// Notes that a task is disrupted until `until_ms`.
    pub(crate) fn note_disruption(&self, task: Option<TaskId>, until_ms: u64) {
        if let Some(task) = task {
            let mut disruptions = self.disruptions.borrow_mut();
            let known_ms = disruptions.entry(task).or_default();
            *known_ms = until_ms.max(*known_ms);
        }
    }

    /// Whether a task was disrupted at `since_ms` or later.
    fn was_disrupted(&self, task: Option<TaskId>, since_ms: u64) -> bool {
        task.is_some_and(|task| self.disruptions.borrow().get(&task).is_some_and(|until_ms| since_ms <= *until_ms))
    }

    /// Notes that all tasks stall.
    pub(crate) fn note_stall_of_all(&self) {
        let tasks: Vec<TaskId> = self.tasks.borrow().keys().copied().collect();
        self.stalled.borrow_mut().extend(&tasks);
        tasks.into_iter().for_each(|task| self.note_disruption(Some(task), u64::MAX));
    }

    /// Checks what can be checked only when no task and no event is left.
    pub(crate) fn check_at_end(&self, world: &World) {
        for OrphanedTokens { task, grant: number, since_ms } in self.orphaned_tokens.borrow().iter() {
            let grants = world.authorization_servers.grants.borrow();
            let grant = &grants[number];
            let is_excused = self.was_disrupted(Some(*task), *since_ms);
            if grant.profile.has_revocation_endpoint && !grant.is_revocation_requested && !is_excused {
                self.report_violation(world, || {
                    format!("new tokens of grant {number}, whose session had ended, are not revoked")
                });
            }
        }
    }

    /// The number of the sign-in for which a task works.
    fn number(&self, task: Option<TaskId>) -> Option<u64> {
        task.and_then(|task| self.tasks.borrow().get(&task).copied())
    }

    fn intent(&self, task: Option<TaskId>) -> Intent {
        task.and_then(|task| self.intents.borrow().get(&task).copied()).unwrap_or(Intent::Use)
    }

    /// The handle of a sign-in's session.
    fn handle(&self, number: u64) -> Option<String> {
        self.expected_sessions.borrow().get(&number).and_then(|expected| expected.handle.clone())
    }

    /// Changes an account, if its session still has it.
    fn change_account(&self, handle: &str, provider: &str, change: impl FnOnce(&mut Account)) {
        let mut session_models = self.session_models.borrow_mut();
        if let Some(account) = session_models.get_mut(handle).and_then(|model| model.accounts.get_mut(provider)) {
            change(account);
        }
    }
}
