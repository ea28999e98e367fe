//! An edge on core's in-memory platform, with one user signed in and GitHub as the only upstream.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
};

use causeway_core::{
    config::Coordination,
    edge::Edge,
    http::web::{Body, Request, Response},
    testing::{
        body::InMemoryBody,
        platform::{Answer, InMemoryPlatform, Sent},
        run::run,
    },
};
use causeway_protocol::{
    channel::Channel,
    checkpoint::PartitionState,
    signature::{Direction, KeyRing, Signed},
};
use http::{HeaderMap, HeaderValue, Method, header};

use crate::settings::{Settings, ring};

/// Name of the session cookie.
pub const SESSION_COOKIE: &str = "__Host-Http-session";

/// An edge with one user, Ada, signed in.
pub struct Fixture {
    /// The edge.
    pub edge: Edge,
    /// Its platform.
    pub platform: InMemoryPlatform,
    /// Ada's session cookie.
    pub session: String,
    /// The state of a second sign-in, which is in progress.
    pub state: String,
    /// The cookie of that sign-in, as `name=value`.
    pub login_cookie: String,
    /// What was stored once the fixture was set up.
    stored: RefCell<Stored>,
}

/// What the platform stores, as far as a request can change it.
#[derive(Debug, Default, PartialEq)]
struct Stored {
    machines: HashMap<String, String>,
    expiries: HashMap<String, u64>,
    values: HashMap<String, Vec<u8>>,
    partitions: BTreeMap<(Channel, String, i32), PartitionState>,
    /// The frames of all users, by the users' names.
    frames: BTreeMap<String, Vec<String>>,
}

impl Stored {
    fn of(platform: &InMemoryPlatform) -> Self {
        Self {
            machines: platform.machine_states.borrow().clone(),
            expiries: platform.forget_at_ms.borrow().clone(),
            values: platform.kv.borrow().clone(),
            partitions: platform.partitions.borrow().clone(),
            frames: frames(platform),
        }
    }
}

impl Fixture {
    /// Signs Ada in, and begins another sign-in.
    ///
    /// # Panics
    /// That does not work.
    #[must_use]
    pub fn new() -> Self {
        let mut fixture = Self {
            edge: Edge::new(&Settings::default(), Coordination::Objects),
            platform: InMemoryPlatform::new(github),
            session: String::new(),
            state: String::new(),
            login_cookie: String::new(),
            stored: RefCell::default(),
        };
        fixture.begin_sign_in();
        let query = format!("code=good&state={}", fixture.state);
        let cookie = [("cookie", fixture.login_cookie.as_bytes())];
        let response = fixture.get("/auth/github/callback", Some(&query), &cookie);
        fixture.session = set_cookie(&response, SESSION_COOKIE).expect("signed in");
        fixture.begin_sign_in();
        fixture.stored.replace(Stored::of(&fixture.platform));
        fixture.reset();
        fixture
    }

    fn begin_sign_in(&mut self) {
        let response = self.get("/auth/github/login", None, &[]);
        let location = url::Url::parse(response.headers[header::LOCATION].to_str().unwrap()).unwrap();
        self.state = location.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let cookie = response.headers[header::SET_COOKIE].to_str().unwrap();
        self.login_cookie = cookie.split(';').next().unwrap().to_owned();
    }

    /// Sends a GET request to the edge. Values that cannot be header values are left out.
    ///
    /// # Panics
    /// The edge waits for something.
    #[must_use]
    pub fn get(&self, path: &str, query: Option<&str>, headers: &[(&'static str, &[u8])]) -> Response<InMemoryBody> {
        self.send(Method::GET, path, query, headers, b"")
    }

    /// Sends any request to the edge.
    ///
    /// # Panics
    /// The edge waits for something.
    #[must_use]
    pub fn send(
        &self,
        method: Method,
        path: &str,
        query: Option<&str>,
        headers: &[(&'static str, &[u8])],
        body: &[u8],
    ) -> Response<InMemoryBody> {
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
            body: body.to_vec().into(),
            client_address: None,
        };
        run(self.edge.handle(&self.platform, request))
    }

    /// The signature of a request of the bridge.
    ///
    /// # Panics
    /// The key ring is no longer valid.
    #[must_use]
    pub fn sign(&self, path: &str, body: &[u8]) -> String {
        let keys = KeyRing::parse(&ring("bridge")).expect("a key ring");
        let signed = Signed { direction: Direction::BridgeToEdge, method: "POST", target: path, body };
        keys.sign(signed, self.platform.now_ms.get() / 1000)
    }

    /// Runs a property on this thread's fixture, and then undoes what the run changed.
    pub fn with<T>(property: impl FnOnce(&Self) -> T) -> T {
        thread_local! { static FIXTURE: Fixture = Fixture::new(); }
        FIXTURE.with(|fixture| {
            let result = property(fixture);
            fixture.reset();
            result
        })
    }

    /// Whether anything was stored since the fixture was set up.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        *self.stored.borrow() != Stored::of(&self.platform)
    }

    fn reset(&self) {
        let Self { platform, stored, .. } = self;
        let stored = stored.borrow();
        platform.machine_states.borrow_mut().clone_from(&stored.machines);
        platform.forget_at_ms.borrow_mut().clone_from(&stored.expiries);
        platform.kv.borrow_mut().clone_from(&stored.values);
        platform.partitions.borrow_mut().clone_from(&stored.partitions);
        platform.hubs.borrow_mut().clear();
        platform.rate_counts.borrow_mut().clear();
        platform.sent.borrow_mut().clear();
        platform.opened_streams.borrow_mut().clear();
        platform.log.borrow_mut().clear();
    }
}

/// What the users' hubs hold, without those that are empty.
#[must_use]
pub fn frames(platform: &InMemoryPlatform) -> BTreeMap<String, Vec<String>> {
    let hubs = platform.hubs.borrow();
    let frames = hubs.iter().map(|(subject, hub)| (subject.to_string(), hub.frames()));
    frames.filter(|(_, frames)| !frames.is_empty()).collect()
}

impl Default for Fixture {
    fn default() -> Self {
        Self::new()
    }
}

fn github(sent: &Sent) -> Option<Answer> {
    let body = match sent.url.as_str() {
        "https://github.com/login/oauth/access_token" if sent.body.split('&').any(|pair| pair == "code=good") => {
            r#"{"access_token":"gho_x","token_type":"bearer","scope":"read:user"}"#
        }
        "https://github.com/login/oauth/access_token" => r#"{"error":"bad_verification_code"}"#,
        "https://api.github.com/user" => r#"{"id":7,"login":"ada","name":"Ada","email":null}"#,
        _ => return None,
    };
    Some((200, vec![("content-type", "application/json".to_owned())], body.to_owned()))
}

/// The value that a response sets a cookie to, unless it removes it.
#[must_use]
pub fn set_cookie(response: &Response<InMemoryBody>, name: &str) -> Option<String> {
    let cookies = response.headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.filter_map(|cookie| cookie.split(';').next()?.split_once('='));
    pairs.filter(|(found, value)| *found == name && !value.is_empty()).map(|(_, value)| value.to_owned()).next()
}

/// The body of a response as text.
#[must_use]
pub fn text(response: &Response<InMemoryBody>) -> String {
    match &response.body {
        Body::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Body::Native(native) => String::from_utf8_lossy(&native.0).into_owned(),
        Body::Empty => String::new(),
    }
}
