//! A platform in memory: a clock that the test moves, seeded randomness, stores in memory, and upstreams as a function.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap, VecDeque},
    future::{pending, poll_fn},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use causeway_protocol::{channel::Channel, checkpoint::PartitionState, hub::EndReason, subject::Subject};
use futures_util::future::LocalBoxFuture;
use http::{HeaderMap, Method, StatusCode};

use super::{body::InMemoryBody, clock::InMemoryClock, hub::InMemoryHub, random::SeededRandom};
use crate::{
    http::web::{Body, Incoming, Outgoing},
    runtime::{
        clock::{Clock, millis},
        dependency::Dependency,
        machine::{self, Machine},
        platform::{ClientDisconnect, HttpClient, Insertion, KeyValueStore, Machines, OpenStream, Rate, RateLimiter},
        random::Random,
        telemetry::{Line, Log},
        unavailable::Unavailable,
    },
    session::state::SessionState,
};

/// An upstream's answer to a request: status, headers and body.
pub type Answer = (u16, Vec<(&'static str, String)>, String);
/// The function that answers in place of all upstreams.
pub(super) type Upstream = Rc<dyn Fn(&Sent) -> Option<Answer>>;

/// A request that the edge sent to an upstream.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The method.
    pub method: Method,
    /// The whole URL.
    pub url: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, which must be text.
    pub body: String,
    /// How long the edge waits for the head of the response.
    pub timeout: Duration,
}

impl Sent {
    /// The answer of the upstreams.
    pub(super) fn answered(&self, upstream: &Upstream) -> Result<Incoming<InMemoryBody>, Unavailable> {
        let (status, headers, body) =
            upstream(self).ok_or_else(|| Unavailable::new(Dependency::Upstream, "simulated outage"))?;
        let headers =
            headers.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let body = InMemoryBody::from(body.into_bytes());
        Ok(Incoming { status: StatusCode::from_u16(status).unwrap(), headers, body })
    }
}

impl From<Outgoing<InMemoryBody>> for Sent {
    fn from(request: Outgoing<InMemoryBody>) -> Self {
        let body = match request.body {
            Body::Empty => Vec::new(),
            Body::Bytes(bytes) => bytes.to_vec(),
            Body::Native(text) => text.0,
        };
        Self {
            method: request.method,
            url: request.url.to_string(),
            headers: request.headers,
            body: String::from_utf8(body).unwrap(),
            timeout: request.timeout,
        }
    }
}

/// A platform whose stores, machines and upstreams are in memory. A test sets its faults and reads what was sent and
/// stored.
pub struct InMemoryPlatform {
    /// The time of the platform's machines, in Unix milliseconds. Tests, [`super::run::run_all`] and
    /// [`Self::stalls_at`] move it.
    pub now_ms: Rc<Cell<u64>>,
    /// How far the isolate's clock is ahead of the machines' clock.
    pub skew_ms: Cell<i64>,
    /// How long an upstream takes to respond. Needs [`super::run::run_all`], which lets time pass.
    pub network_ms: Cell<u64>,

    /// The source of randomness.
    pub random: SeededRandom,
    /// Whether randomness is unavailable.
    pub random_down: Cell<bool>,

    /// The key-value store.
    pub kv: RefCell<HashMap<String, Vec<u8>>>,
    /// Whether each use of the key-value store fails.
    pub kv_down: Cell<bool>,
    /// Whether uses of the key-value store never complete.
    pub kv_hangs: Cell<bool>,
    /// What readers of the key-value store get instead of its content, if it is stale.
    pub kv_stale: RefCell<Option<HashMap<String, Vec<u8>>>>,

    /// States of the coordinator's machines as JSON, by `kind:name`.
    pub machine_states: RefCell<HashMap<String, String>>,
    /// When each machine's state is forgotten, in Unix milliseconds, by `kind:name`.
    pub forget_at_ms: RefCell<HashMap<String, u64>>,
    /// How many commands the coordinator was given.
    pub command_count: Cell<usize>,
    /// Whether each command to the coordinator fails without being run.
    pub coordinator_down: Cell<bool>,
    /// Whether commands to the coordinator never complete.
    pub coordinator_hangs: Cell<bool>,
    /// How long the coordinator's replies take, after the command was run. Needs [`super::run::run_all`].
    pub coordinator_ms: Cell<u64>,
    /// Commands whose JSON contains this text are run, but their replies are lost.
    pub loses_replies_to: Cell<Option<&'static str>>,

    /// The upstreams: the answer to a request, or `None` if none arrives.
    pub upstream: Upstream,
    /// The requests that were sent to upstreams.
    pub sent: Rc<RefCell<Vec<Sent>>>,
    /// Responses from URLs with this ending have a body that never completes.
    pub incomplete_body_from: Cell<Option<&'static str>>,
    /// The isolate stalls for a minute when the next response from a URL with this ending arrives.
    pub stalls_at: Cell<Option<&'static str>>,
    /// Whether every session is revoked while the next request is in flight.
    pub revoke_at_send: Cell<bool>,
    /// Whether the clients of the next requests disconnect before the response.
    pub client_disconnects: Cell<bool>,

    /// The users' hubs. See [`Self::hub`].
    pub hubs: RefCell<HashMap<Subject, Rc<InMemoryHub>>>,
    /// The users whose hub fails to append.
    pub append_fails_for: RefCell<Vec<Subject>>,
    /// The users whose hub never answers an append.
    pub append_hangs_for: RefCell<Vec<Subject>>,
    /// How long an append takes. Needs [`super::run::run_all`], which lets time pass.
    pub append_ms: Cell<u64>,
    /// The most appends that were under way at once.
    pub most_appends: Cell<usize>,
    /// How many appends are under way.
    pub appends: Cell<usize>,
    /// Whether hubs fail to read a page of history.
    pub history_fails: Cell<bool>,
    /// Whether hubs never answer a request for a page of history.
    pub history_hangs: Cell<bool>,
    /// The streams that were requested of hubs.
    pub opened_streams: RefCell<Vec<OpenStream>>,
    /// Whether hubs report that the session of a requested stream has ended.
    pub hub_reports_ended: Cell<bool>,
    /// The users whose hub ended a session's streams, with the reason.
    pub ended_streams: RefCell<Vec<(Subject, EndReason)>>,
    /// Whether hubs fail to end a session's streams.
    pub end_session_fails: Cell<bool>,
    /// Whether requests to hubs to end a session's streams never complete.
    pub end_session_hangs: Cell<bool>,

    /// What is stored of each partition, by channel, topic and partition.
    pub partitions: RefCell<BTreeMap<(Channel, String, i32), PartitionState>>,
    /// Whether requests to the store of checkpoints never complete.
    pub checkpoints_hang: Cell<bool>,
    /// How often each rate limit was used, by `name:key`. The counts are never reset by time.
    pub rate_counts: RefCell<HashMap<String, u32>>,
    /// The log lines, oldest first.
    pub log: RefCell<VecDeque<String>>,
}

impl InMemoryPlatform {
    /// A platform without faults and with empty stores. Its upstreams are a function from the request to the answer.
    pub fn new(upstream: impl Fn(&Sent) -> Option<Answer> + 'static) -> Self {
        Self {
            now_ms: Rc::new(Cell::new(1_800_000_000_000)),
            skew_ms: Cell::new(0),
            network_ms: Cell::new(0),
            random: SeededRandom::new(42),
            random_down: Cell::new(false),
            kv: RefCell::default(),
            kv_down: Cell::new(false),
            kv_hangs: Cell::new(false),
            kv_stale: RefCell::default(),
            machine_states: RefCell::default(),
            forget_at_ms: RefCell::default(),
            command_count: Cell::new(0),
            coordinator_down: Cell::new(false),
            coordinator_hangs: Cell::new(false),
            coordinator_ms: Cell::new(0),
            loses_replies_to: Cell::new(None),
            upstream: Rc::new(upstream),
            sent: Rc::default(),
            incomplete_body_from: Cell::new(None),
            stalls_at: Cell::new(None),
            revoke_at_send: Cell::new(false),
            client_disconnects: Cell::new(false),
            hubs: RefCell::default(),
            append_fails_for: RefCell::default(),
            append_hangs_for: RefCell::default(),
            append_ms: Cell::new(0),
            most_appends: Cell::new(0),
            appends: Cell::new(0),
            history_fails: Cell::new(false),
            history_hangs: Cell::new(false),
            opened_streams: RefCell::default(),
            hub_reports_ended: Cell::new(false),
            ended_streams: RefCell::default(),
            end_session_fails: Cell::new(false),
            end_session_hangs: Cell::new(false),
            partitions: RefCell::default(),
            checkpoints_hang: Cell::new(false),
            rate_counts: RefCell::default(),
            log: RefCell::default(),
        }
    }

    /// A user's hub.
    pub fn hub(&self, subject: &Subject) -> Rc<InMemoryHub> {
        Rc::clone(self.hubs.borrow_mut().entry(subject.clone()).or_default())
    }

    /// Never completes while a fault is set.
    async fn hang_if(&self, fault: &Cell<bool>) {
        poll_fn(|_| if fault.get() { Poll::Pending } else { Poll::Ready(()) }).await;
    }

    /// Changes the coordinator's state of every session.
    pub fn change_sessions(&self, mut change: impl FnMut(&mut SessionState)) {
        for (key, json) in self.machine_states.borrow_mut().iter_mut() {
            if key.starts_with("session:") {
                let mut state = serde_json::from_str(json).unwrap();
                change(&mut state);
                *json = serde_json::to_string(&state).unwrap();
            }
        }
    }
}

pub(super) fn down(dependency: Dependency, is_down: bool) -> Result<(), Unavailable> {
    if is_down { Err(Unavailable::new(dependency, "simulated outage")) } else { Ok(()) }
}

impl Clock for InMemoryPlatform {
    fn now_ms(&self) -> u64 {
        self.now_ms.get().saturating_add_signed(self.skew_ms.get())
    }

    fn sleep(&self, wait: Duration) -> LocalBoxFuture<'static, ()> {
        InMemoryClock(Rc::clone(&self.now_ms)).sleep(wait)
    }
}

impl ClientDisconnect for InMemoryPlatform {
    fn client_disconnected(&self) -> LocalBoxFuture<'static, ()> {
        if self.client_disconnects.get() { Box::pin(std::future::ready(())) } else { Box::pin(pending()) }
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
        self.hang_if(&self.kv_hangs).await;
        let stale = self.kv_stale.borrow();
        Ok(stale.as_ref().unwrap_or(&self.kv.borrow()).get(key).cloned())
    }

    async fn put(&self, key: &str, value: &[u8], _ttl: Duration) -> Result<(), Unavailable> {
        down(Dependency::KeyValue, self.kv_down.get())?;
        self.hang_if(&self.kv_hangs).await;
        self.kv.borrow_mut().insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), Unavailable> {
        down(Dependency::KeyValue, self.kv_down.get())?;
        self.hang_if(&self.kv_hangs).await;
        self.kv.borrow_mut().remove(key);
        Ok(())
    }
}

impl HttpClient for InMemoryPlatform {
    type Body = InMemoryBody;

    async fn send(&self, request: Outgoing<InMemoryBody>) -> Result<Incoming<InMemoryBody>, Unavailable> {
        let sent = Sent::from(request);
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
        let mut incoming = sent.answered(&self.upstream)?;
        if self.incomplete_body_from.get().is_some_and(|end| sent.url.ends_with(end)) {
            incoming.body = incoming.body.delayed(&self.now_ms, millis(Duration::MAX));
        }
        Ok(incoming)
    }

    /// Knows elements without attributes only.
    fn insert(&self, document: InMemoryBody, insertion: Insertion) -> Result<InMemoryBody, Unavailable> {
        let nothing = vec![None; insertion.attributes.len()];
        let mut html = String::from_utf8_lossy(&document.0).into_owned();
        for element in insertion.elements {
            let begin = format!("<{element}>");
            html = html.replace(&begin, &format!("{begin}{}", (insertion.html)(element, &nothing)));
        }
        Ok(html.into_bytes().into())
    }
}

impl Machines for InMemoryPlatform {
    async fn run<M: Machine>(&self, name: &str, command: M::Command) -> Result<M::Reply, Unavailable> {
        self.command_count.set(self.command_count.get() + 1);
        down(Dependency::Coordinator, self.coordinator_down.get())?;
        if self.coordinator_hangs.get() {
            pending::<()>().await;
        }
        let is_lost =
            self.loses_replies_to.get().is_some_and(|text| serde_json::to_string(&command).unwrap().contains(text));
        let reply = self.run_command::<M>(name, command);
        self.sleep(Duration::from_millis(self.coordinator_ms.get())).await;
        down(Dependency::Coordinator, is_lost)?;
        reply
    }
}

impl InMemoryPlatform {
    fn run_command<M: Machine>(&self, name: &str, command: M::Command) -> Result<M::Reply, Unavailable> {
        let mut states = self.machine_states.borrow_mut();
        let key = format!("{}:{name}", M::KIND);
        if self.forget_at_ms.borrow().get(&key).is_some_and(|at_ms| *at_ms <= self.now_ms.get()) {
            states.remove(&key);
        }
        let (changed, reply) = machine::step::<M>(states.get(&key).map(String::as_str), self.now_ms.get(), command)?;
        if let Some(store) = changed {
            self.forget_at_ms.borrow_mut().insert(key.clone(), store.forget_at_ms);
            states.insert(key, store.state);
        }
        Ok(reply)
    }
}

impl RateLimiter for InMemoryPlatform {
    async fn allow(&self, rate: Rate, key: &str) -> Result<bool, Unavailable> {
        let mut counts = self.rate_counts.borrow_mut();
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
