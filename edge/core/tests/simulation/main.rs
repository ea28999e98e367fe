//! A whole deployment in one thread, and everything that can go wrong with it, drawn from a seed.
//!
//! Several isolates, each an [`Edge`](causeway_core::edge::Edge) with its own cache and its own wrong clock, share a coordinator
//! that is right but does not always answer, a key-value store that is stale and reorders, an authorization server whose
//! refresh tokens work once, and an upstream API that believes a token or does not. Time moves only when nothing else
//! can. Each call of the platform is a place where another task may go on, where the caller may vanish, where the answer
//! may be lost, late or wrong.
//!
//! - [`scheduler`]: tasks, events, virtual time
//! - [`faults`]: what goes wrong, and how often
//! - [`isolate`]: the platform that an edge sees
//! - [`coordinator`], [`key_value`], [`authority`], [`upstream`]: what lies outside
//! - [`browser`]: users who sign in, call, sign out; [`account`]: who connect and disconnect accounts
//! - [`invariant`]: what must hold, whatever happens; [`session_model`]: what it knows of a session by itself;
//!   [`sent_token`]: of a refresh token that was sent
//! - [`workload`]: one seed: a life of a deployment, in fair and foul faults
//! - [`random_run`]: many seeds; [`scenario`]: single stories, by the number of their case

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code: a failed expectation is a failed test"
)]

pub(crate) mod account;
pub(crate) mod authority;
pub(crate) mod browser;
pub(crate) mod coordinator;
pub(crate) mod faults;
pub(crate) mod invariant;
pub(crate) mod isolate;
pub(crate) mod key_value;
mod random_run;
mod scenario;
pub(crate) mod scheduler;
mod sent_token;
mod session_model;
pub(crate) mod upstream;
pub(crate) mod workload;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use self::{
    authority::Authority,
    coordinator::Coordinator,
    faults::Faults,
    invariant::InvariantChecker,
    isolate::{Isolate, Outside},
    key_value::KeyValue,
    scheduler::{Scheduler, TaskId, Turn},
};

/// How often what happened.
pub(crate) type Tally = BTreeMap<&'static str, u64>;

/// What all isolates share.
pub(crate) struct World {
    pub(crate) scheduler: Rc<Scheduler>,
    pub(crate) faults: Cell<Faults>,
    pub(crate) coordinator: Coordinator,
    pub(crate) key_value: KeyValue,
    pub(crate) authority: Authority,
    pub(crate) checker: InvariantChecker,
    pub(crate) isolates: RefCell<Vec<Rc<Isolate>>>,
    tally: RefCell<Tally>,
    trace: Option<RefCell<Vec<String>>>,
}

impl World {
    /// A world in fair faults, without isolates. `traced` keeps a record of every step.
    pub(crate) fn new(seed: u64, traced: bool) -> Rc<Self> {
        Rc::new(Self {
            scheduler: Rc::new(Scheduler::new(seed)),
            faults: Cell::default(),
            coordinator: Coordinator::default(),
            key_value: KeyValue::default(),
            authority: Authority::default(),
            checker: InvariantChecker::default(),
            isolates: RefCell::default(),
            tally: RefCell::default(),
            trace: traced.then(RefCell::default),
        })
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.scheduler.now_ms()
    }

    pub(crate) fn count(&self, what: &'static str) {
        *self.tally.borrow_mut().entry(what).or_default() += 1;
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally.borrow().clone()
    }

    pub(crate) fn counted(&self, what: &str) -> u64 {
        self.tally.borrow().get(what).copied().unwrap_or_default()
    }

    /// Notes a step, if somebody wants to read it.
    pub(crate) fn trace(&self, step: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let at_ms = self.now_ms() % 1_000_000_000;
            let task = self.scheduler.current().map_or_else(|| "-".to_owned(), |task| task.to_string());
            trace.borrow_mut().push(format!("{at_ms:>9} {task:>6}  {}", step()));
        }
    }

    pub(crate) fn traced(&self) -> Vec<String> {
        self.trace.as_ref().map(|trace| trace.borrow().clone()).unwrap_or_default()
    }

    /// Adds an isolate whose clock is wrong by so much.
    pub(crate) fn add_isolate(self: &Rc<Self>, skew_ms: i64, settings: BTreeMap<String, String>) {
        let number = self.isolates.borrow().len();
        let outside = Outside { world: Rc::clone(self), number, skew_ms };
        self.isolates.borrow_mut().push(Rc::new(Isolate::new(outside, settings)));
    }

    pub(crate) fn isolate(&self, number: usize) -> Rc<Isolate> {
        Rc::clone(&self.isolates.borrow()[number])
    }

    /// Any one.
    pub(crate) fn draw_isolate(&self) -> usize {
        let count = self.isolates.borrow().len();
        usize::try_from(self.scheduler.draw(0..count as u64)).unwrap()
    }

    /// Lets so much time pass and everything happen that happens in it.
    pub(crate) fn pass(self: &Rc<Self>, ms: u64) {
        let until_ms = self.now_ms().saturating_add(ms);
        let world = Rc::clone(self);
        self.scheduler.run(until_ms, &move |task| world.turn(task));
    }

    /// Lets everything happen that is under way. Returns how long that took, in milliseconds.
    pub(crate) fn settle(self: &Rc<Self>) -> u64 {
        let (world, began_ms) = (Rc::clone(self), self.now_ms());
        self.scheduler.run(u64::MAX, &move |task| world.turn(task));
        if self.scheduler.unfinished() > 0 {
            self.checker.report_violation(self, || "a request never ends".to_owned());
        }
        self.now_ms() - began_ms
    }

    fn turn(&self, task: TaskId) -> Turn {
        let turn = self.faults.get().turn(&self.scheduler, self.checker.has_lease(task));
        match turn {
            Turn::Runs => {}
            Turn::Crashes => {
                self.count("crashes of a request");
                self.trace(|| format!("task {task} crashes"));
                self.checker.trouble(Some(task), u64::MAX);
            }
            Turn::Stalls(wait) => {
                self.count("stalls");
                self.trace(|| format!("task {task} stalls for {wait:?}"));
                self.checker.trouble(Some(task), self.now_ms() + u64::try_from(wait.as_millis()).unwrap());
                self.checker.stalled.borrow_mut().insert(task);
            }
        }
        turn
    }

    /// An isolate is gone with all it was doing; the next request finds a new one.
    pub(crate) fn kill_isolate(&self, number: usize) {
        self.count("crashes of an isolate");
        self.trace(|| format!("isolate {number} crashes"));
        for task in self.scheduler.kill(number) {
            self.checker.trouble(Some(task), u64::MAX);
        }
        self.isolate(number).restart();
    }

    /// Ends the world: its parts hold each other.
    pub(crate) fn end(&self) {
        self.scheduler.clear();
        self.isolates.borrow_mut().clear();
    }
}
