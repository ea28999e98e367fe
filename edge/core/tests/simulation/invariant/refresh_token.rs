//! A refresh token is sent by the holder of the lease, only when it is needed, and never more often than its provider
//! allows.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use causeway_core::{
    runtime::unavailable::Unavailable,
    testing::platform::{Answer, Sent},
};

use super::{
    DENIAL_VALID_MS, InvariantChecker,
    sent_token::{SendOutcome, SendWatch, SentToken},
};
use crate::{
    browser::MAX_SKEW_MS,
    intent::Intent,
    oneshot::Sender,
    provider_profile::{ProviderProfile, RESTRICTED_SCOPE},
    scheduler::TaskId,
    token::grant_belongs_to,
    world::World,
};

impl InvariantChecker {
    /// Checks a request that is about to be sent. If it carries a refresh token, that must be the session's current
    /// one, sent by the holder of the session's lease. No earlier send of it may be pending, and it must not have been
    /// sent too often.
    pub(crate) fn on_send(
        &self,
        world: &Rc<World>,
        request: &Sent,
        answer: &Sender<Result<Answer, Unavailable>>,
    ) -> Option<SendWatch> {
        let form: BTreeMap<_, _> = url::form_urlencoded::parse(request.body.as_bytes()).collect();
        let task = world.scheduler.current();
        if let (Some(task), Some(code)) = (task, form.get("code"))
            && let Some(profile) = ProviderProfile::of_token_endpoint(&request.url)
        {
            let grant = code.rsplit('-').next().unwrap().parse().unwrap();
            self.exchanged.borrow_mut().insert(task, (profile.provider, grant));
        }
        let refresh_token =
            form.get("refresh_token").filter(|_| form.get("grant_type").is_some_and(|it| it == "refresh_token"))?;
        let handle = self.number(task).and_then(|number| self.handle(number)).unwrap_or_default();
        let is_restricted = form.get("scope").is_some_and(|scope| scope == RESTRICTED_SCOPE);
        self.check_sender(world, &handle, task, refresh_token, is_restricted);
        let mut sent_tokens = self.sent_tokens.borrow_mut();
        let sends = sent_tokens.entry(refresh_token.to_string()).or_default();
        self.check_earlier_sends(world, refresh_token, sends);
        let sent = Rc::new(SentToken {
            task,
            sent_at_ms: world.now_ms(),
            handle,
            outcome: Cell::new(SendOutcome::Pending),
            is_restricted,
            answer: answer.clone(),
            issued_tokens: RefCell::default(),
            is_grant_rejected: Cell::default(),
        });
        sends.push(Rc::clone(&sent));
        Some(SendWatch { world: Rc::clone(world), refresh_token: refresh_token.to_string(), sent })
    }

    /// Whether this task may send this refresh token now.
    fn check_sender(
        &self,
        world: &World,
        handle: &str,
        task: Option<TaskId>,
        refresh_token: &str,
        is_restricted: bool,
    ) {
        let provider = ProviderProfile::of_refresh_token(refresh_token).provider;
        let session_models = self.session_models.borrow();
        let Some(model) = session_models.get(handle) else {
            return self.report_violation(world, || format!("{refresh_token} is sent without a session"));
        };
        let Some(account) = model.accounts.get(provider).filter(|account| account.refresh_token == refresh_token)
        else {
            return self.report_violation(world, || format!("{refresh_token} is sent, but is not the current one"));
        };
        // The edge renews a token a tenth of its lifetime before its end, and a wrong clock may see that end earlier.
        let lifetime_ms = world.authorization_servers.access_token_lifetime_ms.get();
        let valid_ms = (lifetime_ms - lifetime_ms / 10).saturating_sub(MAX_SKEW_MS);
        let was_denied =
            account.restriction_denied_at_ms.is_some_and(|at_ms| world.now_ms() <= at_ms + DENIAL_VALID_MS);
        if account.has_access_token_since(is_restricted, world.now_ms() - valid_ms) && !was_denied {
            self.report_violation(world, || format!("{refresh_token} is sent though the access token is still valid"));
        }
        if !model.lease.as_ref().is_some_and(|lease| lease.allows_send(task, provider, world.now_ms())) {
            self.report_violation(world, || format!("{refresh_token} is sent by a task without a current lease"));
        }
    }

    /// Whether a refresh token may be sent again after these sends.
    fn check_earlier_sends(&self, world: &World, refresh_token: &str, sends: &[Rc<SentToken>]) {
        if sends.iter().any(|sent| sent.outcome.get() == SendOutcome::Pending && !sent.answer.is_settled()) {
            self.report_violation(world, || {
                format!("{refresh_token} is sent while the answer to an earlier send may still come")
            });
        }
        let is_counted = |sent: &&Rc<SentToken>| {
            !matches!(sent.outcome.get(), SendOutcome::NotConsumed | SendOutcome::PossiblyConsumed)
        };
        let counted = sends.iter().filter(is_counted).count();
        if counted >= ProviderProfile::of_refresh_token(refresh_token).max_sends {
            self.report_violation(world, || format!("{refresh_token} is sent {} times", counted + 1));
        }
        let is_undisturbed = |sent: &Rc<SentToken>| {
            sent.outcome.get() == SendOutcome::Answered && !self.was_disrupted(sent.task, sent.sent_at_ms)
        };
        if sends.iter().any(is_undisturbed) {
            self.report_violation(world, || {
                format!("{refresh_token} is sent again though it was answered without a disruption")
            });
        }
        world.count(if counted > 0 { "refresh tokens sent again" } else { "refresh tokens sent" });
    }

    /// A provider received a refresh token that had been used.
    pub(crate) fn on_reuse(&self, world: &World, refresh_token: &str) {
        let sent_tokens = self.sent_tokens.borrow();
        let is_excused = sent_tokens.get(refresh_token).into_iter().flatten().any(|sent| {
            matches!(sent.outcome.get(), SendOutcome::AnswerLost | SendOutcome::PossiblyConsumed)
                || self.was_disrupted(sent.task, sent.sent_at_ms)
        });
        if !is_excused {
            self.report_violation(world, || format!("{refresh_token} is used again though no answer was lost"));
        }
    }

    /// The current task asks a provider to revoke a grant. No active session may depend on it.
    pub(crate) fn on_revocation_request(&self, world: &World, grant: u64) {
        let task = world.scheduler.current();
        let is_own = task.is_some_and(|it| self.exchanged.borrow().get(&it).is_some_and(|(_, new)| *new == grant));
        // A sign-out revokes the tokens even if the end of the session is not confirmed.
        if is_own || matches!(self.intent(task), Intent::End(_)) {
            return;
        }
        let numbers: Vec<u64> =
            self.expected_sessions.borrow().keys().copied().filter(|number| grant_belongs_to(grant, *number)).collect();
        for number in numbers.into_iter().filter(|number| self.dead_since_ms(world, *number).is_none()) {
            let session_models = self.session_models.borrow();
            let model = &session_models[&self.handle(number).unwrap()];
            if model.accounts.values().any(|account| account.grant == grant) {
                self.report_violation(world, || format!("grant {grant} is revoked, but session {number} uses it"));
            }
        }
    }

    /// Notes that a refresh token may have been consumed, if it still is the session's current one.
    pub(super) fn note_possible_consumption(&self, handle: &str, refresh_token: &str, why: &'static str) {
        let profile = ProviderProfile::of_refresh_token(refresh_token);
        self.change_account(handle, profile.provider, |account| {
            if account.refresh_token == refresh_token {
                account.note_possible_consumption(profile, why);
            }
        });
    }

    /// A provider did not issue a restricted token.
    pub(super) fn note_restriction_denied(&self, world: &World, handle: &str, refresh_token: &str) {
        world.count("restricted tokens denied");
        let provider = ProviderProfile::of_refresh_token(refresh_token).provider;
        self.change_account(handle, provider, |account| account.restriction_denied_at_ms = Some(world.now_ms()));
    }
}
