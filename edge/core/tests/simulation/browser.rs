//! A user agent: its cookies, and what its user was answered.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use causeway_core::{
    http::{
        cookie::SESSION_COOKIE,
        web::{Body, Request, Response},
    },
    testing::body::InMemoryBody,
};
use http::{HeaderMap, Method};
use serde_json::Value;

use crate::provider_profile::ProviderProfile;

/// How far apart two clocks can be.
pub(crate) const MAX_SKEW_MS: u64 = 10 * 60 * 1000;

/// The result of a request, as its user sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Served,
    SignInNeeded,
    Unauthenticated,
    Unavailable,
    Other(u16),
}

/// The session that a sign-in replaces.
struct ReplacedSession {
    number: u64,
    cookie: Option<String>,
}

/// The edge confirmed, with a new cookie, that an account was connected or disconnected.
#[derive(Clone)]
pub(crate) struct LinkChange {
    pub(crate) cookie: String,
    pub(crate) at_ms: u64,
    pub(crate) is_linked: bool,
}

/// A browser that has a session or is signing in. Its number is also that of its sign-in and its grant.
pub(crate) struct Browser {
    pub(crate) number: u64,
    pub(crate) user: u64,
    pub(crate) profile: &'static ProviderProfile,
    cookies: RefCell<BTreeMap<String, String>>,
    replaced: Option<ReplacedSession>,
    /// How many times it tried to connect an account.
    link_attempts: Cell<u64>,
    last_link_change: RefCell<Option<LinkChange>>,
    /// The outcomes of its requests, in the order of their answers.
    pub(crate) outcomes: RefCell<Vec<Outcome>>,
}

impl Browser {
    pub(crate) fn new(number: u64, user: u64, profile: &'static ProviderProfile) -> Rc<Self> {
        Self::with_replaced(None, number, user, profile)
    }

    fn with_replaced(
        replaced: Option<ReplacedSession>,
        number: u64,
        user: u64,
        profile: &'static ProviderProfile,
    ) -> Rc<Self> {
        Rc::new(Self {
            number,
            user,
            profile,
            cookies: RefCell::default(),
            replaced,
            link_attempts: Cell::default(),
            last_link_change: RefCell::default(),
            outcomes: RefCell::default(),
        })
    }

    /// The same browser before its next sign-in, which sends the cookie of the current session and replaces that
    /// session.
    pub(crate) fn signing_in_again(&self, number: u64, user: u64, profile: &'static ProviderProfile) -> Rc<Self> {
        let replaced = ReplacedSession { number: self.number, cookie: self.session_cookie() };
        Self::with_replaced(Some(replaced), number, user, profile)
    }

    /// The number of the session that its sign-in replaces.
    pub(crate) fn replaced_session(&self) -> Option<u64> {
        self.replaced.as_ref().map(|replaced| replaced.number)
    }

    pub(crate) fn has_session(&self) -> bool {
        self.cookies.borrow().contains_key(SESSION_COOKIE)
    }

    pub(crate) fn session_cookie(&self) -> Option<String> {
        self.cookies.borrow().get(SESSION_COOKIE).cloned()
    }

    /// Counts another attempt to connect an account. The first is 1.
    pub(crate) fn next_link_attempt(&self) -> u64 {
        self.link_attempts.set(self.link_attempts.get() + 1);
        self.link_attempts.get()
    }

    pub(crate) fn last_link_change(&self) -> Option<LinkChange> {
        self.last_link_change.borrow().clone()
    }

    /// Notes that a new session cookie just confirmed that an account was connected or disconnected.
    pub(crate) fn note_link_change(&self, is_linked: bool, now_ms: u64) {
        *self.last_link_change.borrow_mut() =
            self.session_cookie().map(|cookie| LinkChange { cookie, at_ms: now_ms, is_linked });
    }

    pub(crate) fn request(&self, method: Method, target: &str) -> Request<InMemoryBody> {
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query.to_owned())));
        let mut headers = HeaderMap::new();
        let mut cookies: Vec<String> =
            self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if target.ends_with("/login") {
            let replaced_cookie = self.replaced.as_ref().and_then(|replaced| replaced.cookie.as_ref());
            cookies.extend(replaced_cookie.map(|value| format!("{SESSION_COOKIE}={value}")));
        }
        if !cookies.is_empty() {
            headers.insert("cookie", cookies.join("; ").parse().unwrap());
        }
        if target.contains("connect=1") {
            headers.insert("sec-fetch-site", "same-origin".parse().unwrap());
            headers.insert("referer", "https://edge.example/".parse().unwrap());
        }
        if !target.contains("/login") && !target.contains("/callback") {
            headers.insert("x-csrf", "1".parse().unwrap());
            headers.insert("origin", "https://edge.example".parse().unwrap());
        }
        Request { method, path: path.to_owned(), query, headers, client_address: None, body: InMemoryBody::default() }
    }

    /// Stores the cookies that a response sets, and removes those that it clears.
    pub(crate) fn store_cookies(&self, response: &Response<InMemoryBody>) {
        for cookie in response.headers.get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            match rest.split(';').next().unwrap() {
                "" => self.cookies.borrow_mut().remove(name),
                value => self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned()),
            };
        }
    }
}

/// A response's body as JSON; `null` if it is something else.
pub(crate) fn json_body(response: Response<InMemoryBody>) -> Value {
    match response.body {
        Body::Empty => Value::Null,
        Body::Bytes(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Body::Native(text) => serde_json::from_slice(&text.0).unwrap_or_default(),
    }
}
