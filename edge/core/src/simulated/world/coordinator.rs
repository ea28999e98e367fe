//! The coordinator: one command after the other, by its own clock. It is never wrong; but commands get lost on their way
//! to it and answers on their way back, and a command whose sender gave up is run all the same.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use super::{
    World,
    scheduler::{Promised, TaskId, promise},
};
use crate::{
    machine::{self, Machine},
    platform::Unavailable,
    session::coordinator::{Command, SessionMachine, SessionState},
};

#[derive(Default)]
pub(crate) struct Coordinator {
    /// Sessions by handle; the judge looks into these.
    pub(crate) sessions: RefCell<HashMap<String, SessionState>>,
    /// All others as JSON, by `kind:name`, and when each may be forgotten.
    others: RefCell<HashMap<String, (String, u64)>>,
}

fn silent() -> Unavailable {
    Unavailable::new("coordinator", "simulated outage")
}

impl World {
    /// Runs a command of the current task. What is returned fails at once or never, for the caller to give up on.
    pub(crate) fn command<M: Machine>(
        self: &Rc<Self>,
        name: &str,
        command: &M::Command,
    ) -> Promised<Result<String, Unavailable>> {
        let (weather, scheduler) = (self.weather.get(), &self.scheduler);
        let task = scheduler.current();
        let (kept, promised) = promise();
        let there_ms = weather.coordinator_ms(scheduler);
        if scheduler.chance(weather.command_lost) {
            self.count("commands lost");
            if scheduler.chance(500) {
                scheduler.later(there_ms, move || kept.keep(Err(silent())));
            }
            return promised;
        }
        let (world, name, command) = (Rc::clone(self), name.to_owned(), serde_json::to_string(command).unwrap());
        scheduler.later(there_ms, move || {
            let reply = world.execute(M::KIND, &name, &command, task);
            let (weather, scheduler) = (world.weather.get(), &world.scheduler);
            let back_ms = weather.coordinator_ms(scheduler);
            let reply = if scheduler.chance(weather.reply_lost) {
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

    fn execute(&self, kind: &str, name: &str, command: &str, task: Option<TaskId>) -> Result<String, Unavailable> {
        let now_ms = self.now_ms();
        if kind == SessionMachine::KIND {
            let command: Command = serde_json::from_str(command).unwrap();
            let mut sessions = self.coordinator.sessions.borrow_mut();
            let before = sessions.get(name).filter(|state| now_ms < SessionMachine::forget_at_ms(state)).cloned();
            let (changed, reply) = SessionMachine::apply(before.as_ref(), now_ms, command.clone());
            if let Some(state) = &changed {
                sessions.insert(name.to_owned(), state.clone());
            }
            drop(sessions);
            self.trace(|| format!("session {}: {} of task {task:?} → {}", &name[..6], short(&command), short(&reply)));
            self.judge.saw_command(self, name, task, &command, before.as_ref(), changed.as_ref(), &reply);
            return Ok(serde_json::to_string(&reply).unwrap());
        }
        let key = format!("{kind}:{name}");
        let mut others = self.coordinator.others.borrow_mut();
        let stored = others.get(&key).filter(|(_, forget_at_ms)| now_ms < *forget_at_ms).map(|(text, _)| text.as_str());
        let (store, reply) = machine::dispatch(kind, stored, now_ms, command)?;
        self.trace(|| format!("{kind} {}: {command} of task {task:?} → {reply}", &name[..6]));
        if let Some(store) = store {
            others.insert(key, (store.state, store.forget_at_ms));
        }
        Ok(reply)
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
