//! What must hold, whatever happens. It sees every step of the world and knows what no isolate knows.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
};

use super::{
    World,
    account::is_of,
    authority::{MANNERS, Manner, grant_of},
    browser::Browser,
    scheduler::{Promise, TaskId},
};
use crate::{
    platform::Unavailable,
    session::coordinator::{Command, Outcome, Reply, SessionState},
    simulated::{Answer, Sent},
};

/// What became of a refresh token that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Its answer may still come.
    Pending,
    /// The provider said that it did nothing.
    Unused,
    /// The provider broke down over it.
    Doubtful,
    /// Answered.
    Answered,
    /// No answer will come, or none that can be read.
    Lost,
}

struct Sending {
    task: Option<TaskId>,
    fate: Cell<Fate>,
    /// What its sender waits for, who may not know yet that it is there.
    answer: Promise<Result<Answer, Unavailable>>,
    brought_tokens: Cell<bool>,
}

/// Watches one sending; whoever drops it unanswered will never have the answer.
pub(crate) struct Watch {
    world: Rc<World>,
    token: String,
    sending: Rc<Sending>,
}

/// What the judge knows of a sign-in and the session that came of it.
pub(crate) struct Held {
    user: u64,
    manner: &'static Manner,
    pub(crate) handle: Option<String>,
    pub(crate) ended_at_ms: Option<u64>,
    /// A request of it crashed or was left without an answer at some time: something may rightly have been given up.
    pub(crate) troubled: bool,
    /// Its provider ended it and was told that this is done.
    is_doomed: bool,
}

#[derive(Default)]
pub(crate) struct Judge {
    accusation: RefCell<Option<String>>,
    pub(crate) held: RefCell<BTreeMap<u64, Held>>,
    /// Whose session each task is about.
    tasks: RefCell<HashMap<TaskId, u64>>,
    /// Tasks that crashed or were left without an answer.
    troubled: RefCell<HashSet<TaskId>>,
    /// Tasks that did not get the processor for a while.
    pub(crate) stalled: RefCell<HashSet<TaskId>>,
    /// Tasks that may write.
    leased: RefCell<HashSet<TaskId>>,
    /// By refresh token.
    sendings: RefCell<HashMap<String, Vec<Rc<Sending>>>>,
    /// Tasks that got new tokens for a session that was over when they came to store them, and the tokens' grant.
    orphaned: RefCell<Vec<(TaskId, u64)>>,
}

impl Judge {
    /// Something that must never be. The first one counts.
    pub(crate) fn accuse(&self, world: &World, what: impl FnOnce() -> String) {
        let what = what();
        world.trace(|| format!("!!! {what}"));
        self.accusation.borrow_mut().get_or_insert(what);
    }

    pub(crate) fn accusation(&self) -> Option<String> {
        self.accusation.borrow().clone()
    }

    /// A sign-in begins.
    pub(crate) fn expects(&self, browser: &Browser) {
        let Browser { number, user, manner, .. } = browser;
        let held = Held { user: *user, manner, handle: None, ended_at_ms: None, troubled: false, is_doomed: false };
        self.held.borrow_mut().insert(*number, held);
    }

    /// A task is about a session.
    pub(crate) fn follows(&self, task: TaskId, number: u64) {
        self.tasks.borrow_mut().insert(task, number);
    }

    /// A task crashed, or something it asked for was never answered.
    pub(crate) fn trouble(&self, task: Option<TaskId>) {
        let Some(task) = task else { return };
        self.troubled.borrow_mut().insert(task);
        let number = self.tasks.borrow().get(&task).copied();
        if let Some(number) = number
            && let Some(held) = self.held.borrow_mut().get_mut(&number)
        {
            held.troubled = true;
        }
    }

    /// Whoever is at work is held up.
    pub(crate) fn hold_up_all(&self) {
        let tasks: Vec<TaskId> = self.tasks.borrow().keys().copied().collect();
        self.stalled.borrow_mut().extend(&tasks);
        tasks.into_iter().for_each(|task| self.trouble(Some(task)));
    }

    /// Whether a task was given the right to write and did not give it back.
    pub(crate) fn has_lease(&self, task: TaskId) -> bool {
        self.leased.borrow().contains(&task)
    }

    /// A request is about to be sent. What it carries must not be under way already, nor have been too often.
    pub(crate) fn sends(
        &self,
        world: &Rc<World>,
        sent: &Sent,
        answer: &Promise<Result<Answer, Unavailable>>,
    ) -> Option<Watch> {
        let form: BTreeMap<_, _> = url::form_urlencoded::parse(sent.body.as_bytes()).collect();
        let token =
            form.get("refresh_token").filter(|_| form.get("grant_type").is_some_and(|it| it == "refresh_token"))?;
        let task = world.scheduler.current();
        let manner = grant_manner(token);
        let mut all = self.sendings.borrow_mut();
        let before = all.entry(token.to_string()).or_default();
        let fates = || before.iter().map(|sending| sending.fate.get());
        if before.iter().any(|it| it.fate.get() == Fate::Pending && !it.answer.is_settled()) {
            self.accuse(world, || format!("{token} is sent while the answer to an earlier sending may still come"));
        }
        let open = fates().filter(|fate| !matches!(fate, Fate::Unused | Fate::Doubtful)).count();
        if open >= manner.sends {
            self.accuse(world, || format!("{token} is sent {} times", open + 1));
        }
        let calm = |sending: &Rc<Sending>| {
            sending.fate.get() == Fate::Answered
                && !sending.task.is_some_and(|task| self.troubled.borrow().contains(&task))
        };
        if before.iter().any(calm) {
            self.accuse(world, || format!("{token} is sent again though it was answered and nothing went wrong"));
        }
        world.count(if open > 0 { "refresh tokens sent again" } else { "refresh tokens sent" });
        let sending = Rc::new(Sending {
            task,
            fate: Cell::new(Fate::Pending),
            answer: answer.clone(),
            brought_tokens: Cell::default(),
        });
        before.push(Rc::clone(&sending));
        Some(Watch { world: Rc::clone(world), token: token.to_string(), sending })
    }

    /// A provider saw a refresh token that had been used.
    pub(crate) fn saw_reuse(&self, world: &World, token: &str) {
        let all = self.sendings.borrow();
        let excused = all.get(token).into_iter().flatten().any(|sending| {
            matches!(sending.fate.get(), Fate::Lost | Fate::Doubtful)
                || sending.task.is_some_and(|it| self.troubled.borrow().contains(&it))
        });
        if !excused {
            self.accuse(world, || format!("{token} is used again, and no answer was lost"));
        }
    }

    /// A call reached an API in the name of a browser.
    pub(crate) fn saw_call(&self, world: &World, number: u64, token: &str) {
        if !grant_of(token).is_some_and(|grant| is_of(grant, number)) {
            self.accuse(world, || format!("session {number} calls with {token:?}"));
        }
    }

    #[allow(clippy::too_many_arguments, reason = "it is what a command is")]
    pub(crate) fn saw_command(
        &self,
        world: &World,
        handle: &str,
        task: Option<TaskId>,
        command: &Command,
        before: Option<&SessionState>,
        after: Option<&SessionState>,
        reply: &Reply,
    ) {
        let number = task.and_then(|task| self.tasks.borrow().get(&task).copied());
        if let (Command::Create { .. }, Reply::Active { .. }, Some(number)) = (command, reply, number) {
            world.count("sessions");
            if self.held.borrow()[&number].is_doomed {
                self.accuse(world, || format!("session {number} begins after its provider ended it"));
            }
            self.held.borrow_mut().get_mut(&number).unwrap().handle = Some(handle.to_owned());
        }
        if let (Some(before), Some(after)) = (before, after) {
            if before.revoked && !after.revoked {
                self.accuse(world, || format!("session {handle} is revived"));
            }
            if after.generation < before.generation || after.fence < before.fence {
                self.accuse(world, || format!("session {handle} goes back"));
            }
            if !before.revoked && after.revoked {
                world.count("revocations");
                let mut all = self.held.borrow_mut();
                let held = all.values_mut().find(|held| held.handle.as_deref() == Some(handle));
                held.unwrap().ended_at_ms = Some(world.now_ms());
            }
        }
        if let Some(task) = task {
            match (command, reply) {
                (_, Reply::Leased { .. }) => drop(self.leased.borrow_mut().insert(task)),
                (Command::Finish { .. }, _) => drop(self.leased.borrow_mut().remove(&task)),
                _ => {}
            }
        }
        match (command, reply) {
            (Command::Finish { outcome: Outcome::Stored { .. }, .. }, Reply::Gone { .. }) => {
                world.count("tokens of a session that ended meanwhile");
                let all = self.sendings.borrow();
                let has_tokens = |sending: &Rc<Sending>| sending.task == task && sending.brought_tokens.get();
                let brought = all.iter().find(|(_, sendings)| sendings.iter().any(has_tokens));
                self.orphaned.borrow_mut().extend(task.zip(brought.and_then(|(token, _)| grant_of(token))));
            }
            (Command::Finish { .. }, Reply::Superseded) => world.count("late writers"),
            (Command::Finish { outcome: Outcome::Stored { .. }, .. }, _) => world.count("records stored"),
            (Command::Begin { .. }, Reply::Busy { .. }) => world.count("waits for another's refresh"),
            (Command::Begin { .. }, Reply::Later { .. }) => world.count("refreshes put off"),
            (Command::Begin { .. }, Reply::Active { .. }) => world.count("refreshes found done"),
            (Command::Begin { .. }, Reply::Leased { .. }) => world.count("leases"),
            _ => {}
        }
    }

    /// Since when a session is dead, by the coordinator's word and clock; `None` while it lives.
    pub(crate) fn dead_since_ms(&self, world: &World, number: u64) -> Option<u64> {
        let all = self.held.borrow();
        let held = &all[&number];
        let Some(handle) = &held.handle else { return Some(0) };
        let sessions = world.coordinator.sessions.borrow();
        let state = &sessions[handle];
        let natural = state.expires_at_ms.min(state.used_at_ms + state.idle_limit_ms);
        let dead_ms = held.ended_at_ms.map_or(natural, |ended_at_ms| ended_at_ms.min(natural));
        (dead_ms <= world.now_ms()).then_some(dead_ms)
    }

    /// The sessions that must be dead when the end of all of a user's, which begins now, is done.
    pub(crate) fn doomed(&self, world: &World, number: u64) -> Vec<u64> {
        let all = self.held.borrow();
        let of = &all[&number];
        // Where the edge says when the sign-in was, because the provider does not, its wrong clock may say it was later.
        let grants = world.authority.grants.borrow();
        let is_known =
            |number: &u64, held: &Held| held.handle.is_some() || (held.manner.says_when && grants.contains_key(number));
        let same = |held: &Held| held.user == of.user && held.manner == of.manner;
        all.iter().filter(|(number, held)| same(held) && is_known(number, held)).map(|(number, _)| *number).collect()
    }

    /// It is done.
    pub(crate) fn saw_end_of_all(&self, world: &World, doomed: &[u64]) {
        for number in doomed {
            self.held.borrow_mut().get_mut(number).unwrap().is_doomed = true;
            if self.dead_since_ms(world, *number).is_none() {
                self.accuse(world, || format!("session {number} outlives the end of all its user's"));
            }
        }
    }

    /// Checks what can be checked only when everything has come to rest.
    pub(crate) fn close(&self, world: &World) {
        for (task, number) in self.orphaned.borrow().iter() {
            let grants = world.authority.grants.borrow();
            let grant = &grants[number];
            let excused = self.troubled.borrow().contains(task);
            if grant.manner.revokes && !grant.given_up && !excused {
                self.accuse(world, || format!("new tokens of grant {number}, whose session had ended, stay good"));
            }
        }
    }
}

/// The kind of provider that a refresh token is of.
fn grant_manner(token: &str) -> &'static Manner {
    MANNERS.iter().find(|manner| token.starts_with(&format!("rt.{}.", manner.provider))).unwrap()
}

impl Watch {
    /// Its answer came, or it is certain that none will.
    pub(crate) fn got(&self, answer: &Result<Answer, Unavailable>) {
        let Ok((status, headers, body)) = answer else { return };
        let is_timed = headers.iter().any(|(name, _)| *name == "retry-after");
        let body: Option<serde_json::Value> = serde_json::from_str(body).ok();
        let has_tokens = body.as_ref().is_some_and(|body| body.get("access_token").is_some());
        self.sending.brought_tokens.set(*status == 200 && has_tokens);
        let is_strict = grant_manner(&self.token).sends == 1;
        let fate = match (status, body) {
            (503, _) if is_timed => Fate::Unused,
            (502 | 503, _) if !is_strict => {
                self.world.judge.trouble(self.sending.task);
                Fate::Doubtful
            }
            (502..=504, _) | (200..300, None) => Fate::Lost,
            // Without a new one the old one goes on working, whatever became of it before.
            (200..300, Some(body)) if body.get("access_token").is_some() && body.get("refresh_token").is_none() => {
                let all = self.world.judge.sendings.borrow();
                all[&self.token].iter().for_each(|sending| sending.fate.set(Fate::Unused));
                Fate::Unused
            }
            (200..300, Some(_)) => Fate::Answered,
            (400, Some(body)) if body["error"] == "invalid_grant" => Fate::Answered,
            _ => Fate::Unused,
        };
        if fate != Fate::Lost {
            self.sending.fate.set(fate);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.sending.fate.get() == Fate::Pending {
            self.sending.fate.set(Fate::Lost);
            self.world.count("answers to a refresh that nobody got");
            self.world.judge.trouble(self.sending.task);
        }
    }
}
