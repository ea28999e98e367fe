//! Of several writers of a session, one writes at a time, under a lease with a fencing token.

use std::rc::Rc;

use causeway_core::session::state::{Command, Outcome, Reply};

use super::{
    InvariantChecker, OrphanedTokens, SessionWrite,
    sent_token::SentToken,
    session::natural_end_ms,
    session_model::{Account, IssuedTokens, Lease, SessionModel},
};
use crate::{
    intent::Intent,
    linked_account::LINKED_PROVIDER,
    provider_profile::{ProviderProfile, profile},
    scheduler::TaskId,
    token::grant_of,
    world::World,
};

impl InvariantChecker {
    /// Whether a task acquired a lease and has not released it.
    pub(crate) fn has_lease(&self, task: TaskId) -> bool {
        self.leased.borrow().contains(&task)
    }

    pub(super) fn on_lease_acquired(&self, world: &World, write: &SessionWrite<'_>, account: Option<&String>) {
        let SessionWrite { handle, task, sent_at_ms, read_at_ms, after, .. } = *write;
        world.count("leases");
        let mut session_models = self.session_models.borrow_mut();
        let model = session_models.entry(handle.to_owned()).or_default();
        if let Some(last) = &model.lease {
            if after.fencing_token <= last.fencing_token {
                self.report_violation(world, || {
                    format!("session {handle}: the fencing token {} was used before", after.fencing_token)
                });
            }
            if last.is_open && !last.is_expired(read_at_ms) {
                self.report_violation(world, || {
                    format!("session {handle}: tasks {:?} and {task:?} hold a lease at the same time", last.task)
                });
            }
            if last.is_open && !self.was_disrupted(last.task, last.requested_at_ms) {
                self.report_violation(world, || {
                    format!("session {handle}: task {:?} did not release its lease, without a disruption", last.task)
                });
            }
            if last.is_open {
                world.count("leases abandoned");
                if let Some(provider) = &last.account
                    && let Some(account) = model.accounts.get_mut(provider)
                {
                    account.note_possible_consumption(
                        profile(provider),
                        "the holder of an abandoned lease may have sent it",
                    );
                }
            }
        }
        self.leased.borrow_mut().extend(task);
        model.lease = Some(Lease {
            task,
            fencing_token: after.fencing_token,
            requested_at_ms: sent_at_ms,
            granted_at_ms: read_at_ms,
            account: account.cloned(),
            is_open: true,
        });
    }

    pub(super) fn on_lease_released(
        &self,
        world: &World,
        write: &SessionWrite<'_>,
        fencing_token: u64,
        outcome: &Outcome,
    ) {
        let SessionWrite { handle, task, read_at_ms, before, after, .. } = *write;
        let mut session_models = self.session_models.borrow_mut();
        let model = session_models.entry(handle.to_owned()).or_default();
        if !model.is_writer(task, fencing_token) {
            return self.report_violation(world, || {
                format!("session {handle} is written by task {task:?}, which does not hold the lease")
            });
        }
        if before.is_some_and(|before| natural_end_ms(before) <= read_at_ms) {
            self.report_violation(world, || format!("session {handle} is written after its end"));
        }
        let Some(lease) = &mut model.lease else { return };
        lease.is_open = false;
        if lease.is_expired(read_at_ms) {
            world.count("writes with an expired lease and no successor");
        }
        let (granted_at_ms, account) = (lease.granted_at_ms, lease.account.clone());
        let Outcome::Stored { replaced, .. } = outcome else {
            if before.is_some_and(|before| before.generation != after.generation) {
                self.report_violation(world, || format!("session {handle} has a new generation without a new record"));
            }
            return;
        };
        world.count("records stored");
        match account {
            Some(provider) => self.on_tokens_stored(world, model, task, granted_at_ms, &provider, replaced),
            None => self.on_accounts_stored(world, model, handle, task, replaced),
        }
    }

    /// The holder of a lease for an account's refresh token stored a record.
    fn on_tokens_stored(
        &self,
        world: &World,
        model: &mut SessionModel,
        task: Option<TaskId>,
        granted_at_ms: u64,
        provider: &str,
        replaced: &[String],
    ) {
        if let Some(issued_tokens) = self.issued_tokens(task, granted_at_ms, provider) {
            return model.store_tokens(provider, issued_tokens, world.now_ms());
        }
        if !replaced.iter().any(|it| it == provider) {
            return;
        }
        let Some(account) = model.accounts.get_mut(provider) else { return };
        if account.possibly_consumed.is_none() && world.is_grant_active(account.grant) {
            self.report_violation(world, || format!("{} is dropped without a reason", account.refresh_token));
        }
        world.count("refresh tokens dropped");
        account.is_refresh_token_dropped = true;
    }

    /// The holder of a lease for another purpose stored a record: it linked or unlinked an account.
    fn on_accounts_stored(
        &self,
        world: &World,
        model: &mut SessionModel,
        handle: &str,
        task: Option<TaskId>,
        replaced: &[String],
    ) {
        let now_ms = world.now_ms();
        let exchanged = task.and_then(|task| self.exchanged.borrow().get(&task).copied());
        if let Some((provider, grant)) = exchanged {
            model.link_account(provider, Account::new(grant, world.first_refresh_token(grant), now_ms), now_ms);
        }
        // An account whose refresh token was dropped before has none that a disconnection could replace.
        let is_without_token = model.accounts.get(LINKED_PROVIDER).is_some_and(|it| it.is_refresh_token_dropped);
        if is_without_token && matches!(self.intent(task), Intent::Disconnect) {
            model.unlink_account(LINKED_PROVIDER, now_ms);
        }
        for provider in replaced.iter().filter(|it| exchanged.is_none_or(|(linked, _)| linked != *it)) {
            match self.intent(task) {
                Intent::Disconnect => model.unlink_account(provider, now_ms),
                _ => self.report_violation(world, || {
                    format!("session {handle}: the tokens of {provider} change without a reason")
                }),
            }
        }
    }

    /// The tokens of a provider that were issued to the holder of a lease since it was granted.
    fn issued_tokens(&self, task: Option<TaskId>, granted_at_ms: u64, provider: &str) -> Option<IssuedTokens> {
        let all = self.sent_tokens.borrow();
        all.iter()
            .filter(|(refresh_token, _)| ProviderProfile::of_refresh_token(refresh_token).provider == provider)
            .flat_map(|(_, sends)| sends)
            .filter(|sent| sent.task == task && granted_at_ms <= sent.sent_at_ms)
            .find_map(|sent| sent.issued_tokens.borrow().clone())
    }

    /// The coordinator replied to a session's command.
    pub(crate) fn on_reply(&self, world: &World, task: Option<TaskId>, command: &Command, reply: &Reply) {
        if let (Some(task), Command::ReleaseLease { .. } | Command::EndWithLease { .. }) = (task, command) {
            self.leased.borrow_mut().remove(&task);
        }
        match (command, reply) {
            (Command::ReleaseLease { outcome: Outcome::Stored { .. }, .. }, Reply::Gone { .. }) => {
                world.count("tokens of a session that ended meanwhile");
                let all = self.sent_tokens.borrow();
                let has_tokens = |sent: &Rc<SentToken>| sent.task == task && sent.issued_tokens.borrow().is_some();
                let renewed = all.iter().find(|(_, sends)| sends.iter().any(has_tokens));
                let orphaned = task.zip(renewed.and_then(|(refresh_token, _)| grant_of(refresh_token)));
                self.orphaned_tokens.borrow_mut().extend(orphaned.map(|(task, grant)| OrphanedTokens {
                    task,
                    grant,
                    since_ms: world.now_ms(),
                }));
            }
            (Command::ReleaseLease { .. }, Reply::Superseded) => world.count("writes superseded"),
            (Command::EndWithLease { .. }, Reply::Superseded) => world.count("session ends superseded"),
            (Command::AcquireLease { .. }, Reply::Busy { .. }) => world.count("waits for another's refresh"),
            (Command::AcquireLease { .. }, Reply::RetryLater { .. }) => world.count("refreshes deferred"),
            (Command::AcquireLease { .. }, Reply::Active { .. }) => world.count("refreshes already done"),
            _ => {}
        }
    }
}
