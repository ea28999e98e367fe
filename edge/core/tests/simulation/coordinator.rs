//! The coordinator: by its own clock, and never wrong; but what is asked of it gets lost on its way there and answers on
//! their way back, and what its sender gave up on is done all the same.
//!
//! There are two kinds, as there are two runtimes: one runs a whole command, one after the other; the other is a store that
//! compares and sets, where others come between looking and setting.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use causeway_core::{
    coordinator::dispatch,
    runtime::{
        machine::{self, CompareAndSet, Machine, Store},
        unavailable::Unavailable,
    },
    session::state::{Command, Reply, SessionMachine, SessionState},
};

use super::{
    World,
    invariant::Written,
    scheduler::{Promised, TaskId, promise},
};

/// What a command runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Coordination {
    /// Objects that run one command at a time.
    #[default]
    Objects,
    /// A store that sets a value if it is still what was read.
    Store,
}

#[derive(Default)]
pub(crate) struct Coordinator {
    pub(crate) coordination: Cell<Coordination>,
    /// Sessions by handle; the checker looks into these.
    pub(crate) sessions: RefCell<HashMap<String, SessionState>>,
    /// All machines as JSON, by `causeway:kind:name`, and when each may be forgotten.
    states: RefCell<HashMap<String, (String, u64)>>,
}

impl Coordinator {
    fn stored(&self, key: &str, now_ms: u64) -> Option<String> {
        let states = self.states.borrow();
        states.get(key).filter(|(_, forget_at_ms)| now_ms < *forget_at_ms).map(|(text, _)| text.clone())
    }
}

fn silent() -> Unavailable {
    Unavailable::new("coordinator", "simulated outage")
}

/// A command on its way.
struct Asked {
    at_ms: u64,
    task: Option<TaskId>,
    kind: &'static str,
    name: String,
    command: String,
}

impl Asked {
    fn key(&self) -> String {
        format!("causeway:{}:{}", self.kind, self.name)
    }

    /// The command, if it is one on a session.
    fn on_session(&self) -> Option<Command> {
        (self.kind == SessionMachine::KIND).then(|| serde_json::from_str(&self.command).unwrap())
    }
}

impl World {
    /// Runs a command of the current task.
    pub(super) async fn command<M: Machine>(
        self: &Rc<Self>,
        name: &str,
        command: M::Command,
    ) -> Result<M::Reply, Unavailable> {
        let (task, text) = (self.scheduler.current(), serde_json::to_string(&command).unwrap());
        let asked = Rc::new(Asked { at_ms: self.now_ms(), task, kind: M::KIND, name: name.to_owned(), command: text });
        if self.coordinator.coordination.get() == Coordination::Objects {
            let reply = self.round_trip(move |world| world.execute(&asked)).await?;
            return Ok(serde_json::from_str(&reply).unwrap());
        }
        let visit = Visit { world: self, asked: Rc::clone(&asked), looked_at_ms: Cell::default() };
        let reply = machine::run_on::<M>(&visit, name, command).await?;
        self.replies(&asked, &serde_json::to_string(&reply).unwrap());
        Ok(reply)
    }

    /// There, to do something, and back. What is returned fails at once or never, for the caller to give up on.
    fn round_trip<T: 'static>(
        self: &Rc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Unavailable> + 'static,
    ) -> Promised<Result<T, Unavailable>> {
        let (faults, scheduler) = (self.faults.get(), &self.scheduler);
        let (kept, promised) = promise();
        let there_ms = faults.coordinator_ms(scheduler);
        if scheduler.chance(faults.command_lost) {
            self.count("commands lost");
            if scheduler.chance(500) {
                scheduler.later(there_ms, move || kept.keep(Err(silent())));
            }
            return promised;
        }
        let world = Rc::clone(self);
        scheduler.later(there_ms, move || {
            let reply = work(&world);
            let (faults, scheduler) = (world.faults.get(), &world.scheduler);
            let back_ms = faults.coordinator_ms(scheduler);
            let reply = if scheduler.chance(faults.reply_lost) {
                world.count("replies lost");
                if scheduler.chance(500) {
                    return;
                }
                Err(silent())
            } else {
                reply
            };
            scheduler.later(back_ms, move || kept.keep(reply));
        });
        promised
    }

    /// The whole command, with nothing in between.
    fn execute(&self, asked: &Asked) -> Result<String, Unavailable> {
        let (key, now_ms) = (asked.key(), self.now_ms());
        let stored = self.coordinator.stored(&key, now_ms);
        let (store, reply) = dispatch(asked.kind, stored.as_deref(), now_ms, &asked.command)?;
        if let Some(Store { state, forget_at_ms }) = store {
            self.set(asked, now_ms, stored.as_deref(), state, forget_at_ms);
        }
        self.replies(asked, &reply);
        Ok(reply)
    }

    /// Sets what a command, for which the coordinator looked then, made of what was there.
    fn set(&self, asked: &Asked, looked_at_ms: u64, before: Option<&str>, after: String, forget_at_ms: u64) {
        if let Some(command) = asked.on_session() {
            let read = |text: &str| serde_json::from_str::<SessionState>(text).unwrap();
            let (before, after) = (before.map(read), read(&after));
            self.trace(|| {
                format!("session {}: {} of task {:?} is done", &asked.name[..6], short(&command), asked.task)
            });
            self.coordinator.sessions.borrow_mut().insert(asked.name.clone(), after.clone());
            let written = Written {
                handle: &asked.name,
                task: asked.task,
                asked_at_ms: asked.at_ms,
                looked_at_ms,
                command: &command,
                before: before.as_ref(),
                after: &after,
            };
            self.checker.saw_write(self, &written);
        }
        self.coordinator.states.borrow_mut().insert(asked.key(), (after, forget_at_ms));
    }

    fn replies(&self, asked: &Asked, reply: &str) {
        let Some(command) = asked.on_session() else {
            let Asked { task, kind, name, command, .. } = asked;
            return self.trace(|| format!("{kind} {}: {command} of task {task:?} → {reply}", &name[..6]));
        };
        let reply: Reply = serde_json::from_str(reply).unwrap();
        self.trace(|| {
            let Asked { task, name, .. } = asked;
            format!("session {}: {} of task {task:?} → {}", &name[..6], short(&command), short(&reply))
        });
        self.checker.saw_reply(self, asked.task, &command, &reply);
    }
}

/// A command that looks, decides and sets.
struct Visit<'a> {
    world: &'a Rc<World>,
    asked: Rc<Asked>,
    /// When the store was looked at for what is to be set.
    looked_at_ms: Cell<Option<u64>>,
}

impl CompareAndSet for Visit<'_> {
    async fn read(&self, key: &str) -> Result<(String, u64), Unavailable> {
        let key = key.to_owned();
        let look = move |world: &World| {
            let now_ms = world.now_ms();
            Ok((world.coordinator.stored(&key, now_ms).unwrap_or_default(), now_ms))
        };
        let looked = self.world.round_trip(look).await?;
        self.looked_at_ms.set(Some(looked.1));
        Ok(looked)
    }

    async fn set_if(&self, key: &str, expected: &str, value: &str, forget_at_ms: u64) -> Result<bool, Unavailable> {
        let Some(looked_at_ms) = self.looked_at_ms.take() else {
            self.world
                .checker
                .report_violation(self.world, || format!("{key} is set again without a look at what came between"));
            return Ok(false);
        };
        let (asked, expected, value) = (Rc::clone(&self.asked), expected.to_owned(), value.to_owned());
        let set = move |world: &World| {
            let stored = world.coordinator.stored(&asked.key(), world.now_ms());
            let is_same = stored.as_deref().unwrap_or_default() == expected;
            if is_same {
                world.set(&asked, looked_at_ms, stored.as_deref(), value, forget_at_ms);
            } else {
                world.count("commands that another came between");
            }
            Ok(is_same)
        };
        self.world.round_trip(set).await
    }
}

/// Without records, which say nothing.
fn short(value: &impl std::fmt::Debug) -> String {
    let mut text = format!("{value:?}");
    while let Some(at) = text.find("record: \"").or_else(|| text.find("record: Some(\"")) {
        let quote = at + text[at..].find('"').unwrap();
        let end = text[quote + 1..].find('"').unwrap() + quote + 2;
        text.replace_range(at..end, "record");
    }
    text
}
