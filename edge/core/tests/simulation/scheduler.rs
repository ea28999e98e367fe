//! Tasks on one thread and events in the order of a virtual clock. Every choice is drawn from the seed.
//!
//! A task runs until it waits for an event. An event happens even if no task waits for it any more: a request whose
//! sender gave up still reaches its destination.

use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    future::Future,
    rc::Rc,
    sync::{Arc, Mutex},
    task::{Context, Wake, Waker},
    time::Duration,
};

use futures_util::future::LocalBoxFuture;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use crate::oneshot::{self, WeakSender};

/// The time at which every run starts. The value is arbitrary.
const START_MS: u64 = 1_800_000_000_000;

pub(crate) type TaskId = u64;
type Action = Box<dyn FnOnce()>;

struct Event {
    at_ms: u64,
    /// Drawn, so that events of the same millisecond happen in any order.
    tie_breaker: u32,
    number: u64,
    kind: EventKind,
}

enum EventKind {
    Action(Action),
    /// The end of a sleep. If the sleeper was dropped, nothing happens and the clock does not advance.
    Timer(WeakSender<()>),
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Event {}
impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_ms, self.tie_breaker, self.number).cmp(&(other.at_ms, other.tie_breaker, other.number))
    }
}

struct Task {
    isolate: usize,
    /// The task does not run before, even if it is woken.
    stalled_until_ms: u64,
    future: LocalBoxFuture<'static, ()>,
}

/// Marks a task as ready. `Wake` requires `Send` and `Sync`, though all wakers stay on one thread.
struct TaskWaker {
    task: TaskId,
    ready: Arc<Mutex<Vec<TaskId>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut ready = self.ready.lock().unwrap();
        if !ready.contains(&self.task) {
            ready.push(self.task);
        }
    }
}

/// The fault that a task meets when it is about to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepFault {
    None,
    /// The task is dropped in the middle of its work.
    Crash,
    /// The isolate gets no processor for this long.
    Stall(Duration),
}

pub(crate) struct Scheduler {
    now_ms: Cell<u64>,
    random: RefCell<SmallRng>,
    events: RefCell<BinaryHeap<Reverse<Event>>>,
    tasks: RefCell<BTreeMap<TaskId, Task>>,
    ready: Arc<Mutex<Vec<TaskId>>>,
    current: Cell<Option<TaskId>>,
    last_number: Cell<u64>,
}

impl Scheduler {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now_ms: Cell::new(START_MS),
            random: RefCell::new(SmallRng::seed_from_u64(seed)),
            events: RefCell::default(),
            tasks: RefCell::default(),
            ready: Arc::default(),
            current: Cell::new(None),
            last_number: Cell::new(0),
        }
    }

    /// The right time. Isolates see it with their skew.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// Draws from a range.
    pub(crate) fn draw(&self, range: std::ops::Range<u64>) -> u64 {
        if range.end <= range.start + 1 { range.start } else { self.random.borrow_mut().gen_range(range) }
    }

    /// Draws whether an event of this probability, in a thousand, happens.
    pub(crate) fn chance(&self, per_mille: u64) -> bool {
        per_mille > 0 && self.draw(0..1000) < per_mille
    }

    pub(crate) fn fill(&self, buffer: &mut [u8]) {
        use rand::RngCore as _;
        self.random.borrow_mut().fill_bytes(buffer);
    }

    fn next_number(&self) -> u64 {
        self.last_number.set(self.last_number.get() + 1);
        self.last_number.get()
    }

    fn push(&self, in_ms: u64, kind: EventKind) {
        let tie_breaker = self.random.borrow_mut().r#gen();
        let event = Event { at_ms: self.now_ms() + in_ms, tie_breaker, number: self.next_number(), kind };
        self.events.borrow_mut().push(Reverse(event));
    }

    /// Runs an action later.
    pub(crate) fn schedule(&self, in_ms: u64, action: impl FnOnce() + 'static) {
        self.push(in_ms, EventKind::Action(Box::new(action)));
    }

    pub(crate) fn sleep(&self, wait: Duration) -> LocalBoxFuture<'static, ()> {
        let (sender, receiver) = oneshot::channel();
        // Only the sleeper keeps the channel alive, so that dropping it cancels the timer.
        self.push(u64::try_from(wait.as_millis()).unwrap(), EventKind::Timer(sender.downgrade()));
        Box::pin(receiver)
    }

    pub(crate) fn spawn(&self, isolate: usize, future: impl Future<Output = ()> + 'static) -> TaskId {
        let id = self.next_number();
        self.tasks.borrow_mut().insert(id, Task { isolate, stalled_until_ms: 0, future: Box::pin(future) });
        self.wake(id);
        id
    }

    fn wake(&self, task: TaskId) {
        Arc::new(TaskWaker { task, ready: Arc::clone(&self.ready) }).wake();
    }

    /// The task that is running.
    pub(crate) fn current(&self) -> Option<TaskId> {
        self.current.get()
    }

    /// The number of tasks that have not completed.
    pub(crate) fn unfinished(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// Drops all tasks of an isolate and returns their ids.
    pub(crate) fn kill(&self, isolate: usize) -> Vec<TaskId> {
        let all = self.tasks.borrow();
        let ids: Vec<TaskId> = all.iter().filter(|(_, task)| task.isolate == isolate).map(|(id, _)| *id).collect();
        drop(all);
        for id in &ids {
            // Dropped outside the borrow, because a task's destructors may use the scheduler.
            let task = self.tasks.borrow_mut().remove(id);
            drop(task);
        }
        ids
    }

    /// Stalls all tasks of an isolate for `ms`.
    pub(crate) fn stall(self: &Rc<Self>, isolate: usize, ms: u64) {
        let mut all = self.tasks.borrow_mut();
        for (id, task) in all.iter_mut().filter(|(_, task)| task.isolate == isolate) {
            task.stalled_until_ms = self.now_ms() + ms;
            let (scheduler, id) = (Rc::clone(self), *id);
            self.schedule(ms, move || scheduler.wake(id));
        }
    }

    /// Runs tasks and events until none is due before `until_ms`. `step_fault` decides each time a task is about to
    /// run.
    pub(crate) fn run(self: &Rc<Self>, until_ms: u64, step_fault: &dyn Fn(TaskId) -> StepFault) {
        loop {
            loop {
                let ready = self.ready.lock().unwrap().len() as u64;
                if ready == 0 {
                    break;
                }
                let index = usize::try_from(self.draw(0..ready)).unwrap();
                let id = self.ready.lock().unwrap().swap_remove(index);
                self.step(id, step_fault);
            }
            let is_due = self.events.borrow().peek().is_some_and(|Reverse(event)| event.at_ms <= until_ms);
            if !is_due {
                break;
            }
            let Some(Reverse(event)) = self.events.borrow_mut().pop() else { break };
            match event.kind {
                EventKind::Action(action) => {
                    self.now_ms.set(event.at_ms);
                    action();
                }
                EventKind::Timer(sender) => {
                    if let Some(sender) = sender.upgrade() {
                        self.now_ms.set(event.at_ms);
                        sender.send(());
                    }
                }
            }
        }
        if until_ms != u64::MAX {
            self.now_ms.set(self.now_ms().max(until_ms));
        }
    }

    fn step(self: &Rc<Self>, id: TaskId, step_fault: &dyn Fn(TaskId) -> StepFault) {
        let is_runnable = |task: &Task| task.stalled_until_ms <= self.now_ms();
        if !self.tasks.borrow().get(&id).is_some_and(is_runnable) {
            return;
        }
        match step_fault(id) {
            StepFault::Stall(wait) => {
                let until_ms = self.now_ms() + u64::try_from(wait.as_millis()).unwrap();
                if let Some(task) = self.tasks.borrow_mut().get_mut(&id) {
                    task.stalled_until_ms = until_ms;
                }
                let scheduler = Rc::clone(self);
                self.schedule(u64::try_from(wait.as_millis()).unwrap(), move || scheduler.wake(id));
            }
            StepFault::Crash => {
                let task = self.tasks.borrow_mut().remove(&id);
                drop(task);
            }
            StepFault::None => {
                let Some(mut task) = self.tasks.borrow_mut().remove(&id) else { return };
                let waker = Waker::from(Arc::new(TaskWaker { task: id, ready: Arc::clone(&self.ready) }));
                self.current.set(Some(id));
                let poll = task.future.as_mut().poll(&mut Context::from_waker(&waker));
                self.current.set(None);
                if poll.is_pending() {
                    self.tasks.borrow_mut().insert(id, task);
                }
            }
        }
    }

    /// Drops all tasks and events. They hold the world, which holds the scheduler.
    pub(crate) fn clear(&self) {
        let (tasks, events) = (self.tasks.take(), self.events.take());
        drop((tasks, events));
    }
}
