//! One isolate: an edge with its own memory, and the platform that it sees.

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
    testing::platform::{Sent, Text},
};
use causeway_protocol::{
    deliver::{Checkpoint, Record},
    hub::EndReason,
    session::SessionHandle,
    subject::Subject,
};
use futures_util::future::LocalBoxFuture;
use http::StatusCode;

use super::{
    World,
    scheduler::{TaskId, promise},
};

pub(crate) struct Isolate {
    pub(crate) outside: Outside,
    settings: RefCell<BTreeMap<String, String>>,
    edge: RefCell<Rc<Edge>>,
    config: RefCell<Rc<Config>>,
}

impl Isolate {
    pub(crate) fn new(outside: Outside, settings: BTreeMap<String, String>) -> Self {
        let (edge, config) = (RefCell::new(Rc::new(edge(&settings))), RefCell::new(Rc::new(config(&settings))));
        Self { outside, settings: RefCell::new(settings), edge, config }
    }

    pub(crate) fn edge(&self) -> Rc<Edge> {
        Rc::clone(&self.edge.borrow())
    }

    /// Forgets all it knew.
    pub(crate) fn restart(&self) {
        *self.edge.borrow_mut() = Rc::new(edge(&self.settings.borrow()));
    }

    /// Starts anew with another value. What it was doing goes on in the old one.
    pub(crate) fn reconfigure(&self, key: &str, value: String) {
        self.settings.borrow_mut().insert(key.to_owned(), value);
        *self.config.borrow_mut() = Rc::new(config(&self.settings.borrow()));
        self.restart();
    }

    pub(crate) fn config(&self) -> Rc<Config> {
        Rc::clone(&self.config.borrow())
    }

    /// What a handler does with sessions, done by hand, by a region that remembers nothing.
    pub(crate) async fn with_sessions<T>(&self, work: impl AsyncFnOnce(Sessions<'_, Outside>) -> T) -> T {
        let (config, cache) = (self.config(), SessionCache::default());
        work(Sessions { platform: &self.outside, settings: &config.sessions, cache: &cache }).await
    }
}

fn edge(settings: &BTreeMap<String, String>) -> Edge {
    Edge::new(&|key: &str| settings.get(key).cloned(), Coordination::Objects)
}

fn config(settings: &BTreeMap<String, String>) -> Config {
    Config::load(&|key: &str| settings.get(key).cloned(), Coordination::Objects).unwrap()
}

/// The platform of one isolate.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) world: Rc<World>,
    pub(crate) number: usize,
    pub(crate) skew_ms: i64,
}

/// Notes that a task never had its answer, unless it had.
struct Unanswered<'a> {
    world: &'a World,
    task: Option<TaskId>,
    answered: Cell<bool>,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if !self.answered.get() {
            self.world.checker.trouble(self.task, self.world.now_ms());
        }
    }
}

impl Clock for Outside {
    fn now_ms(&self) -> u64 {
        self.world.now_ms().saturating_add_signed(self.skew_ms)
    }

    fn sleep(&self, wait: Duration) -> LocalBoxFuture<'static, ()> {
        self.world.scheduler.sleep(wait)
    }
}

impl Random for Outside {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Unavailable> {
        self.world.scheduler.fill(buffer);
        Ok(())
    }
}

impl KeyValueStore for Outside {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        self.world.read(key).await
    }

    async fn put(&self, key: &str, value: &[u8], _ttl: Duration) -> Result<(), Unavailable> {
        self.world.write(key, Some(value.to_vec())).await
    }

    async fn delete(&self, key: &str) -> Result<(), Unavailable> {
        self.world.write(key, None).await
    }
}

impl Machines for Outside {
    async fn run<M: Machine>(&self, name: &str, command: M::Command) -> Result<M::Reply, Unavailable> {
        let watch = Unanswered { world: &self.world, task: self.world.scheduler.current(), answered: Cell::new(false) };
        let reply = self.world.command::<M>(name, command).await?;
        watch.answered.set(true);
        Ok(reply)
    }
}

impl HttpClient for Outside {
    type Body = Text;

    fn send(&self, request: Outgoing<Text>) -> impl Future<Output = Result<Incoming<Text>, Unavailable>> {
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
            let (kept, promised) = promise();
            let unanswered = Err(Unavailable::new("network", "no answer"));
            let watch = world.checker.sends(world, &sent, &kept);
            let too_late = kept.clone();
            world.scheduler.later(timeout_ms, move || too_late.keep(unanswered));
            world.carry(sent, kept);
            let answer = promised.await;
            if let Some(watch) = watch {
                watch.got(&answer);
            }
            let (status, headers, body) = answer?;
            let headers = headers.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            let status = StatusCode::from_u16(status).unwrap();
            Ok(Incoming { status, headers: headers.collect(), body: body.into_bytes().into() })
        }
    }
}

impl StreamHub for Outside {
    const AT_EDGE: bool = true;

    async fn append(&self, _subject: &Subject, _records: &[Record]) -> Result<(), Unavailable> {
        Ok(())
    }

    async fn open(&self, _request: OpenStream) -> Result<Opened<Text>, Unavailable> {
        Ok(Opened::Stream(Body::Empty))
    }

    async fn end_session(&self, _: &Subject, _: &SessionHandle, _: EndReason) -> Result<(), Unavailable> {
        let scheduler = &self.world.scheduler;
        scheduler.sleep(Duration::from_millis(scheduler.draw(0..30))).await;
        let fails = scheduler.chance(self.world.faults.get().hub_down);
        if fails { Err(Unavailable::new("hub", "simulated outage")) } else { Ok(()) }
    }
}

impl ClientDisconnect for Outside {
    fn client_disconnected(&self) -> LocalBoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

impl CheckpointStore for Outside {
    async fn checkpoint(&self, _: &str, _: i32, _: Option<Checkpoint>) -> Result<Option<Checkpoint>, Unavailable> {
        Ok(None)
    }
}

impl RateLimiter for Outside {
    async fn allow(&self, _rate: Rate, _key: &str) -> Result<bool, Unavailable> {
        Ok(true)
    }
}

impl Log for Outside {
    fn log(&self, line: &Line) {
        self.world.trace(|| format!("isolate {} logs {line}", self.number));
    }
}
