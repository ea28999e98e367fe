//! Journeys against simulated upstreams: what a user, an operator and an attacker would notice. One file a journey; this
//! file holds the browser that they share.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code: a failed expectation is a failed test"
)]

mod cancel;
mod changed_configuration;
mod checkpoint;
mod clock;
mod confirmation;
mod connect;
mod copy;
mod credential;
mod cross_site;
mod deadline;
mod deliver;
mod drill;
mod entra;
mod event;
mod handoff;
mod hole;
mod host_page;
mod installation;
mod listen;
mod login;
mod login_confirmation;
mod logout;
mod own_sessions;
mod provider_logout;
mod proxy;
mod refresh;
mod replay;
mod restriction;
mod session;
mod sign_in;
mod sign_in_openid;
mod step_up;
mod stream;
mod surface;
mod telemetry;
mod webhook;

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    net::{IpAddr, Ipv4Addr},
    rc::Rc,
};

use causeway_core::{
    config::Coordination,
    edge::Edge,
    http::web::{Body, Request, Response},
    testing::{
        body::InMemoryBody,
        corp::{self, Corp},
        platform::{Answer, InMemoryPlatform, Sent},
        run::run,
        settings::settings,
    },
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;

const JSON: &str = "application/json";
/// `SERVICES` with an API that takes tokens of the provider `corp`.
const CORP_API: &str = r#"[{"name":"api","url":"https://api.corp.example","provider":"corp","allow":["GET /x"]}]"#;

fn github(sent: &Sent) -> Option<Answer> {
    let answer = |status, body: &str| Some((status, vec![("content-type", JSON.to_owned())], body.to_owned()));
    match sent.url.as_str() {
        "https://github.com/login/oauth/access_token" if sent.body.contains("code=good") => {
            answer(200, r#"{"access_token":"gho_secret","token_type":"bearer","scope":"read:user"}"#)
        }
        "https://github.com/login/oauth/access_token" => answer(200, r#"{"error":"bad_verification_code"}"#),
        "https://api.github.com/user" => answer(200, r#"{"id":7,"login":"ada","name":"Ada","email":null}"#),
        "https://bridge.example/v1/events" => answer(202, r#"{"id":"x","partition":0,"offset":0}"#),
        "https://bridge.example/readyz" => answer(200, "{}"),
        _ => None,
    }
}

struct Browser {
    edge: Edge,
    platform: InMemoryPlatform,
    cookies: RefCell<Vec<(String, String)>>,
    /// Values of partitioned cookies, which are kept apart from unpartitioned cookies of the same name.
    partitioned: RefCell<HashSet<String>>,
    address: Cell<IpAddr>,
}

impl Browser {
    fn new(upstream: impl Fn(&Sent) -> Option<Answer> + 'static) -> Self {
        Self::configured(&[], upstream)
    }

    /// The same at an edge with these settings in addition.
    fn configured(more: &[(&str, &str)], upstream: impl Fn(&Sent) -> Option<Answer> + 'static) -> Self {
        let mut table = settings();
        table.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let edge = Edge::new(&|key: &str| table.get(key).cloned(), Coordination::Objects);
        let address = Cell::new(Ipv4Addr::new(203, 0, 113, 7).into());
        Self {
            edge,
            platform: InMemoryPlatform::new(upstream),
            cookies: RefCell::default(),
            partitioned: RefCell::default(),
            address,
        }
    }

    /// The same browser and stores, at an edge with other settings.
    fn at_another_edge(self, more: &[(&str, &str)]) -> Self {
        let mut table = settings();
        table.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let edge = Edge::new(&|key: &str| table.get(key).cloned(), Coordination::Objects);
        Self { edge, ..self }
    }

    /// Moves to another isolate of the deployment, a fresh one without `isolate`; returns the previous one.
    fn goes_to(&mut self, isolate: Option<Edge>) -> Edge {
        let table = settings();
        let fresh = || Edge::new(&|key: &str| table.get(key).cloned(), Coordination::Objects);
        std::mem::replace(&mut self.edge, isolate.unwrap_or_else(fresh))
    }

    fn request(&self, method: Method, target: &str, headers: &[(&str, &str)], body: &str) -> Request<InMemoryBody> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let mut map = HeaderMap::new();
        let jar: Vec<String> = self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !jar.is_empty() {
            map.insert("cookie", jar.join("; ").parse().unwrap());
        }
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        Request {
            method,
            path: path.to_owned(),
            query,
            headers: map,
            client_address: Some(self.address.get()),
            body: body.as_bytes().to_vec().into(),
        }
    }

    fn send(&self, method: Method, target: &str, headers: &[(&str, &str)], body: &str) -> Response<InMemoryBody> {
        let request = self.request(method, target, headers, body);
        let response = run(self.edge.handle(&self.platform, request));
        self.store_cookies(&response);
        response
    }

    /// Keeps the cookies that a response sets.
    fn store_cookies(&self, response: &Response<InMemoryBody>) {
        for cookie in response.headers.get_all("set-cookie") {
            let (pair, attributes) = cookie.to_str().unwrap().split_once("; ").unwrap();
            assert!(attributes.contains("Secure; HttpOnly"), "{cookie:?}");
            let (name, value) = pair.split_once('=').unwrap();
            let mut jar = self.cookies.borrow_mut();
            let is_partitioned = attributes.contains("Partitioned");
            let mut partitioned = self.partitioned.borrow_mut();
            jar.retain(|(known, value)| known != name || partitioned.contains(value) != is_partitioned);
            if !value.is_empty() {
                if is_partitioned {
                    partitioned.insert(value.to_owned());
                }
                jar.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// Replaces the cookies; returns the previous ones.
    fn swap(&self, cookies: Vec<(String, String)>) -> Vec<(String, String)> {
        self.cookies.replace(cookies)
    }

    fn get(&self, target: &str) -> Response<InMemoryBody> {
        self.send(Method::GET, target, &[], "")
    }

    fn script(&self, method: Method, target: &str, body: &str) -> Response<InMemoryBody> {
        let headers = [("x-csrf", "1"), ("origin", "https://edge.example"), ("content-type", JSON)];
        self.send(method, target, &headers, body)
    }

    /// Starts a sign-in and returns its state.
    fn start(&self) -> String {
        let response = self.get("/auth/github/login?return_to=https://host.edge.example/page");
        assert_eq!(response.status, StatusCode::SEE_OTHER);
        let url = url::Url::parse(response.headers["location"].to_str().unwrap()).unwrap();
        assert_eq!(url.query_pairs().find(|(name, _)| name == "code_challenge_method").unwrap().1, "S256");
        url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned()
    }

    fn sign_in(&self) {
        let state = self.start();
        let response = self.get(&format!("/auth/github/callback?code=good&state={state}"));
        assert_eq!(response.status, StatusCode::SEE_OTHER, "{}", text(&response));
        assert_eq!(response.headers["location"], "https://host.edge.example/page");
    }

    /// A browser at a deployment that also has the provider `corp`.
    fn at_corp(corp: &Rc<Corp>) -> Self {
        let corp = Rc::clone(corp);
        Self::configured(&corp::SETTINGS, move |sent| corp.answer(sent).or_else(|| github(sent)))
    }

    /// Starts a sign-in at `corp`; returns the address of the callback.
    fn start_at(&self, corp: &Corp) -> String {
        self.begin_at(corp, "/auth/corp/login")
    }

    fn begin_at(&self, corp: &Corp, login: &str) -> String {
        let response = self.send(Method::GET, login, &[("sec-fetch-site", "same-origin")], "");
        assert_eq!(response.status, StatusCode::SEE_OTHER, "{}", text(&response));
        let url = url::Url::parse(response.headers["location"].to_str().unwrap()).unwrap();
        let parameter = |name: &str| url.query_pairs().find(|(found, _)| found == name).unwrap().1.into_owned();
        *corp.nonce.borrow_mut() = parameter("nonce");
        format!("/auth/corp/callback?code=good&state={}&iss=https://id.corp.example", parameter("state"))
    }

    fn sign_in_at(&self, corp: &Corp) {
        let response = self.get(&self.start_at(corp));
        assert_eq!(response.status, StatusCode::SEE_OTHER, "{:?}", self.platform.log.borrow());
    }

    /// Links an account at `corp` to the current session.
    fn connect_at(&self, corp: &Corp) {
        let response = self.get(&self.begin_at(corp, "/auth/corp/login?connect=1"));
        assert_eq!(response.status, StatusCode::SEE_OTHER, "{:?}", self.platform.log.borrow());
    }

    fn session(&self) -> Value {
        let response = self.script(Method::GET, "/auth/session", "");
        assert_eq!(response.status, StatusCode::OK);
        serde_json::from_str(&text(&response)).unwrap()
    }

    fn sent_to(&self, url: &str) -> Vec<Sent> {
        self.platform.sent.borrow().iter().filter(|sent| sent.url.starts_with(url)).cloned().collect()
    }

    /// Asserts that a sign-in was rejected and logged with this reason.
    fn assert_refused_for(&self, reason: &str, response: &Response<InMemoryBody>) {
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{}", text(response));
        let log = self.platform.log.borrow();
        assert!(log.back().is_some_and(|line| line.contains(reason)), "{log:?}");
    }

    /// Asserts what a rejected sign-in leaves: no session, no write, a page that reveals no internals.
    fn assert_refused(&self, response: &Response<InMemoryBody>) {
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{}", text(response));
        assert!(!self.cookies.borrow().iter().any(|(name, _)| name == "__Host-Http-session"));
        // Provider documents are shared by all isolates.
        assert!(self.platform.kv.borrow().keys().all(|key| key.starts_with("provider:")));
        // The replay guard remembers that the state was used.
        let known = ["refetch:", "once:"];
        assert!(self.platform.machine_states.borrow().keys().all(|key| known.iter().any(|kind| key.starts_with(kind))));
    }
}

fn text(response: &Response<InMemoryBody>) -> String {
    match &response.body {
        Body::Empty => String::new(),
        Body::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        Body::Native(text) => String::from_utf8(text.0.clone()).unwrap(),
    }
}

fn code(response: &Response<InMemoryBody>) -> String {
    assert_eq!(response.headers["content-type"], "application/problem+json");
    let problem: Value = serde_json::from_str(&text(response)).unwrap();
    assert_eq!(problem["status"], response.status.as_u16());
    problem["code"].as_str().unwrap().to_owned()
}
