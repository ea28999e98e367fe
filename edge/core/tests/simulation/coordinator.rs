//! The coordinator. It has the right time and correct state, but commands and replies get lost on their way, and a
//! command whose sender gave up still runs.
//!
//! There are two kinds, as on the two runtimes. One runs whole commands, one after the other. The other is a store with
//! compare-and-set, where other commands run between a command's read and its write.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use causeway_core::{
    coordinator::dispatch,
    runtime::{
        dependency::Dependency,
        machine::{self, CompareAndSet, Machine, Store},
        unavailable::Unavailable,
    },
    session::state::{Command, Reply, SessionMachine, SessionState},
};

use crate::{
    invariant::SessionWrite,
    oneshot::{self, Receiver},
    scheduler::TaskId,
    world::World,
};

/// The kind of coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Coordination {
    /// Objects that run one command at a time.
    #[default]
    Objects,
    /// A store that writes a value if the old one is still what was read.
    Store,
}

#[derive(Default)]
pub(crate) struct Coordinator {
    pub(crate) coordination: Cell<Coordination>,
    /// Sessions by handle, for the checker.
    pub(crate) sessions: RefCell<HashMap<String, SessionState>>,
    /// The state of each machine as JSON, by `causeway:kind:name`, and when it may be forgotten.
    states: RefCell<HashMap<String, (String, u64)>>,
}

impl Coordinator {
    fn stored(&self, key: &str, now_ms: u64) -> Option<String> {
        let states = self.states.borrow();
        states.get(key).filter(|(_, forget_at_ms)| now_ms < *forget_at_ms).map(|(text, _)| text.clone())
    }
}

fn unavailable() -> Unavailable {
    Unavailable::new(Dependency::Coordinator, "simulated outage")
}

/// A command on its way to the coordinator.
struct SentCommand {
    sent_at_ms: u64,
    task: Option<TaskId>,
    kind: &'static str,
    name: String,
    command: String,
}

impl SentCommand {
    fn key(&self) -> String {
        format!("causeway:{}:{}", self.kind, self.name)
    }

    /// The command, if its machine is a session.
    fn session_command(&self) -> Option<Command> {
        (self.kind == SessionMachine::KIND).then(|| serde_json::from_str(&self.command).unwrap())
    }
}

impl World {
    /// Runs a command of the current task.
    pub(crate) async fn run_command<M: Machine>(
        self: &Rc<Self>,
        name: &str,
        command: M::Command,
    ) -> Result<M::Reply, Unavailable> {
        let (task, text) = (self.scheduler.current(), serde_json::to_string(&command).unwrap());
        let sent = Rc::new(SentCommand {
            sent_at_ms: self.now_ms(),
            task,
            kind: M::KIND,
            name: name.to_owned(),
            command: text,
        });
        if self.coordinator.coordination.get() == Coordination::Objects {
            let reply = self.round_trip(move |world| world.execute(&sent)).await?;
            return Ok(serde_json::from_str(&reply).unwrap());
        }
        let store = RemoteStore { world: self, sent: Rc::clone(&sent), read_at_ms: Cell::default() };
        let reply = machine::run_on::<M>(&store, name, command).await?;
        self.note_reply(&sent, &serde_json::to_string(&reply).unwrap());
        Ok(reply)
    }

    /// Does some work at the coordinator, after the way there and before the way back. If a message is lost, the result
    /// is an error at once or never comes, and the caller has to give up.
    fn round_trip<T: 'static>(
        self: &Rc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Unavailable> + 'static,
    ) -> Receiver<Result<T, Unavailable>> {
        let (faults, scheduler) = (self.faults.get(), &self.scheduler);
        let (sender, receiver) = oneshot::channel();
        let there_ms = faults.draw_coordinator_ms(scheduler);
        if scheduler.chance(faults.command_lost) {
            self.count("commands lost");
            if scheduler.chance(500) {
                scheduler.schedule(there_ms, move || sender.send(Err(unavailable())));
            }
            return receiver;
        }
        let world = Rc::clone(self);
        scheduler.schedule(there_ms, move || {
            let reply = work(&world);
            let (faults, scheduler) = (world.faults.get(), &world.scheduler);
            let back_ms = faults.draw_coordinator_ms(scheduler);
            let reply = if scheduler.chance(faults.reply_lost) {
                world.count("replies lost");
                if scheduler.chance(500) {
                    return;
                }
                Err(unavailable())
            } else {
                reply
            };
            scheduler.schedule(back_ms, move || sender.send(reply));
        });
        receiver
    }

    /// Runs a whole command at once.
    fn execute(&self, sent: &SentCommand) -> Result<String, Unavailable> {
        let (key, now_ms) = (sent.key(), self.now_ms());
        let stored = self.coordinator.stored(&key, now_ms);
        let (store, reply) = dispatch(sent.kind, stored.as_deref(), now_ms, &sent.command)?;
        if let Some(Store { state, forget_at_ms }) = store {
            self.store(sent, now_ms, stored.as_deref(), state, forget_at_ms);
        }
        self.note_reply(sent, &reply);
        Ok(reply)
    }

    /// Stores the new state that a command made of the state read at `read_at_ms`.
    fn store(&self, sent: &SentCommand, read_at_ms: u64, before: Option<&str>, after: String, forget_at_ms: u64) {
        if let Some(command) = sent.session_command() {
            let read = |text: &str| serde_json::from_str::<SessionState>(text).unwrap();
            let (before, after) = (before.map(read), read(&after));
            self.trace(|| {
                format!("session {}: {} of task {:?} is done", &sent.name[..6], without_records(&command), sent.task)
            });
            self.coordinator.sessions.borrow_mut().insert(sent.name.clone(), after.clone());
            let write = SessionWrite {
                handle: &sent.name,
                task: sent.task,
                sent_at_ms: sent.sent_at_ms,
                read_at_ms,
                command: &command,
                before: before.as_ref(),
                after: &after,
            };
            self.checker.on_write(self, &write);
        }
        self.coordinator.states.borrow_mut().insert(sent.key(), (after, forget_at_ms));
    }

    fn note_reply(&self, sent: &SentCommand, reply: &str) {
        let Some(command) = sent.session_command() else {
            let SentCommand { task, kind, name, command, .. } = sent;
            return self.trace(|| format!("{kind} {}: {command} of task {task:?} → {reply}", &name[..6]));
        };
        let reply: Reply = serde_json::from_str(reply).unwrap();
        self.trace(|| {
            let SentCommand { task, name, .. } = sent;
            format!(
                "session {}: {} of task {task:?} → {}",
                &name[..6],
                without_records(&command),
                without_records(&reply)
            )
        });
        self.checker.on_reply(self, sent.task, &command, &reply);
    }
}

/// The store as one command sees it: read, decide, compare and set.
struct RemoteStore<'a> {
    world: &'a Rc<World>,
    sent: Rc<SentCommand>,
    /// When the state was read that the next write replaces.
    read_at_ms: Cell<Option<u64>>,
}

impl CompareAndSet for RemoteStore<'_> {
    async fn read(&self, key: &str) -> Result<(String, u64), Unavailable> {
        let key = key.to_owned();
        let read = move |world: &World| {
            let now_ms = world.now_ms();
            Ok((world.coordinator.stored(&key, now_ms).unwrap_or_default(), now_ms))
        };
        let (state, read_at_ms) = self.world.round_trip(read).await?;
        self.read_at_ms.set(Some(read_at_ms));
        Ok((state, read_at_ms))
    }

    async fn set_if(&self, key: &str, expected: &str, value: &str, forget_at_ms: u64) -> Result<bool, Unavailable> {
        let Some(read_at_ms) = self.read_at_ms.take() else {
            self.world
                .checker
                .report_violation(self.world, || format!("{key} is written again without a read in between"));
            return Ok(false);
        };
        let (sent, expected, value) = (Rc::clone(&self.sent), expected.to_owned(), value.to_owned());
        let set = move |world: &World| {
            let stored = world.coordinator.stored(&sent.key(), world.now_ms());
            let is_same = stored.as_deref().unwrap_or_default() == expected;
            if is_same {
                world.store(&sent, read_at_ms, stored.as_deref(), value, forget_at_ms);
            } else {
                world.count("compare-and-set conflicts");
            }
            Ok(is_same)
        };
        self.world.round_trip(set).await
    }
}

/// The debug text of a command or reply without its sealed records, which are long and unreadable.
fn without_records(value: &impl std::fmt::Debug) -> String {
    let mut text = format!("{value:?}");
    while let Some(at) = text.find("record: \"").or_else(|| text.find("record: Some(\"")) {
        let quote = at + text[at..].find('"').unwrap();
        let end = text[quote + 1..].find('"').unwrap() + quote + 2;
        text.replace_range(at..end, "record");
    }
    text
}
