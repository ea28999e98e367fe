//! What must hold, whatever happens. It sees every step of the world and knows what no isolate knows.
//!
//! What goes wrong excuses what comes of it, and no more: a crash excuses its own session, for the tokens that it had
//! then, until there are new ones.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
};

use causeway_core::{
    runtime::unavailable::Unavailable,
    session::state::{Command, Outcome, Reply, SessionState},
    testing::platform::{Answer, Sent},
};

use super::{
    World,
    account::is_of,
    authority::{Ending, ProviderProfile, grant_of, issuer_of, profile},
    browser::{Browser, MAX_SKEW_MS},
    scheduler::{Promise, TaskId},
    sent_token::{Fate, SentToken, Watch, grant_profile},
    session_model::{Account, IssuedTokens, Lease, SessionModel},
};

/// How long a provider's refusal to restrict a token is believed, by clocks that may be wrong.
const DENIED_MS: u64 = 60_000 + MAX_SKEW_MS;

/// What the checker knows of a sign-in and the session that came of it.
pub(crate) struct ExpectedSession {
    user: u64,
    profile: &'static ProviderProfile,
    pub(crate) handle: Option<String>,
    pub(crate) ended_at_ms: Option<u64>,
    /// Its provider ended it and was told that this is done.
    is_doomed: bool,
}

/// What a task may do to sessions beside using its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Nothing.
    Use,
    /// End this one.
    End(u64),
    /// End any of this user's.
    EndAllOf(u64),
    /// Take an account out of its own.
    Disconnect,
}

/// A state that the coordinator took on.
pub(crate) struct Written<'a> {
    pub(crate) handle: &'a str,
    pub(crate) task: Option<TaskId>,
    /// When the command set out; whoever sent it may have given up on it since.
    pub(crate) asked_at_ms: u64,
    /// When the coordinator looked at what was there.
    pub(crate) looked_at_ms: u64,
    pub(crate) command: &'a Command,
    pub(crate) before: Option<&'a SessionState>,
    pub(crate) after: &'a SessionState,
}

#[derive(Default)]
pub(crate) struct InvariantChecker {
    violation: RefCell<Option<String>>,
    pub(crate) expected_session: RefCell<BTreeMap<u64, ExpectedSession>>,
    /// By handle.
    session_models: RefCell<HashMap<String, SessionModel>>,
    /// Whose session each task is about.
    tasks: RefCell<HashMap<TaskId, u64>>,
    intents: RefCell<HashMap<TaskId, Intent>>,
    /// The grants that tasks exchanged a code for.
    exchanged: RefCell<HashMap<TaskId, (&'static str, u64)>>,
    /// Until when something last went wrong with a task: it crashed, was expected_session up or left without an answer.
    troubled: RefCell<HashMap<TaskId, u64>>,
    /// Tasks that did not get the processor for a while.
    pub(crate) stalled: RefCell<HashSet<TaskId>>,
    /// Tasks that may write.
    leased: RefCell<HashSet<TaskId>>,
    /// By refresh token.
    pub(super) sent_tokens: RefCell<HashMap<String, Vec<Rc<SentToken>>>>,
    /// Tasks that got new tokens for a session that was over when they came to store them, the tokens' grant, and since
    /// when.
    orphaned: RefCell<Vec<(TaskId, u64, u64)>>,
}

impl InvariantChecker {
    /// Something that must never be. The first one counts.
    pub(crate) fn report_violation(&self, world: &World, what: impl FnOnce() -> String) {
        let what = what();
        world.trace(|| format!("!!! {what}"));
        self.violation.borrow_mut().get_or_insert(what);
    }

    pub(crate) fn violation(&self) -> Option<String> {
        self.violation.borrow().clone()
    }

    /// A sign-in begins.
    pub(crate) fn expects(&self, browser: &Browser) {
        let Browser { number, user, profile, .. } = browser;
        let expected_session =
            ExpectedSession { user: *user, profile, handle: None, ended_at_ms: None, is_doomed: false };
        self.expected_session.borrow_mut().insert(*number, expected_session);
    }

    /// A task is about a session.
    pub(crate) fn follows(&self, task: TaskId, number: u64, intent: Intent) {
        self.tasks.borrow_mut().insert(task, number);
        self.intents.borrow_mut().insert(task, intent);
    }

    /// Something goes wrong with a task, until then.
    pub(crate) fn trouble(&self, task: Option<TaskId>, until_ms: u64) {
        if let Some(task) = task {
            let mut troubled = self.troubled.borrow_mut();
            let known_ms = troubled.entry(task).or_default();
            *known_ms = until_ms.max(*known_ms);
        }
    }

    fn was_troubled(&self, task: Option<TaskId>, since_ms: u64) -> bool {
        task.is_some_and(|task| self.troubled.borrow().get(&task).is_some_and(|until_ms| since_ms <= *until_ms))
    }

    /// Whoever is at work is expected_session up.
    pub(crate) fn hold_up_all(&self) {
        let tasks: Vec<TaskId> = self.tasks.borrow().keys().copied().collect();
        self.stalled.borrow_mut().extend(&tasks);
        tasks.into_iter().for_each(|task| self.trouble(Some(task), u64::MAX));
    }

    /// Whether a task was given the right to write and did not give it back.
    pub(crate) fn has_lease(&self, task: TaskId) -> bool {
        self.leased.borrow().contains(&task)
    }

    fn number(&self, task: Option<TaskId>) -> Option<u64> {
        task.and_then(|task| self.tasks.borrow().get(&task).copied())
    }

    fn intent(&self, task: Option<TaskId>) -> Intent {
        task.and_then(|task| self.intents.borrow().get(&task).copied()).unwrap_or(Intent::Use)
    }

    fn handle(&self, number: u64) -> Option<String> {
        self.expected_session.borrow().get(&number).and_then(|expected_session| expected_session.handle.clone())
    }

    /// A request is about to be sent. A refresh token that it carries must be the session's present one, sent by whoever
    /// may write the session now; it must not be under way already, nor have been too often.
    pub(crate) fn sends(
        &self,
        world: &Rc<World>,
        sent: &Sent,
        answer: &Promise<Result<Answer, Unavailable>>,
    ) -> Option<Watch> {
        let form: BTreeMap<_, _> = url::form_urlencoded::parse(sent.body.as_bytes()).collect();
        let task = world.scheduler.current();
        if let (Some(task), Some(code)) = (task, form.get("code"))
            && let Some(profile) = ProviderProfile::of_token_endpoint(&sent.url)
        {
            let grant = code.rsplit('-').next().unwrap().parse().unwrap();
            self.exchanged.borrow_mut().insert(task, (profile.provider, grant));
        }
        let token =
            form.get("refresh_token").filter(|_| form.get("grant_type").is_some_and(|it| it == "refresh_token"))?;
        let profile = grant_profile(token);
        let handle = self.number(task).and_then(|number| self.handle(number)).unwrap_or_default();
        let is_restricted = form.get("scope").is_some_and(|scope| scope == SCOPE);
        self.check_sender(world, &handle, task, profile, token, is_restricted);
        let mut all = self.sent_tokens.borrow_mut();
        let before = all.entry(token.to_string()).or_default();
        let fates = || before.iter().map(|sent_token| sent_token.fate.get());
        if before.iter().any(|it| it.fate.get() == Fate::Pending && !it.answer.is_settled()) {
            self.report_violation(world, || {
                format!("{token} is sent while the answer to an earlier sent_token may still come")
            });
        }
        let open = fates().filter(|fate| !matches!(fate, Fate::Unused | Fate::PossiblyConsumed)).count();
        if open >= profile.sends {
            self.report_violation(world, || format!("{token} is sent {} times", open + 1));
        }
        let calm = |it: &Rc<SentToken>| it.fate.get() == Fate::Answered && !self.was_troubled(it.task, it.at_ms);
        if before.iter().any(calm) {
            self.report_violation(world, || {
                format!("{token} is sent again though it was answered and nothing went wrong")
            });
        }
        world.count(if open > 0 { "refresh tokens sent again" } else { "refresh tokens sent" });
        let sent_token = Rc::new(SentToken {
            task,
            at_ms: world.now_ms(),
            handle,
            fate: Cell::new(Fate::Pending),
            is_restricted,
            answer: answer.clone(),
            issued_tokens: RefCell::default(),
            is_refused: Cell::default(),
        });
        before.push(Rc::clone(&sent_token));
        Some(Watch { world: Rc::clone(world), token: token.to_string(), sent_token })
    }

    fn check_sender(
        &self,
        world: &World,
        handle: &str,
        task: Option<TaskId>,
        profile: &ProviderProfile,
        token: &str,
        is_restricted: bool,
    ) {
        let session_models = self.session_models.borrow();
        let Some(session_model) = session_models.get(handle) else {
            return self.report_violation(world, || format!("{token} is sent for no session"));
        };
        let Some(account) = session_model.accounts.get(profile.provider).filter(|account| account.token == token)
        else {
            return self.report_violation(world, || format!("{token} is sent, which is not what the session has"));
        };
        // By a clock that is wrong it may be over so much sooner; and it is renewed a tenth of its life before that.
        let life_ms = world.authority.token_life_ms.get();
        let is_good_ms = (life_ms - life_ms / 10).saturating_sub(MAX_SKEW_MS);
        let was_denied = account.denied_ms.is_some_and(|at_ms| world.now_ms() <= at_ms + DENIED_MS);
        if account.has_since(is_restricted, world.now_ms() - is_good_ms) && !was_denied {
            self.report_violation(world, || format!("{token} is sent to renew what is good"));
        }
        if !session_model.lease.as_ref().is_some_and(|lease| lease.allows(task, profile.provider, world.now_ms())) {
            self.report_violation(world, || format!("{token} is sent by who may not, or no longer"));
        }
    }

    /// A provider saw a refresh token that had been used.
    pub(crate) fn saw_reuse(&self, world: &World, token: &str) {
        let all = self.sent_tokens.borrow();
        let excused = all.get(token).into_iter().flatten().any(|sent_token| {
            matches!(sent_token.fate.get(), Fate::Lost | Fate::PossiblyConsumed)
                || self.was_troubled(sent_token.task, sent_token.at_ms)
        });
        if !excused {
            self.report_violation(world, || format!("{token} is used again, and no answer was lost"));
        }
    }

    /// A call reached an API in the name of a browser.
    pub(crate) fn saw_call(&self, world: &World, number: u64, token: &str) {
        if !grant_of(token).is_some_and(|grant| is_of(grant, number)) {
            self.report_violation(world, || format!("session {number} calls with {token:?}"));
        }
        let handle = self.handle(number).unwrap_or_default();
        if !self.session_models.borrow().get(&handle).is_some_and(|session_model| session_model.access.contains(token))
        {
            self.report_violation(world, || format!("session {number} calls with {token:?}, which it has not stored"));
        }
    }

    /// An API would not take a token of a grant.
    pub(crate) fn saw_refusal(&self, world: &World, number: u64, token: &str) {
        if let (Some(handle), Some(provider)) = (self.handle(number), issuer_of(token)) {
            self.change_account(&handle, provider, |account| account.refused_ms = world.now_ms());
        }
    }

    /// Somebody wants a grant to be over.
    pub(crate) fn saw_revocation(&self, world: &World, grant: u64) {
        let task = world.scheduler.current();
        let is_new = task.is_some_and(|it| self.exchanged.borrow().get(&it).is_some_and(|(_, new)| *new == grant));
        // Whoever signs out gives tokens up even if the end is not confirmed.
        if is_new || matches!(self.intent(task), Intent::End(_)) {
            return;
        }
        let numbers: Vec<u64> =
            self.expected_session.borrow().keys().copied().filter(|number| is_of(grant, *number)).collect();
        for number in numbers.into_iter().filter(|number| self.dead_since_ms(world, *number).is_none()) {
            let session_models = self.session_models.borrow();
            let session_model = &session_models[&self.handle(number).unwrap()];
            if session_model.accounts.values().any(|account| account.grant == grant) {
                self.report_violation(world, || format!("grant {grant} is given up, and session {number} lives by it"));
            }
        }
    }

    /// The coordinator takes on another state of a session.
    pub(crate) fn saw_write(&self, world: &World, written: &Written<'_>) {
        let Written { handle, task, command, before, after, .. } = *written;
        match (before, command) {
            (None, Command::Create { .. }) => self.saw_begin(world, handle, task),
            (None, Command::Revoke) => {}
            (None, _) | (Some(_), Command::Create { .. }) => {
                self.report_violation(world, || format!("session {handle} begins by {command:?}"));
            }
            (Some(before), _) => {
                if before.revoked && !after.revoked {
                    self.report_violation(world, || format!("session {handle} is revived"));
                }
                if after.generation < before.generation || after.fencing_token < before.fencing_token {
                    self.report_violation(world, || format!("session {handle} goes back"));
                }
                let is_other = (before.generation, &before.record) != (after.generation, &after.record);
                if is_other && !after.revoked && !matches!(command, Command::ReleaseLease { .. }) {
                    self.report_violation(world, || format!("session {handle} is written by {command:?}"));
                }
                if !before.revoked && after.revoked {
                    self.saw_end(world, written, before);
                }
            }
        }
        if after.revoked && after.record.is_some() {
            self.report_violation(world, || format!("session {handle} is dead and has a record"));
        }
        match command {
            Command::AcquireLease { account, .. } => self.saw_lease(world, written, account.as_ref()),
            Command::ReleaseLease { fencing_token, outcome } => {
                self.saw_finish(world, written, *fencing_token, outcome)
            }
            _ => {}
        }
    }

    fn saw_begin(&self, world: &World, handle: &str, task: Option<TaskId>) {
        world.count("sessions");
        let Some(number) = self.number(task) else { return };
        let mut all = self.expected_session.borrow_mut();
        let expected_session = all.get_mut(&number).unwrap();
        if expected_session.is_doomed {
            self.report_violation(world, || format!("session {number} begins after its provider ended it"));
        }
        expected_session.handle = Some(handle.to_owned());
        let account = Account::new(number, world.first_refresh_token(number), world.now_ms());
        let mut session_model = SessionModel::default();
        session_model.connected(expected_session.profile.provider, account, world.now_ms());
        self.session_models.borrow_mut().insert(handle.to_owned(), session_model);
    }

    fn saw_lease(&self, world: &World, written: &Written<'_>, account: Option<&String>) {
        let Written { handle, task, asked_at_ms, looked_at_ms, after, .. } = *written;
        world.count("leases");
        let mut all = self.session_models.borrow_mut();
        let session_model = all.entry(handle.to_owned()).or_default();
        if let Some(last) = &session_model.lease {
            if after.fencing_token <= last.fencing_token {
                self.report_violation(world, || {
                    format!("session {handle}: the fencing_token {} was given before", after.fencing_token)
                });
            }
            if last.is_open && !last.is_expired(looked_at_ms) {
                self.report_violation(world, || {
                    format!("session {handle}: task {task:?} writes beside {:?}", last.task)
                });
            }
            if last.is_open && !self.was_troubled(last.task, last.asked_ms) {
                self.report_violation(world, || {
                    format!("session {handle}: task {:?} keeps its lease for nothing", last.task)
                });
            }
            if last.is_open {
                world.count("leases left lying");
                if let Some(provider) = &last.account
                    && let Some(account) = session_model.accounts.get_mut(provider)
                {
                    account.note_possible_consumption(
                        profile(provider),
                        "whoever might have sent it was never heard of again",
                    );
                }
            }
        }
        self.leased.borrow_mut().extend(task);
        let (fencing_token, account) = (after.fencing_token, account.cloned());
        let (asked_ms, given_ms) = (asked_at_ms, looked_at_ms);
        session_model.lease = Some(Lease { task, fencing_token, asked_ms, given_ms, account, is_open: true });
    }

    fn saw_finish(&self, world: &World, written: &Written<'_>, fencing_token: u64, outcome: &Outcome) {
        let Written { handle, task, looked_at_ms, before, after, .. } = *written;
        let mut all = self.session_models.borrow_mut();
        let session_model = all.entry(handle.to_owned()).or_default();
        if !session_model.is_writer(task, fencing_token) {
            return self.report_violation(world, || {
                format!("session {handle} is written by task {task:?}, whose turn it is not")
            });
        }
        if before.is_some_and(|before| natural_end_ms(before) <= looked_at_ms) {
            self.report_violation(world, || format!("session {handle} is written after its end"));
        }
        let Some(lease) = &mut session_model.lease else { return };
        lease.is_open = false;
        if lease.is_expired(looked_at_ms) {
            world.count("writers who were late, and nobody else had begun");
        }
        let (given_ms, account) = (lease.given_ms, lease.account.clone());
        let Outcome::Stored { replaced, .. } = outcome else {
            if before.is_some_and(|before| before.generation != after.generation) {
                self.report_violation(world, || format!("session {handle} has another generation for nothing"));
            }
            return;
        };
        world.count("records stored");
        let now_ms = world.now_ms();
        if let Some(provider) = account {
            match self.issued_tokens(task, given_ms, &provider) {
                Some(issued_tokens) => session_model.renewed(&provider, issued_tokens, now_ms),
                None if replaced.contains(&provider) => {
                    let Some(account) = session_model.accounts.get_mut(&provider) else { return };
                    if account.consumption.is_none() && world.honours(account.grant) {
                        self.report_violation(world, || format!("{} is given up for nothing", account.token));
                    }
                    world.count("refresh tokens given up");
                    account.is_given_up = true;
                }
                None => {}
            }
            return;
        }
        let exchanged = task.and_then(|task| self.exchanged.borrow().get(&task).copied());
        if let Some((provider, grant)) = exchanged {
            session_model.connected(provider, Account::new(grant, world.first_refresh_token(grant), now_ms), now_ms);
        }
        for provider in replaced.iter().filter(|it| exchanged.is_none_or(|(of, _)| of != *it)) {
            match self.intent(task) {
                Intent::Disconnect => session_model.disconnected(provider, now_ms),
                _ => self
                    .report_violation(world, || format!("session {handle}: tokens of {provider} change for nothing")),
            }
        }
    }

    /// The new tokens of a provider that came for whoever holds a lease since then.
    fn issued_tokens(&self, task: Option<TaskId>, since_ms: u64, provider: &str) -> Option<IssuedTokens> {
        let all = self.sent_tokens.borrow();
        let of = all.iter().filter(|(token, _)| grant_profile(token).provider == provider);
        let mut of = of.flat_map(|(_, sent_tokens)| sent_tokens).filter(|it| it.task == task && since_ms <= it.at_ms);
        of.find_map(|sent_token| sent_token.issued_tokens.borrow().clone())
    }

    /// A session ends: by its own user, by one of its user's sessions, by its provider, or because its grant is over.
    fn saw_end(&self, world: &World, written: &Written<'_>, before: &SessionState) {
        let Written { handle, task, looked_at_ms, .. } = *written;
        world.count("revocations");
        let mut all = self.expected_session.borrow_mut();
        let (number, expected_session) =
            all.iter_mut().find(|(_, expected_session)| expected_session.handle.as_deref() == Some(handle)).unwrap();
        expected_session.ended_at_ms = Some(world.now_ms());
        let is_asked_for = match self.intent(task) {
            Intent::End(session) => session == *number,
            Intent::EndAllOf(user) => user == expected_session.user,
            Intent::Use | Intent::Disconnect => false,
        };
        if is_asked_for || natural_end_ms(before) <= looked_at_ms {
            return;
        }
        let session_models = self.session_models.borrow();
        let session_model = &session_models[handle];
        let own = expected_session.profile.provider;
        let lease = session_model.lease.as_ref().filter(|lease| lease.is_open && lease.task == task);
        let account = session_model.accounts.get(own);
        let was_told = lease.is_some_and(|lease| {
            let all = self.sent_tokens.borrow();
            let of = account.and_then(|account| all.get(&account.token)).into_iter().flatten();
            of.filter(|it| it.task == task && lease.given_ms <= it.at_ms).any(|it| it.is_refused.get())
        });
        let is_expired = account.is_some_and(|it| world.ending(it.grant).is_some_and(|ending| ending != Ending::Reuse));
        if !was_told || !is_expired {
            self.report_violation(world, || format!("session {number} is ended for nothing"));
        }
        world.count("sessions ended with their grant");
    }

    /// A command is answered.
    pub(crate) fn saw_reply(&self, world: &World, task: Option<TaskId>, command: &Command, reply: &Reply) {
        if let (Some(task), Command::ReleaseLease { .. } | Command::EndWithLease { .. }) = (task, command) {
            self.leased.borrow_mut().remove(&task);
        }
        match (command, reply) {
            (Command::ReleaseLease { outcome: Outcome::Stored { .. }, .. }, Reply::Gone { .. }) => {
                world.count("tokens of a session that ended meanwhile");
                let all = self.sent_tokens.borrow();
                let has_tokens =
                    |sent_token: &Rc<SentToken>| sent_token.task == task && sent_token.issued_tokens.borrow().is_some();
                let issued_tokens = all.iter().find(|(_, sent_tokens)| sent_tokens.iter().any(has_tokens));
                let orphan = task.zip(issued_tokens.and_then(|(token, _)| grant_of(token)));
                self.orphaned.borrow_mut().extend(orphan.map(|(task, grant)| (task, grant, world.now_ms())));
            }
            (Command::ReleaseLease { .. }, Reply::Superseded) => world.count("late writers"),
            (Command::EndWithLease { .. }, Reply::Superseded) => world.count("late writers who would end the session"),
            (Command::AcquireLease { .. }, Reply::Busy { .. }) => world.count("waits for another's refresh"),
            (Command::AcquireLease { .. }, Reply::RetryLater { .. }) => world.count("refreshes put off"),
            (Command::AcquireLease { .. }, Reply::Active { .. }) => world.count("refreshes found done"),
            _ => {}
        }
    }

    /// Whether a session's user, who asked then, may be sent to a provider to sign in there again.
    pub(crate) fn excuses(
        &self,
        world: &World,
        number: u64,
        provider: &str,
        is_restricted: bool,
        began_ms: u64,
    ) -> bool {
        let session_models = self.session_models.borrow();
        let Some(session_model) = self.handle(number).and_then(|handle| session_models.get(&handle)) else {
            return true;
        };
        let Some(account) = session_model.accounts.get(provider) else { return true };
        let was_away = session_model.away_until_ms.get(provider).is_some_and(|until_ms| began_ms <= *until_ms);
        let is_denied = account.denied_ms.is_some_and(|at_ms| world.now_ms() <= at_ms + DENIED_MS);
        // Whoever lost a token under its feet is given another, once: where clocks differ by more than a token's life, that
        // may be gone, too.
        let renewals = account.renewals_ms.iter().filter(|at_ms| began_ms <= **at_ms).count();
        let was_overtaken = profile(provider).old_token_dies && renewals > 1;
        was_away
            || was_overtaken
            || account.is_possibly_consumed()
            || !world.honours(account.grant)
            || (is_restricted && is_denied)
    }

    /// The grant of an account that a session has.
    pub(crate) fn grant(&self, number: u64, provider: &str) -> Option<u64> {
        let session_models = self.session_models.borrow();
        let account = session_models.get(&self.handle(number)?)?.accounts.get(provider)?;
        Some(account.grant)
    }

    /// Whether a session has an account, if that has not changed since then.
    pub(crate) fn has_account_since(&self, number: u64, provider: &str, since_ms: u64) -> Option<bool> {
        let session_models = self.session_models.borrow();
        let session_model = session_models.get(&self.handle(number)?)?;
        let is_settled = session_model.changed_ms.get(provider).is_none_or(|at_ms| *at_ms <= since_ms);
        is_settled.then(|| session_model.accounts.contains_key(provider))
    }

    /// The sessions that live and are of the same user, with how they are named.
    pub(crate) fn of_same_user(&self, world: &World, number: u64) -> Vec<(u64, String)> {
        let all = self.expected_session.borrow();
        let of = &all[&number];
        let same = all
            .iter()
            .filter(|(_, expected_session)| (expected_session.user, expected_session.profile) == (of.user, of.profile));
        let known = same.filter_map(|(number, expected_session)| Some((*number, expected_session.handle.clone()?)));
        known.filter(|(number, _)| self.dead_since_ms(world, *number).is_none()).collect()
    }

    /// Whether a handle is of a session of the same user.
    pub(crate) fn is_of_same_user(&self, number: u64, handle: &str) -> bool {
        let all = self.expected_session.borrow();
        let of = &all[&number];
        let mut same = all
            .values()
            .filter(|expected_session| (expected_session.user, expected_session.profile) == (of.user, of.profile));
        same.any(|expected_session| expected_session.handle.as_deref() == Some(handle))
    }

    /// Since when a session is dead, by the coordinator's word and clock; `None` while it lives.
    pub(crate) fn dead_since_ms(&self, world: &World, number: u64) -> Option<u64> {
        let all = self.expected_session.borrow();
        let expected_session = &all[&number];
        let Some(handle) = &expected_session.handle else { return Some(0) };
        let sessions = world.coordinator.sessions.borrow();
        let natural_ms = natural_end_ms(&sessions[handle]);
        let dead_ms = expected_session.ended_at_ms.map_or(natural_ms, |ended_at_ms| ended_at_ms.min(natural_ms));
        (dead_ms <= world.now_ms()).then_some(dead_ms)
    }

    /// The sessions that must be dead when the end of all of a user's, which begins now, is done.
    pub(crate) fn doomed(&self, world: &World, number: u64) -> Vec<u64> {
        let all = self.expected_session.borrow();
        let of = &all[&number];
        // Where the edge says when the sign-in was, because the provider does not, its wrong clock may say it was later.
        let grants = world.authority.grants.borrow();
        let is_known = |number: &u64, expected_session: &ExpectedSession| {
            expected_session.handle.is_some() || (expected_session.profile.says_when && grants.contains_key(number))
        };
        let same = |expected_session: &ExpectedSession| {
            expected_session.user == of.user && expected_session.profile == of.profile
        };
        all.iter()
            .filter(|(number, expected_session)| same(expected_session) && is_known(number, expected_session))
            .map(|(number, _)| *number)
            .collect()
    }

    /// It is done.
    pub(crate) fn saw_end_of_all(&self, world: &World, doomed: &[u64]) {
        for number in doomed {
            self.expected_session.borrow_mut().get_mut(number).unwrap().is_doomed = true;
            if self.dead_since_ms(world, *number).is_none() {
                self.report_violation(world, || format!("session {number} outlives the end of all its user's"));
            }
        }
    }

    /// Checks what can be checked only when everything has come to rest.
    pub(crate) fn close(&self, world: &World) {
        for (task, number, since_ms) in self.orphaned.borrow().iter() {
            let grants = world.authority.grants.borrow();
            let grant = &grants[number];
            let excused = self.was_troubled(Some(*task), *since_ms);
            if grant.profile.revokes && !grant.given_up && !excused {
                self.report_violation(world, || {
                    format!("new tokens of grant {number}, whose session had ended, stay good")
                });
            }
        }
    }

    /// Nobody can tell any more whether a refresh token works, if it still is the one that the session has.
    pub(super) fn note_possible_consumption(&self, handle: &str, token: &str, why: &'static str) {
        let profile = grant_profile(token);
        self.change_account(handle, profile.provider, |account| {
            if account.token == token {
                account.note_possible_consumption(profile, why);
            }
        });
    }

    /// A provider would not restrict a token.
    pub(super) fn denied(&self, world: &World, handle: &str, token: &str) {
        world.count("restricted tokens denied");
        self.change_account(handle, grant_profile(token).provider, |account| account.denied_ms = Some(world.now_ms()));
    }

    /// Notes something of an account, if the session still has it.
    fn change_account(&self, handle: &str, provider: &str, change: impl FnOnce(&mut Account)) {
        let mut all = self.session_models.borrow_mut();
        if let Some(account) = all.get_mut(handle).and_then(|session_model| session_model.accounts.get_mut(provider)) {
            change(account);
        }
    }
}

/// What a restricted token is restricted to.
pub(crate) const SCOPE: &str = "mail";

fn natural_end_ms(state: &SessionState) -> u64 {
    state.expires_at_ms.min(state.used_at_ms + state.idle_limit_ms)
}
