//! A deployment: its isolates, the services they share, and the clock and random numbers that drive them.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use crate::{
    authorization_server::AuthorizationServers,
    coordinator::Coordinator,
    faults::Faults,
    invariant::InvariantChecker,
    isolate::{Isolate, SimulatedPlatform},
    key_value::KeyValue,
    scheduler::{Scheduler, StepFault, TaskId},
};

/// How often each kind of event happened.
pub(crate) type Tally = BTreeMap<&'static str, u64>;

/// What all isolates share.
pub(crate) struct World {
    pub(crate) scheduler: Rc<Scheduler>,
    pub(crate) faults: Cell<Faults>,
    pub(crate) coordinator: Coordinator,
    pub(crate) key_value: KeyValue,
    pub(crate) authorization_servers: AuthorizationServers,
    pub(crate) checker: InvariantChecker,
    pub(crate) isolates: RefCell<Vec<Rc<Isolate>>>,
    tally: RefCell<Tally>,
    trace: Option<RefCell<Vec<String>>>,
}

impl World {
    /// A world without faults and without isolates. `is_traced` keeps a record of every step.
    pub(crate) fn new(seed: u64, is_traced: bool) -> Rc<Self> {
        Rc::new(Self {
            scheduler: Rc::new(Scheduler::new(seed)),
            faults: Cell::default(),
            coordinator: Coordinator::default(),
            key_value: KeyValue::default(),
            authorization_servers: AuthorizationServers::default(),
            checker: InvariantChecker::default(),
            isolates: RefCell::default(),
            tally: RefCell::default(),
            trace: is_traced.then(RefCell::default),
        })
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.scheduler.now_ms()
    }

    pub(crate) fn count(&self, event: &'static str) {
        *self.tally.borrow_mut().entry(event).or_default() += 1;
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally.borrow().clone()
    }

    pub(crate) fn count_of(&self, event: &str) -> u64 {
        self.tally.borrow().get(event).copied().unwrap_or_default()
    }

    /// Adds a step to the trace, if there is one.
    pub(crate) fn trace(&self, step: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let at_ms = self.now_ms() % 1_000_000_000;
            let task = self.scheduler.current().map_or_else(|| "-".to_owned(), |task| task.to_string());
            trace.borrow_mut().push(format!("{at_ms:>9} {task:>6}  {}", step()));
        }
    }

    pub(crate) fn traced_steps(&self) -> Vec<String> {
        self.trace.as_ref().map(|trace| trace.borrow().clone()).unwrap_or_default()
    }

    /// Adds an isolate whose clock differs from the right time by `skew_ms`.
    pub(crate) fn add_isolate(self: &Rc<Self>, skew_ms: i64, settings: BTreeMap<String, String>) {
        let number = self.isolates.borrow().len();
        let platform = SimulatedPlatform { world: Rc::clone(self), isolate: number, skew_ms };
        self.isolates.borrow_mut().push(Rc::new(Isolate::new(platform, settings)));
    }

    pub(crate) fn isolate(&self, number: usize) -> Rc<Isolate> {
        Rc::clone(&self.isolates.borrow()[number])
    }

    /// The number of an isolate, drawn at random.
    pub(crate) fn draw_isolate(&self) -> usize {
        let count = self.isolates.borrow().len();
        usize::try_from(self.scheduler.draw(0..count as u64)).unwrap()
    }

    /// Advances the clock by `ms` and runs everything that is due until then.
    pub(crate) fn advance(self: &Rc<Self>, ms: u64) {
        let until_ms = self.now_ms().saturating_add(ms);
        let world = Rc::clone(self);
        self.scheduler.run(until_ms, &move |task| world.step_fault(task));
    }

    /// Runs until no task and no event is left.
    pub(crate) fn run_until_idle(self: &Rc<Self>) {
        let world = Rc::clone(self);
        self.scheduler.run(u64::MAX, &move |task| world.step_fault(task));
        if self.scheduler.unfinished() > 0 {
            self.checker.report_violation(self, || "a request never ends".to_owned());
        }
    }

    fn step_fault(&self, task: TaskId) -> StepFault {
        let fault = self.faults.get().draw_step_fault(&self.scheduler, self.checker.has_lease(task));
        match fault {
            StepFault::None => {}
            StepFault::Crash => {
                self.count("requests crashed");
                self.trace(|| format!("task {task} crashes"));
                self.checker.note_disruption(Some(task), u64::MAX);
            }
            StepFault::Stall(wait) => {
                self.count("requests stalled");
                self.trace(|| format!("task {task} stalls for {wait:?}"));
                self.checker.note_disruption(Some(task), self.now_ms() + u64::try_from(wait.as_millis()).unwrap());
                self.checker.stalled.borrow_mut().insert(task);
            }
        }
        fault
    }

    /// Crashes an isolate with all its tasks. The next request finds a new isolate in its place.
    pub(crate) fn crash_isolate(&self, number: usize) {
        self.count("isolates crashed");
        self.trace(|| format!("isolate {number} crashes"));
        for task in self.scheduler.kill(number) {
            self.checker.note_disruption(Some(task), u64::MAX);
        }
        self.isolate(number).restart();
    }

    /// Drops what the world's parts hold of each other: they form a reference cycle, and would leak.
    pub(crate) fn tear_down(&self) {
        self.scheduler.clear();
        self.isolates.borrow_mut().clear();
    }
}
