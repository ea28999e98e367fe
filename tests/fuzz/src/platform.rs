//! A platform in memory: fixed time, counted randomness, GitHub as the only upstream.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::Future,
    time::Duration,
};

use causeway_core::{
    config::Coordination,
    edge::Edge,
    http::{
        body::{BodyError, ByteLimit, ReadBody},
        web::{Body, Incoming, Outgoing, Request, Response},
    },
    runtime::{
        clock::Clock,
        machine::{self, Machine},
        platform::{
            CheckpointStore, ClientDisconnect, HttpClient, KeyValueStore, Machines, OpenStream, Opened, Rate,
            RateLimiter, StreamHub,
        },
        random::Random,
        telemetry::{Line, Log},
        unavailable::Unavailable,
    },
};
use causeway_protocol::{
    deliver::{Checkpoint, Record},
    hub::EndReason,
    session::SessionHandle,
    subject::Subject,
};
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use sha2::{Digest as _, Sha256};

use crate::settings::{NOW, Settings};

/// A body in memory.
#[derive(Debug, Default)]
pub struct Text(Vec<u8>);

impl ReadBody for Text {
    fn limited(self, _limit: ByteLimit) -> Result<Self, Self> {
        Ok(self)
    }

    async fn read(self, limit_bytes: usize) -> Result<Vec<u8>, BodyError> {
        if self.0.len() > limit_bytes { Err(BodyError::TooLarge) } else { Ok(self.0) }
    }
}

#[derive(Debug, Default, Clone)]
struct Stored {
    machines: HashMap<String, String>,
    values: HashMap<String, Vec<u8>>,
}

/// What a run leaves behind.
#[derive(Debug, Default)]
pub struct InMemoryPlatform {
    drawn: Cell<u64>,
    stored: RefCell<Stored>,
    /// What was stored when the fixture stood.
    first: RefCell<Stored>,
    changed: Cell<bool>,
    /// Requests that went out.
    pub sent: RefCell<Vec<String>>,
    /// Streams that were opened.
    pub opened: RefCell<Vec<OpenStream>>,
    /// Lines of the log.
    pub log: RefCell<Vec<String>>,
}

impl Clock for InMemoryPlatform {
    fn now_ms(&self) -> u64 {
        u64::try_from(NOW).unwrap_or_default() * 1000
    }

    fn sleep(&self, _wait: Duration) -> LocalBoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

impl ClientDisconnect for InMemoryPlatform {
    fn client_disconnected(&self) -> LocalBoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

impl Random for InMemoryPlatform {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Unavailable> {
        for chunk in buffer.chunks_mut(32) {
            self.drawn.set(self.drawn.get() + 1);
            let drawn = Sha256::digest(self.drawn.get().to_be_bytes());
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
        Ok(())
    }
}

impl KeyValueStore for InMemoryPlatform {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        Ok(self.stored.borrow().values.get(key).cloned())
    }

    async fn put(&self, key: &str, value: &[u8], _ttl: Duration) -> Result<(), Unavailable> {
        self.changed.set(true);
        self.stored.borrow_mut().values.insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), Unavailable> {
        self.changed.set(true);
        self.stored.borrow_mut().values.remove(key);
        Ok(())
    }
}

impl HttpClient for InMemoryPlatform {
    type Body = Text;

    async fn send(&self, request: Outgoing<Text>) -> Result<Incoming<Text>, Unavailable> {
        let body = match request.body {
            Body::Bytes(bytes) => bytes.to_vec(),
            Body::Native(Text(bytes)) => bytes,
            Body::Empty => Vec::new(),
        };
        let (url, body) = (request.url.as_str(), String::from_utf8_lossy(&body).into_owned());
        self.sent.borrow_mut().push(format!("{url} {body}"));
        let answer = match url {
            "https://github.com/login/oauth/access_token" if body.split('&').any(|pair| pair == "code=good") => {
                r#"{"access_token":"gho_x","token_type":"bearer","scope":"read:user"}"#
            }
            "https://github.com/login/oauth/access_token" => r#"{"error":"bad_verification_code"}"#,
            "https://api.github.com/user" => r#"{"id":7,"login":"ada","name":"Ada","email":null}"#,
            _ => return Err(Unavailable::new("upstream", "there is none")),
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Incoming { status: StatusCode::OK, headers, body: Text(answer.as_bytes().to_vec()) })
    }
}

impl Machines for InMemoryPlatform {
    async fn run<M: Machine>(&self, name: &str, command: M::Command) -> Result<M::Reply, Unavailable> {
        let states = &mut self.stored.borrow_mut().machines;
        let key = format!("{}:{name}", M::KIND);
        let (changed, reply) = machine::step::<M>(states.get(&key).map(String::as_str), self.now_ms(), command)?;
        if let Some(store) = changed {
            self.changed.set(true);
            states.insert(key, store.state);
        }
        Ok(reply)
    }
}

impl StreamHub for InMemoryPlatform {
    const AT_EDGE: bool = true;

    async fn append(&self, _subject: &Subject, _records: &[Record]) -> Result<(), Unavailable> {
        Ok(())
    }

    async fn open(&self, request: OpenStream) -> Result<Opened<Text>, Unavailable> {
        self.opened.borrow_mut().push(request);
        Ok(Opened::Stream(Body::Empty))
    }

    async fn end_session(
        &self,
        _subject: &Subject,
        _session: &SessionHandle,
        _reason: EndReason,
    ) -> Result<(), Unavailable> {
        Ok(())
    }
}

impl CheckpointStore for InMemoryPlatform {
    async fn checkpoint(
        &self,
        _topic: &str,
        _partition: i32,
        advance_to: Option<Checkpoint>,
    ) -> Result<Option<Checkpoint>, Unavailable> {
        Ok(advance_to)
    }
}

impl RateLimiter for InMemoryPlatform {
    async fn allow(&self, _rate: Rate, _key: &str) -> Result<bool, Unavailable> {
        Ok(true)
    }
}

impl Log for InMemoryPlatform {
    fn log(&self, line: &Line) {
        self.log.borrow_mut().push(line.to_string());
    }
}

/// An edge with one user, Ada, signed in.
#[derive(Debug)]
pub struct Fixture {
    /// The edge.
    pub edge: Edge,
    /// Its platform.
    pub platform: InMemoryPlatform,
    /// Ada's session cookie.
    pub session: String,
    /// A sign-in under way: its state …
    pub state: String,
    /// … and its cookie, as name and value.
    pub login_cookie: String,
}

impl Fixture {
    /// Signs Ada in, and begins another sign-in.
    ///
    /// # Panics
    /// That does not work.
    #[must_use]
    pub fn new() -> Self {
        let edge = Edge::new(&Settings::default(), Coordination::Objects);
        let mut fixture = Self {
            edge,
            platform: InMemoryPlatform::default(),
            session: String::new(),
            state: String::new(),
            login_cookie: String::new(),
        };
        fixture.begin();
        let query = format!("code=good&state={}", fixture.state);
        let response =
            fixture.get("/auth/github/callback", Some(&query), &[("cookie", fixture.login_cookie.as_bytes())]);
        let cookie = set_cookie(&response, SESSION_COOKIE).expect("signed in");
        fixture.session = cookie;
        fixture.begin();
        fixture.platform.first.borrow_mut().clone_from(&fixture.platform.stored.borrow());
        fixture.platform.forget();
        fixture
    }

    fn begin(&mut self) {
        let response = self.get("/auth/github/login", None, &[]);
        let location = url::Url::parse(response.headers[header::LOCATION].to_str().unwrap()).unwrap();
        self.state = location.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let cookie = response.headers[header::SET_COOKIE].to_str().unwrap();
        self.login_cookie = cookie.split(';').next().unwrap().to_owned();
    }

    /// Asks the edge. Headers that are none are left out.
    ///
    /// # Panics
    /// The edge waits for something.
    #[must_use]
    pub fn get(&self, path: &str, query: Option<&str>, headers: &[(&'static str, &[u8])]) -> Response<Text> {
        self.ask(Method::GET, path, query, headers, b"")
    }

    /// The same by another method and with a body.
    ///
    /// # Panics
    /// The edge waits for something.
    #[must_use]
    pub fn ask(
        &self,
        method: Method,
        path: &str,
        query: Option<&str>,
        headers: &[(&'static str, &[u8])],
        body: &[u8],
    ) -> Response<Text> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                map.append(*name, value);
            }
        }
        let request = Request {
            method,
            path: path.to_owned(),
            query: query.map(str::to_owned),
            headers: map,
            body: Text(body.to_vec()),
            client_address: None,
        };
        now(self.edge.handle(&self.platform, request))
    }

    /// Runs a property on the fixture of this thread, which forgets what the run before did to it.
    pub fn with<T>(run: impl FnOnce(&Self) -> T) -> T {
        thread_local! { static FIXTURE: Fixture = Fixture::new(); }
        FIXTURE.with(|fixture| {
            let came_of_it = run(fixture);
            fixture.platform.forget();
            came_of_it
        })
    }
}

impl Default for Fixture {
    fn default() -> Self {
        Self::new()
    }
}

impl InMemoryPlatform {
    /// Whether anything was written since the fixture stood.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.changed.get()
    }

    fn forget(&self) {
        self.sent.borrow_mut().clear();
        self.opened.borrow_mut().clear();
        self.log.borrow_mut().clear();
        if self.changed.replace(false) {
            self.stored.borrow_mut().clone_from(&self.first.borrow());
        }
    }
}

/// Name of the session cookie.
pub const SESSION_COOKIE: &str = "__Host-Http-session";

/// The value that an answer gives a cookie, unless it takes it away.
#[must_use]
pub fn set_cookie(response: &Response<Text>, name: &str) -> Option<String> {
    let cookies = response.headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.filter_map(|cookie| cookie.split(';').next()?.split_once('='));
    pairs.filter(|(found, value)| *found == name && !value.is_empty()).map(|(_, value)| value.to_owned()).next()
}

/// The text of an answer.
#[must_use]
pub fn text(response: &Response<Text>) -> String {
    match &response.body {
        Body::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Body::Native(Text(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Body::Empty => String::new(),
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing here waits")
}
