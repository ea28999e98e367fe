//! An isolate: an edge with its own memory, and the platform that it sees.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    rc::Rc,
    time::Duration,
};

use causeway_core::{
    config::{Config, Coordination},
    edge::Edge,
    http::web::{Body, Incoming, Outgoing},
    runtime::{
        clock::Clock,
        dependency::Dependency,
        machine::Machine,
        platform::{
            CheckpointStore, ClientDisconnect, HttpClient, KeyValueStore, Machines, OpenStream, Opened, Rate,
            RateLimiter, StreamHub,
        },
        random::Random,
        telemetry::{Line, Log},
        unavailable::Unavailable,
    },
    session::{cache::SessionCache, store::Sessions},
    testing::{body::InMemoryBody, platform::Sent},
};
use causeway_protocol::{
    checkpoint::{CheckpointRequest, CheckpointResponse, PartitionState},
    deliver::Outcome,
    hub::EndReason,
    session::SessionHandle,
    subject::Subject,
};
use futures_util::future::LocalBoxFuture;
use http::StatusCode;

use crate::{oneshot, scheduler::TaskId, world::World};

pub(crate) struct Isolate {
    pub(crate) platform: SimulatedPlatform,
    settings: RefCell<BTreeMap<String, String>>,
    edge: RefCell<Rc<Edge>>,
    config: RefCell<Rc<Config>>,
}

impl Isolate {
    pub(crate) fn new(platform: SimulatedPlatform, settings: BTreeMap<String, String>) -> Self {
        let (edge, config) = (RefCell::new(Rc::new(edge(&settings))), RefCell::new(Rc::new(config(&settings))));
        Self { platform, settings: RefCell::new(settings), edge, config }
    }

    pub(crate) fn edge(&self) -> Rc<Edge> {
        Rc::clone(&self.edge.borrow())
    }

    /// Starts again with an empty memory.
    pub(crate) fn restart(&self) {
        *self.edge.borrow_mut() = Rc::new(edge(&self.settings.borrow()));
    }

    /// Starts again with one setting changed. Requests under way finish with the old edge.
    pub(crate) fn reconfigure(&self, key: &str, value: String) {
        self.settings.borrow_mut().insert(key.to_owned(), value);
        *self.config.borrow_mut() = Rc::new(config(&self.settings.borrow()));
        self.restart();
    }

    pub(crate) fn config(&self) -> Rc<Config> {
        Rc::clone(&self.config.borrow())
    }

    /// Uses sessions as a handler would, without going through one, from an isolate with an empty cache.
    pub(crate) async fn with_sessions<T>(&self, work: impl AsyncFnOnce(Sessions<'_, SimulatedPlatform>) -> T) -> T {
        let (config, cache) = (self.config(), SessionCache::default());
        work(Sessions { platform: &self.platform, settings: &config.sessions, cache: &cache }).await
    }
}

fn edge(settings: &BTreeMap<String, String>) -> Edge {
    Edge::new(&|key: &str| settings.get(key).cloned(), Coordination::Objects)
}

fn config(settings: &BTreeMap<String, String>) -> Config {
    Config::load(&|key: &str| settings.get(key).cloned(), Coordination::Objects).unwrap()
}

/// The platform that one isolate sees.
#[derive(Clone)]
pub(crate) struct SimulatedPlatform {
    pub(crate) world: Rc<World>,
    pub(crate) isolate: usize,
    pub(crate) skew_ms: i64,
}

/// Notes a disruption of its task when dropped, unless the task got its answer.
struct AnswerGuard<'a> {
    world: &'a World,
    task: Option<TaskId>,
    is_answered: Cell<bool>,
}

impl Drop for AnswerGuard<'_> {
    fn drop(&mut self) {
        if !self.is_answered.get() {
            self.world.checker.note_disruption(self.task, self.world.now_ms());
        }
    }
}

impl Clock for SimulatedPlatform {
    fn now_ms(&self) -> u64 {
        self.world.now_ms().saturating_add_signed(self.skew_ms)
    }

    fn sleep(&self, wait: Duration) -> LocalBoxFuture<'static, ()> {
        self.world.scheduler.sleep(wait)
    }
}

impl Random for SimulatedPlatform {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Unavailable> {
        self.world.scheduler.fill(buffer);
        Ok(())
    }
}

impl KeyValueStore for SimulatedPlatform {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        self.world.read_key(key).await
    }

    async fn put(&self, key: &str, value: &[u8], _ttl: Duration) -> Result<(), Unavailable> {
        self.world.write_key(key, Some(value.to_vec())).await
    }

    async fn delete(&self, key: &str) -> Result<(), Unavailable> {
        self.world.write_key(key, None).await
    }
}

impl Machines for SimulatedPlatform {
    async fn run<M: Machine>(&self, name: &str, command: M::Command) -> Result<M::Reply, Unavailable> {
        let guard =
            AnswerGuard { world: &self.world, task: self.world.scheduler.current(), is_answered: Cell::new(false) };
        let reply = self.world.run_command::<M>(name, command).await?;
        guard.is_answered.set(true);
        Ok(reply)
    }
}

impl HttpClient for SimulatedPlatform {
    type Body = InMemoryBody;

    fn send(
        &self,
        request: Outgoing<InMemoryBody>,
    ) -> impl Future<Output = Result<Incoming<InMemoryBody>, Unavailable>> {
        let timeout_ms = u64::try_from(request.timeout.as_millis()).unwrap();
        let body = match request.body {
            Body::Empty => Vec::new(),
            Body::Bytes(bytes) => bytes.to_vec(),
            Body::Native(text) => text.0,
        };
        let body = String::from_utf8(body).unwrap();
        let sent = Sent {
            method: request.method,
            url: request.url.to_string(),
            headers: request.headers,
            body,
            timeout: request.timeout,
        };
        async move {
            let world = &self.world;
            let (sender, receiver) = oneshot::channel();
            let timed_out = Err(Unavailable::new(Dependency::Upstream, "no answer"));
            let watch = world.checker.on_send(world, &sent, &sender);
            let timer = sender.clone();
            world.scheduler.schedule(timeout_ms, move || timer.send(timed_out));
            world.transmit(sent, sender);
            let answer = receiver.await;
            if let Some(watch) = watch {
                watch.on_answer(&answer);
            }
            let (status, headers, body) = answer?;
            let headers = headers.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            let status = StatusCode::from_u16(status).unwrap();
            Ok(Incoming { status, headers: headers.collect(), body: body.into_bytes().into() })
        }
    }
}

impl StreamHub for SimulatedPlatform {
    const HUB_AT_EDGE: bool = true;

    async fn append(&self, _subject: &Subject, _slices: &str) -> Result<Outcome, Unavailable> {
        Ok(Outcome::Stored)
    }

    async fn open(&self, _request: OpenStream) -> Result<Opened<Body<InMemoryBody>>, Unavailable> {
        Ok(Opened::Stream(Body::Empty))
    }

    async fn end_session(&self, _: &Subject, _: &SessionHandle, _: EndReason) -> Result<(), Unavailable> {
        let scheduler = &self.world.scheduler;
        scheduler.sleep(Duration::from_millis(scheduler.draw(0..30))).await;
        let fails = scheduler.chance(self.world.faults.get().hub_down);
        if fails { Err(Unavailable::new(Dependency::Hub, "simulated outage")) } else { Ok(()) }
    }
}

impl ClientDisconnect for SimulatedPlatform {
    fn client_disconnected(&self) -> LocalBoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

impl CheckpointStore for SimulatedPlatform {
    async fn checkpoint(&self, request: &CheckpointRequest) -> Result<CheckpointResponse, Unavailable> {
        Ok(PartitionState::default().respond(request.operation))
    }
}

impl RateLimiter for SimulatedPlatform {
    async fn allow(&self, _rate: Rate, _key: &str) -> Result<bool, Unavailable> {
        Ok(true)
    }
}

impl Log for SimulatedPlatform {
    fn log(&self, line: &Line) {
        self.world.trace(|| format!("isolate {} logs {line}", self.isolate));
    }
}
