//! Time and turns: tasks on one thread, events in the order of a virtual clock, nothing that is not drawn from the seed.
//!
//! A task runs until it waits; what it waits for is an event. An event that nobody waits for any more still happens: a
//! request that its sender gave up on reaches its destination all the same.

use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    future::Future,
    pin::Pin,
    rc::{Rc, Weak},
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use futures_util::future::LocalBoxFuture;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

/// What a run is reckoned from: as good a day as any.
const START_MS: u64 = 1_800_000_000_000;

pub(crate) type TaskId = u64;
type Action = Box<dyn FnOnce()>;

struct Event {
    at_ms: u64,
    /// Drawn, so that events of the same moment happen in any order.
    tie: u32,
    number: u64,
    what: What,
}

enum What {
    Do(Action),
    /// Nobody needs it if nobody holds it any more, and time does not move for it.
    Ring(Weak<RefCell<Slot<()>>>),
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
        (self.at_ms, self.tie, self.number).cmp(&(other.at_ms, other.tie, other.number))
    }
}

struct Task {
    isolate: usize,
    /// Whatever rings, it does not get the processor before.
    stalled_until_ms: u64,
    future: LocalBoxFuture<'static, ()>,
}

/// Says that a task can go on. Wakers must be shareable between threads, though nobody shares these.
struct Bell {
    task: TaskId,
    rung: Arc<Mutex<Vec<TaskId>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let mut rung = self.rung.lock().unwrap();
        if !rung.contains(&self.task) {
            rung.push(self.task);
        }
    }
}

/// What may happen to a task when its turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Runs,
    /// It is gone, in the middle of whatever it did.
    Crashes,
    /// The isolate did not get the processor for so long.
    Stalls(Duration),
}

pub(crate) struct Scheduler {
    now_ms: Cell<u64>,
    random: RefCell<SmallRng>,
    events: RefCell<BinaryHeap<Reverse<Event>>>,
    tasks: RefCell<BTreeMap<TaskId, Task>>,
    rung: Arc<Mutex<Vec<TaskId>>>,
    current: Cell<Option<TaskId>>,
    numbers: Cell<u64>,
}

impl Scheduler {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now_ms: Cell::new(START_MS),
            random: RefCell::new(SmallRng::seed_from_u64(seed)),
            events: RefCell::default(),
            tasks: RefCell::default(),
            rung: Arc::default(),
            current: Cell::new(None),
            numbers: Cell::new(0),
        }
    }

    /// The time that nobody's clock is ahead of or behind.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// Draws from a range.
    pub(crate) fn draw(&self, range: std::ops::Range<u64>) -> u64 {
        if range.end <= range.start + 1 { range.start } else { self.random.borrow_mut().gen_range(range) }
    }

    /// Whether something happens that does so this often in a thousand.
    pub(crate) fn chance(&self, per_mille: u64) -> bool {
        per_mille > 0 && self.draw(0..1000) < per_mille
    }

    pub(crate) fn fill(&self, buffer: &mut [u8]) {
        use rand::RngCore as _;
        self.random.borrow_mut().fill_bytes(buffer);
    }

    fn number(&self) -> u64 {
        self.numbers.set(self.numbers.get() + 1);
        self.numbers.get()
    }

    fn push(&self, in_ms: u64, what: What) {
        let tie = self.random.borrow_mut().r#gen();
        let event = Event { at_ms: self.now_ms() + in_ms, tie, number: self.number(), what };
        self.events.borrow_mut().push(Reverse(event));
    }

    /// Does something later.
    pub(crate) fn later(&self, in_ms: u64, action: impl FnOnce() + 'static) {
        self.push(in_ms, What::Do(Box::new(action)));
    }

    pub(crate) fn sleep(&self, wait: Duration) -> LocalBoxFuture<'static, ()> {
        let (promise, promised) = promise();
        self.push(u64::try_from(wait.as_millis()).unwrap(), What::Ring(Rc::downgrade(&promise.0)));
        // The sleeper alone keeps it: who drops the future forgets the alarm.
        Box::pin(promised)
    }

    pub(crate) fn spawn(&self, isolate: usize, future: impl Future<Output = ()> + 'static) -> TaskId {
        let id = self.number();
        self.tasks.borrow_mut().insert(id, Task { isolate, stalled_until_ms: 0, future: Box::pin(future) });
        self.ring(id);
        id
    }

    fn ring(&self, task: TaskId) {
        Arc::new(Bell { task, rung: Arc::clone(&self.rung) }).wake();
    }

    /// The task whose turn it is.
    pub(crate) fn current(&self) -> Option<TaskId> {
        self.current.get()
    }

    /// How many tasks are not done.
    pub(crate) fn unfinished(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// All of an isolate's tasks are gone. Returns which there were.
    pub(crate) fn kill(&self, isolate: usize) -> Vec<TaskId> {
        let all = self.tasks.borrow();
        let ids: Vec<TaskId> = all.iter().filter(|(_, task)| task.isolate == isolate).map(|(id, _)| *id).collect();
        drop(all);
        for id in &ids {
            // Dropped outside the borrow: what it holds may look here.
            let task = self.tasks.borrow_mut().remove(id);
            drop(task);
        }
        ids
    }

    /// None of an isolate's tasks gets the processor for so long.
    pub(crate) fn stall(self: &Rc<Self>, isolate: usize, ms: u64) {
        let mut all = self.tasks.borrow_mut();
        for (id, task) in all.iter_mut().filter(|(_, task)| task.isolate == isolate) {
            task.stalled_until_ms = self.now_ms() + ms;
            let (scheduler, id) = (Rc::clone(self), *id);
            self.later(ms, move || scheduler.ring(id));
        }
    }

    /// Runs until nothing is left to happen, or until `until_ms`. `turn` decides what a task meets when its turn comes.
    pub(crate) fn run(self: &Rc<Self>, until_ms: u64, turn: &dyn Fn(TaskId) -> Turn) {
        loop {
            loop {
                let ready = self.rung.lock().unwrap().len() as u64;
                if ready == 0 {
                    break;
                }
                let index = usize::try_from(self.draw(0..ready)).unwrap();
                let id = self.rung.lock().unwrap().swap_remove(index);
                self.step(id, turn);
            }
            let is_due = self.events.borrow().peek().is_some_and(|Reverse(event)| event.at_ms <= until_ms);
            if !is_due {
                break;
            }
            let Some(Reverse(event)) = self.events.borrow_mut().pop() else { break };
            match event.what {
                What::Do(action) => {
                    self.now_ms.set(event.at_ms);
                    action();
                }
                What::Ring(alarm) => {
                    if let Some(slot) = alarm.upgrade() {
                        self.now_ms.set(event.at_ms);
                        Promise(slot).keep(());
                    }
                }
            }
        }
        if until_ms != u64::MAX {
            self.now_ms.set(self.now_ms().max(until_ms));
        }
    }

    fn step(self: &Rc<Self>, id: TaskId, turn: &dyn Fn(TaskId) -> Turn) {
        let is_ready = |task: &Task| task.stalled_until_ms <= self.now_ms();
        if !self.tasks.borrow().get(&id).is_some_and(is_ready) {
            return;
        }
        match turn(id) {
            Turn::Stalls(wait) => {
                let until_ms = self.now_ms() + u64::try_from(wait.as_millis()).unwrap();
                if let Some(task) = self.tasks.borrow_mut().get_mut(&id) {
                    task.stalled_until_ms = until_ms;
                }
                let scheduler = Rc::clone(self);
                self.later(u64::try_from(wait.as_millis()).unwrap(), move || scheduler.ring(id));
            }
            Turn::Crashes => {
                let task = self.tasks.borrow_mut().remove(&id);
                drop(task);
            }
            Turn::Runs => {
                let Some(mut task) = self.tasks.borrow_mut().remove(&id) else { return };
                let waker = Waker::from(Arc::new(Bell { task: id, rung: Arc::clone(&self.rung) }));
                self.current.set(Some(id));
                let poll = task.future.as_mut().poll(&mut Context::from_waker(&waker));
                self.current.set(None);
                if poll.is_pending() {
                    self.tasks.borrow_mut().insert(id, task);
                }
            }
        }
    }

    /// Drops all that is left, which holds the world that holds this.
    pub(crate) fn clear(&self) {
        let (tasks, events) = (self.tasks.take(), self.events.take());
        drop((tasks, events));
    }
}

struct Slot<T> {
    value: Option<T>,
    waker: Option<Waker>,
    awaited: bool,
}

/// A value that will be there later, seen from the side that brings it.
pub(crate) struct Promise<T>(Rc<RefCell<Slot<T>>>);

/// The same from the side that waits.
pub(crate) struct Promised<T>(Rc<RefCell<Slot<T>>>);

pub(crate) fn promise<T>() -> (Promise<T>, Promised<T>) {
    let slot = Rc::new(RefCell::new(Slot { value: None, waker: None, awaited: true }));
    (Promise(Rc::clone(&slot)), Promised(slot))
}

impl<T> Promise<T> {
    /// Brings it. Nothing happens if it was issued_tokens before or nobody waits.
    pub(crate) fn keep(&self, value: T) {
        let mut slot = self.0.borrow_mut();
        if slot.value.is_none() && slot.awaited {
            slot.value = Some(value);
            if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        }
    }

    /// Whether it was issued_tokens, or nobody waits for it any more.
    pub(crate) fn is_settled(&self) -> bool {
        let slot = self.0.borrow();
        slot.value.is_some() || !slot.awaited
    }
}

impl<T> Clone for Promise<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Future for Promised<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut slot = self.0.borrow_mut();
        match slot.value.take() {
            Some(value) => {
                slot.awaited = false;
                Poll::Ready(value)
            }
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Promised<T> {
    fn drop(&mut self) {
        self.0.borrow_mut().awaited = false;
    }
}
