//! A platform in memory: time that moves when told, seeded randomness, stores in memory, upstreams as a function.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap, VecDeque},
    future::{pending, poll_fn},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use causeway_protocol::{
    deliver::{Checkpoint, Record},
    hub::EndReason,
    session::SessionHandle,
    subject::Subject,
};
use futures_util::future::LocalBoxFuture;
use http::{HeaderMap, Method, StatusCode};

use super::random::SeededRandom;
use crate::{
    http::{
        body::{BodyError, ByteLimit, ReadBody},
        web::{Body, Incoming, Outgoing},
    },
    runtime::{
        clock::{Clock, millis},
        dependency::Dependency,
        machine::{self, Machine},
        platform::{
            CheckpointStore, ClientDisconnect, HttpClient, KeyValueStore, Machines, OpenStream, Opened, Rate,
            RateLimiter, StreamHub,
        },
        random::Random,
        telemetry::{Line, Log},
        unavailable::Unavailable,
    },
    session::state::SessionState,
};

/// A body in memory.
#[derive(Debug, Default)]
pub struct Text(pub Vec<u8>, Option<Arrival>);

/// When a body is whole, and by which clock.
#[derive(Debug)]
struct Arrival {
    now_ms: Rc<Cell<u64>>,
    at_ms: u64,
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes, None)
    }
}

impl Text {
    /// The same, whole in so many milliseconds only. Only [`run_all`] waits for it.
    pub fn after(self, platform: &InMemoryPlatform, wait_ms: u64) -> Self {
        Self(
            self.0,
            Some(Arrival { now_ms: Rc::clone(&platform.now_ms), at_ms: platform.now_ms.get().saturating_add(wait_ms) }),
        )
    }
}

impl ReadBody for Text {
    async fn read(self, limit_bytes: usize) -> Result<Vec<u8>, BodyError> {
        if let Some(Arrival { now_ms, at_ms }) = self.1 {
            poll_fn(|_| if now_ms.get() < at_ms { Poll::Pending } else { Poll::Ready(()) }).await;
        }
        if self.0.len() > limit_bytes { Err(BodyError::TooLarge) } else { Ok(self.0) }
    }

    fn limited(self, limit: ByteLimit) -> Result<Self, Self> {
        // Chunks of a byte: what was allowed has been sent when the rest is refused.
        Ok(Self(self.0.into_iter().take_while(|_| limit.take(1)).collect(), self.1))
    }
}

/// An upstream's answer to a request: status, headers, body.
pub type Answer = (u16, Vec<(&'static str, String)>, String);
type Upstream = Box<dyn Fn(&Sent) -> Option<Answer>>;

/// A request that was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    pub method: Method,
    pub url: String,
    pub headers: HeaderMap,
    pub body: String,
    /// How long its sender waits for the answer's head.
    pub timeout: Duration,
}

pub struct InMemoryPlatform {
    pub now_ms: Rc<Cell<u64>>,
    /// Addresses that end so begin an answer and never finish it.
    pub dripping: Cell<Option<&'static str>>,
    /// By how much the isolate's clock is ahead of the machines'.
    pub skew_ms: Cell<i64>,
    /// How long an answer from elsewhere takes. Only [`run_all`] waits for it.
    pub network_ms: Cell<u64>,
    pub random: SeededRandom,
    pub random_down: Cell<bool>,
    pub kv: RefCell<HashMap<String, Vec<u8>>>,
    pub kv_down: Cell<bool>,
    /// It never answers.
    pub kv_silent: Cell<bool>,
    /// What the store's readers see instead, if it is stale.
    pub kv_stale: RefCell<Option<HashMap<String, Vec<u8>>>>,
    /// Every session is ended while the next request is under way.
    pub revoke_at_send: Cell<bool>,
    /// The isolate stands still for a minute when the next answer from a URL that ends so is there.
    pub stalls_at: Cell<Option<&'static str>>,
    /// Clients of the next requests disconnect before the response.
    pub client_left: Cell<bool>,
    pub coordinator_down: Cell<bool>,
    /// How many commands it was given.
    pub commands: Cell<usize>,
    /// Commands that contain this text run, but their replies are lost.
    pub replies_lost: Cell<Option<&'static str>>,
    /// It never answers.
    pub coordinator_silent: Cell<bool>,
    pub hub_knows_better: Cell<bool>,
    pub hub_full: Cell<bool>,
    /// States of machines as JSON, by `kind:name`.
    pub coordinators: RefCell<HashMap<String, String>>,
    /// When each of them is forgotten.
    pub forgets: RefCell<HashMap<String, u64>>,
    pub upstream: Upstream,
    pub sent: RefCell<Vec<Sent>>,
    pub appended: RefCell<Vec<(Subject, Record)>>,
    pub failing_hubs: RefCell<Vec<Subject>>,
    pub failing_ends: Cell<bool>,
    /// A hub that is told to end streams never answers.
    pub silent_ends: Cell<bool>,
    pub ended: RefCell<Vec<(Subject, EndReason)>>,
    pub opened: RefCell<Vec<OpenStream>>,
    pub checkpoints: RefCell<BTreeMap<(String, i32), Checkpoint>>,
    pub counts: RefCell<HashMap<String, u32>>,
    pub log: RefCell<VecDeque<String>>,
}

impl InMemoryPlatform {
    pub fn new(upstream: impl Fn(&Sent) -> Option<Answer> + 'static) -> Self {
        Self {
            now_ms: Rc::new(Cell::new(1_800_000_000_000)),
            dripping: Cell::new(None),
            skew_ms: Cell::new(0),
            network_ms: Cell::new(0),
            random: SeededRandom::new(42),
            random_down: Cell::new(false),
            kv: RefCell::default(),
            kv_down: Cell::new(false),
            kv_silent: Cell::new(false),
            kv_stale: RefCell::default(),
            revoke_at_send: Cell::new(false),
            stalls_at: Cell::new(None),
            client_left: Cell::new(false),
            coordinator_down: Cell::new(false),
            commands: Cell::new(0),
            replies_lost: Cell::new(None),
            coordinator_silent: Cell::new(false),
            hub_knows_better: Cell::new(false),
            hub_full: Cell::new(false),
            coordinators: RefCell::default(),
            forgets: RefCell::default(),
            upstream: Box::new(upstream),
            sent: RefCell::default(),
            appended: RefCell::default(),
            failing_hubs: RefCell::default(),
            failing_ends: Cell::new(false),
            silent_ends: Cell::new(false),
            ended: RefCell::default(),
            opened: RefCell::default(),
            checkpoints: RefCell::default(),
            counts: RefCell::default(),
            log: RefCell::default(),
        }
    }
}

impl InMemoryPlatform {
    /// Changes what the coordinator has stored of every session.
    pub fn change_sessions(&self, mut change: impl FnMut(&mut SessionState)) {
        for (key, json) in self.coordinators.borrow_mut().iter_mut() {
            if key.starts_with("session:") {
                let mut state = serde_json::from_str(json).unwrap();
                change(&mut state);
                *json = serde_json::to_string(&state).unwrap();
            }
        }
    }
}

fn down(dependency: Dependency, is_down: bool) -> Result<(), Unavailable> {
    if is_down { Err(Unavailable::new(dependency, "simulated outage")) } else { Ok(()) }
}

impl Clock for InMemoryPlatform {
    fn now_ms(&self) -> u64 {
        self.now_ms.get().saturating_add_signed(self.skew_ms.get())
    }

    fn sleep(&self, wait: Duration) -> LocalBoxFuture<'static, ()> {
        let (now_ms, until_ms) = (Rc::clone(&self.now_ms), self.now_ms.get() + millis(wait));
        // The executor polls it again; nothing wakes it.
        Box::pin(poll_fn(move |_| if now_ms.get() < until_ms { Poll::Pending } else { Poll::Ready(()) }))
    }
}

impl ClientDisconnect for InMemoryPlatform {
    fn client_disconnected(&self) -> LocalBoxFuture<'static, ()> {
        if self.client_left.get() { Box::pin(std::future::ready(())) } else { Box::pin(pending()) }
    }
}

impl Random for InMemoryPlatform {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Unavailable> {
        down(Dependency::Randomness, self.random_down.get())?;
        self.random.fill(buffer)
    }
}

impl KeyValueStore for InMemoryPlatform {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        down(Dependency::KeyValue, self.kv_down.get())?;
        if self.kv_silent.get() {
            pending::<()>().await;
        }
        let stale = self.kv_stale.borrow();
        Ok(stale.as_ref().unwrap_or(&self.kv.borrow()).get(key).cloned())
    }

    async fn put(&self, key: &str, value: &[u8], _ttl: Duration) -> Result<(), Unavailable> {
        down(Dependency::KeyValue, self.kv_down.get())?;
        self.kv.borrow_mut().insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), Unavailable> {
        down(Dependency::KeyValue, self.kv_down.get())?;
        self.kv.borrow_mut().remove(key);
        Ok(())
    }
}

impl HttpClient for InMemoryPlatform {
    type Body = Text;

    async fn send(&self, request: Outgoing<Text>) -> Result<Incoming<Text>, Unavailable> {
        let body = match request.body {
            Body::Empty => Vec::new(),
            Body::Bytes(bytes) => bytes.to_vec(),
            Body::Native(text) => text.0,
        };
        let sent = Sent {
            method: request.method,
            url: request.url.to_string(),
            headers: request.headers,
            body: String::from_utf8(body).unwrap(),
            timeout: request.timeout,
        };
        self.sent.borrow_mut().push(sent.clone());
        let network = Duration::from_millis(self.network_ms.get());
        self.sleep(network.min(sent.timeout)).await;
        if network > sent.timeout {
            return Err(Unavailable::new(Dependency::Upstream, "no answer in time"));
        }
        if self.stalls_at.get().is_some_and(|end| sent.url.ends_with(end)) {
            self.stalls_at.set(None);
            self.now_ms.set(self.now_ms.get() + 60_000);
        }
        if self.revoke_at_send.take() {
            self.change_sessions(|state| (state.revoked, state.record) = (true, None));
        }
        let (status, headers, body) =
            (self.upstream)(&sent).ok_or_else(|| Unavailable::new(Dependency::Upstream, "simulated outage"))?;
        let headers =
            headers.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let body = Text::from(body.into_bytes());
        let drips = self.dripping.get().is_some_and(|end| sent.url.ends_with(end));
        let body = if drips { body.after(self, millis(Duration::MAX)) } else { body };
        Ok(Incoming { status: StatusCode::from_u16(status).unwrap(), headers, body })
    }
}

impl Machines for InMemoryPlatform {
    async fn run<M: Machine>(&self, name: &str, command: M::Command) -> Result<M::Reply, Unavailable> {
        self.commands.set(self.commands.get() + 1);
        down(Dependency::Coordinator, self.coordinator_down.get())?;
        if self.coordinator_silent.get() {
            pending::<()>().await;
        }
        let is_lost =
            self.replies_lost.get().is_some_and(|text| serde_json::to_string(&command).unwrap().contains(text));
        let mut states = self.coordinators.borrow_mut();
        let key = format!("{}:{name}", M::KIND);
        if self.forgets.borrow().get(&key).is_some_and(|at_ms| *at_ms <= self.now_ms.get()) {
            states.remove(&key);
        }
        let (changed, reply) = machine::step::<M>(states.get(&key).map(String::as_str), self.now_ms.get(), command)?;
        if let Some(store) = changed {
            self.forgets.borrow_mut().insert(key.clone(), store.forget_at_ms);
            states.insert(key, store.state);
        }
        down(Dependency::Coordinator, is_lost)?;
        Ok(reply)
    }
}

impl StreamHub for InMemoryPlatform {
    const AT_EDGE: bool = true;

    async fn append(&self, subject: &Subject, records: &[Record]) -> Result<(), Unavailable> {
        down(Dependency::Hub, self.failing_hubs.borrow().contains(subject))?;
        self.appended.borrow_mut().extend(records.iter().map(|record| (subject.clone(), record.clone())));
        Ok(())
    }

    async fn open(&self, request: OpenStream) -> Result<Opened<Text>, Unavailable> {
        self.opened.borrow_mut().push(request);
        if self.hub_knows_better.get() {
            return Ok(Opened::SessionEnded);
        }
        if self.hub_full.get() {
            return Ok(Opened::TooMany);
        }
        Ok(Opened::Stream(Body::Empty))
    }

    async fn end_session(
        &self,
        subject: &Subject,
        _session: &SessionHandle,
        reason: EndReason,
    ) -> Result<(), Unavailable> {
        down(Dependency::Hub, self.failing_ends.get())?;
        if self.silent_ends.get() {
            pending::<()>().await;
        }
        self.ended.borrow_mut().push((subject.clone(), reason));
        Ok(())
    }
}

impl CheckpointStore for InMemoryPlatform {
    async fn checkpoint(
        &self,
        topic: &str,
        partition: i32,
        advance_to: Option<Checkpoint>,
    ) -> Result<Option<Checkpoint>, Unavailable> {
        let mut checkpoints = self.checkpoints.borrow_mut();
        let key = (topic.to_owned(), partition);
        let next = Checkpoint::advance(checkpoints.get(&key).copied(), advance_to);
        if let Some(next) = next {
            checkpoints.insert(key, next);
        }
        Ok(next)
    }
}

impl RateLimiter for InMemoryPlatform {
    async fn allow(&self, rate: Rate, key: &str) -> Result<bool, Unavailable> {
        let mut counts = self.counts.borrow_mut();
        let count = counts.entry(format!("{}:{key}", rate.name)).or_insert(0);
        *count += 1;
        Ok(*count <= rate.limit)
    }
}

impl Log for InMemoryPlatform {
    fn log(&self, line: &Line) {
        self.log.borrow_mut().push_back(line.to_string());
    }
}
