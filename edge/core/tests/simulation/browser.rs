//! Users: they sign in, call, look who they are, sign out; several tabs at once, at whichever isolate is near.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    rc::Rc,
};

use causeway_core::{
    http::{
        cookie::SESSION_COOKIE,
        web::{Body, Request, Response},
    },
    session::{
        index::{IndexName, IssuedAt},
        record::SessionRecord,
    },
    testing::platform::Text,
};
use causeway_protocol::hub::EndReason;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use super::{
    World,
    account::{CONNECTS, is_of},
    authority::ProviderProfile,
    invariant::Intent,
    upstream::ASKED_BY,
};

/// Most that clocks can be apart.
pub(crate) const MAX_SKEW_MS: u64 = 10 * 60 * 1000;
/// Longest that a request may take if its isolate has the processor.
const MAX_REQUEST_MS: u64 = 120_000;

/// What a request came to, for its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Good,
    SignInNeeded,
    Unauthenticated,
    Unavailable,
    Other(u16),
}

/// Where a user's own sessions are.
const SESSIONS: &str = "/auth/sessions";

/// A request, and how things were when it was made.
struct Asked {
    isolate: usize,
    began_ms: u64,
    /// Since when its session was dead.
    dead_ms: Option<u64>,
    cookie: Option<String>,
    /// The user's sessions that lived, if it is about them.
    others: Vec<(u64, String)>,
    target: String,
}

/// A browser with a session, or on the way to one. Its number is that of its grant, too.
pub(crate) struct Browser {
    pub(crate) number: u64,
    pub(crate) user: u64,
    pub(crate) profile: &'static ProviderProfile,
    jar: RefCell<BTreeMap<String, String>>,
    /// The session that signing in ends, and its cookie.
    follows: Option<u64>,
    replaces: RefCell<Option<String>>,
    /// How many accounts it has connected, or tried to.
    pub(super) connected: Cell<u64>,
    /// What it was told last of the account that it connects: with which cookie, when, and whether it has one.
    known: RefCell<Option<(String, u64, bool)>>,
    /// How often it saw what.
    pub(crate) seen: RefCell<Vec<Seen>>,
}

impl Browser {
    pub(crate) fn new(number: u64, user: u64, profile: &'static ProviderProfile) -> Rc<Self> {
        Self::following(None, number, user, profile)
    }

    fn following(follows: Option<u64>, number: u64, user: u64, profile: &'static ProviderProfile) -> Rc<Self> {
        Rc::new(Self {
            number,
            user,
            profile,
            follows,
            jar: RefCell::default(),
            replaces: RefCell::default(),
            connected: Cell::default(),
            known: RefCell::default(),
            seen: RefCell::default(),
        })
    }

    /// The same browser, about to sign in once more: it shows the session that it has, and what is judged is the next.
    pub(crate) fn again(&self, number: u64, user: u64, profile: &'static ProviderProfile) -> Rc<Self> {
        let next = Self::following(Some(self.number), number, user, profile);
        *next.replaces.borrow_mut() = self.cookie();
        next
    }

    pub(crate) fn has_session(&self) -> bool {
        self.jar.borrow().contains_key(SESSION_COOKIE)
    }

    pub(super) fn cookie(&self) -> Option<String> {
        self.jar.borrow().get(SESSION_COOKIE).cloned()
    }

    /// It was just told, with another cookie, whether it has an account that it connects.
    pub(super) fn knows(&self, has: bool, now_ms: u64) {
        *self.known.borrow_mut() = self.cookie().map(|cookie| (cookie, now_ms, has));
    }

    pub(super) fn request(&self, method: Method, target: &str) -> Request<Text> {
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query.to_owned())));
        let mut headers = HeaderMap::new();
        let mut jar: Vec<String> = self.jar.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if target.ends_with("/login") {
            jar.extend(self.replaces.borrow().iter().map(|value| format!("{SESSION_COOKIE}={value}")));
        }
        if !jar.is_empty() {
            headers.insert("cookie", jar.join("; ").parse().unwrap());
        }
        if target.contains("connect=1") {
            headers.insert("sec-fetch-site", "same-origin".parse().unwrap());
            headers.insert("referer", "https://edge.example/".parse().unwrap());
        }
        if !target.contains("/login") && !target.contains("/callback") {
            headers.insert("x-csrf", "1".parse().unwrap());
            headers.insert("origin", "https://edge.example".parse().unwrap());
        }
        Request { method, path: path.to_owned(), query, headers, client_address: None, body: Text::default() }
    }

    pub(super) fn take_cookies(&self, response: &Response<Text>) {
        for cookie in response.headers.get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            match rest.split(';').next().unwrap() {
                "" => self.jar.borrow_mut().remove(name),
                value => self.jar.borrow_mut().insert(name.to_owned(), value.to_owned()),
            };
        }
    }
}

pub(super) fn body(response: Response<Text>) -> Value {
    match response.body {
        Body::Empty => Value::Null,
        Body::Bytes(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Body::Native(text) => serde_json::from_slice(&text.0).unwrap_or_default(),
    }
}

impl World {
    pub(super) fn act(
        self: &Rc<Self>,
        isolate: usize,
        number: u64,
        intent: Intent,
        work: impl Future<Output = ()> + 'static,
    ) {
        let task = self.scheduler.spawn(isolate, work);
        self.checker.follows(task, number, intent);
    }

    pub(super) async fn ask(self: &Rc<Self>, isolate: usize, request: Request<Text>) -> Response<Text> {
        let isolate = self.isolate(isolate);
        let edge = isolate.edge();
        self.trace(|| format!("isolate {} is asked {} {}", isolate.outside.number, request.method, request.path));
        edge.handle(&isolate.outside, request).await
    }

    /// Signs in: with GitHub the way a browser does, with others from where their identity is known.
    pub(crate) fn sign_in(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        self.checker.expects(browser);
        let (world, browser) = (Rc::clone(self), Rc::clone(browser));
        let number = browser.number;
        let intent = browser.follows.map_or(Intent::Use, Intent::End);
        self.act(isolate, number, intent, async move {
            if browser.profile.provider != "github" {
                return world.begin(isolate, &browser).await;
            }
            world.walk(isolate, &browser, "/auth/github/login", number).await;
        });
    }

    async fn begin(self: &Rc<Self>, isolate: usize, browser: &Browser) {
        let (number, user, profile) = (browser.number, browser.user, browser.profile);
        let isolate = self.isolate(isolate);
        let now_ms = self.now_ms();
        let mut tokens = self.grant(profile, user, number);
        let isolate_now_ms = now_ms.saturating_add_signed(isolate.outside.skew_ms);
        tokens["obtained_at_ms"] = isolate_now_ms.into();
        tokens["expires_at_ms"] = (isolate_now_ms + self.authority.token_life_ms.get()).into();
        tokens["scopes"] = json!([]);
        let who = json!({"subject": format!("{}:{user}", profile.provider), "name": "Ada", "email": null});
        let lifetime_ms = u64::try_from(isolate.config().sessions.lifetime.as_millis()).unwrap();
        let record: SessionRecord = serde_json::from_value(json!({
            "user": who, "provider": profile.provider,
            "created_at_ms": isolate_now_ms, "expires_at_ms": isolate_now_ms + lifetime_ms,
            "accounts": {profile.provider: {
                "user": who, "issuer": profile.issuer, "sub": user.to_string(), "sid": null, "signed_in_at_ms": now_ms, "tokens": tokens,
            }},
        }))
        .unwrap();
        let created = isolate.with_sessions(async |sessions| sessions.create(&record, "browser").await).await;
        if let Ok(cookie) = created {
            let mut response = Response::empty(StatusCode::OK);
            response.add(http::header::SET_COOKIE, &cookie);
            browser.take_cookies(&response);
        }
    }

    /// Calls the API, through the edge.
    pub(crate) fn call(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        let target = format!("{}?{ASKED_BY}{}", browser.profile.call, browser.number);
        self.request(isolate, browser, Intent::Use, Method::GET, target);
    }

    /// Calls the one that wants restricted tokens.
    pub(crate) fn call_mail(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        let Some(mail) = &browser.profile.mail else { return };
        let target = format!("{}?{ASKED_BY}{}", mail.call, browser.number);
        self.request(isolate, browser, Intent::Use, Method::GET, target);
    }

    /// Asks where the user is signed in.
    pub(crate) fn list(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        let intent = Intent::EndAllOf(browser.user);
        self.request(isolate, browser, intent, Method::GET, SESSIONS.to_owned());
    }

    /// Ends all other sessions of the user.
    pub(crate) fn end_others(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        let intent = Intent::EndAllOf(browser.user);
        self.request(isolate, browser, intent, Method::DELETE, SESSIONS.to_owned());
    }

    /// Ends any one session of the user, perhaps this.
    pub(crate) fn end_one(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        let of = self.checker.of_same_user(self, browser.number);
        let index = usize::try_from(self.scheduler.draw(0..of.len().max(1) as u64)).unwrap();
        let Some((number, handle)) = of.get(index) else { return };
        self.request(isolate, browser, Intent::End(*number), Method::DELETE, format!("{SESSIONS}/{handle}"));
    }

    /// Asks who is signed in.
    pub(crate) fn look(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        self.request(isolate, browser, Intent::Use, Method::GET, "/auth/session".to_owned());
    }

    /// Signs out.
    pub(crate) fn sign_out(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        let intent = Intent::End(browser.number);
        self.request(isolate, browser, intent, Method::POST, "/auth/logout".to_owned());
    }

    /// Ends all sessions of the user at the provider's word.
    pub(crate) fn end_all(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        let (world, number) = (Rc::clone(self), browser.number);
        let index = IndexName::account(browser.profile.issuer, &browser.user.to_string());
        self.count("users ended by their provider");
        self.act(isolate, number, Intent::EndAllOf(browser.user), async move {
            let before_ms = world.now_ms();
            let doomed = world.checker.doomed(&world, number);
            let ended = world
                .isolate(isolate)
                .with_sessions(async |sessions| {
                    sessions.end_all(&index, IssuedAt::At(before_ms), EndReason::Revoked).await
                })
                .await;
            if ended.is_ok() {
                world.checker.saw_end_of_all(&world, &doomed);
            }
        });
    }

    pub(super) fn request(
        self: &Rc<Self>,
        isolate: usize,
        browser: &Rc<Browser>,
        intent: Intent,
        method: Method,
        target: String,
    ) {
        let (world, browser) = (Rc::clone(self), Rc::clone(browser));
        let number = browser.number;
        self.act(isolate, number, intent, async move {
            world.count("requests");
            let asked = Asked {
                isolate,
                began_ms: world.now_ms(),
                dead_ms: world.checker.dead_since_ms(&world, number),
                cookie: browser.cookie(),
                others: if target.starts_with(SESSIONS) {
                    world.checker.of_same_user(&world, number)
                } else {
                    Vec::new()
                },
                target,
            };
            let response = world.ask(isolate, browser.request(method, &asked.target)).await;
            world.trace(|| format!("session {number} sees {} for {}", response.status, asked.target));
            world.check_answer(&browser, &asked, response);
        });
    }

    fn check_answer(&self, browser: &Browser, asked: &Asked, response: Response<Text>) {
        let number = browser.number;
        let Asked { began_ms, dead_ms, target, .. } = asked;
        let report_violation =
            |what: String| self.checker.report_violation(self, || format!("session {number}, {target}: {what}"));
        let stalled = self.scheduler.current().is_some_and(|task| self.checker.stalled.borrow().contains(&task));
        if self.now_ms() - began_ms > MAX_REQUEST_MS && !stalled {
            report_violation(format!("took {} ms", self.now_ms() - began_ms));
        }
        let status = response.status;
        if status == StatusCode::NO_CONTENT {
            return self.check_done(browser, asked, &response);
        }
        let is_call = target.starts_with("/bff/");
        let body = body(response);
        let seen = match status {
            StatusCode::OK if target == "/auth/session" && body["authenticated"] == false => Seen::Unauthenticated,
            StatusCode::OK => Seen::Good,
            StatusCode::UNAUTHORIZED if body["code"] == "provider-sign-in-needed" => Seen::SignInNeeded,
            StatusCode::UNAUTHORIZED => Seen::Unauthenticated,
            StatusCode::SERVICE_UNAVAILABLE => Seen::Unavailable,
            status => Seen::Other(status.as_u16()),
        };
        browser.seen.borrow_mut().push(seen);
        match seen {
            Seen::Good => {
                self.count("served");
                let config = self.isolate(asked.isolate).config();
                let bound_ms = u64::try_from(config.sessions.revocation_bound.as_millis()).unwrap();
                if let Some(dead_ms) = dead_ms.filter(|dead_ms| *dead_ms <= *began_ms) {
                    self.count("served after the end, within the bound");
                    if *began_ms >= dead_ms + bound_ms {
                        report_violation(format!("served {} ms after its end", began_ms - dead_ms));
                    }
                }
                if target == SESSIONS {
                    return self.check_list(browser, asked, &body);
                }
                // What was cut on its way is nobody's.
                let mine = match is_call {
                    true => {
                        body.is_null()
                            || (body["id"] == browser.user
                                && body["grant"].as_u64().is_some_and(|it| is_of(it, number)))
                    }
                    false => body["user"]["id"] == format!("{}:{}", browser.profile.provider, browser.user),
                };
                if !mine {
                    report_violation(format!("was shown {body}"));
                }
                if !is_call {
                    self.check_look(browser, asked, &body);
                }
            }
            Seen::SignInNeeded => {
                self.count("told to sign in with the provider again");
                let is_mail = browser.profile.mail.as_ref().is_some_and(|mail| target.starts_with(mail.call));
                let is_own = is_mail || target.starts_with(browser.profile.call);
                let provider = if is_own { browser.profile.provider } else { CONNECTS };
                if !self.checker.excuses(self, number, provider, is_mail, *began_ms) {
                    report_violation("told to sign in with a provider that honours its token".to_owned());
                }
            }
            Seen::Unauthenticated => {
                self.count("told to sign in");
                match dead_ms {
                    Some(1..) if browser.has_session() => self.count("refused as ended"),
                    None if self.lives_well(number) && browser.has_session() => {
                        report_violation("told to sign in though it lives".to_owned());
                    }
                    _ => {}
                }
            }
            Seen::Unavailable => self.count("told to come back later"),
            Seen::Other(500) => report_violation("internal error".to_owned()),
            Seen::Other(_) => self.count("other answers"),
        }
    }

    /// What was to be done is done.
    fn check_done(&self, browser: &Browser, asked: &Asked, response: &Response<Text>) {
        let number = browser.number;
        let report_violation = |what: String| {
            self.checker.report_violation(self, || format!("session {number}, {}: {what}", asked.target))
        };
        let lives = |number: u64| self.checker.dead_since_ms(self, number).is_none();
        if asked.target.ends_with("/disconnect") {
            self.count("accounts disconnected");
            let before = browser.cookie();
            browser.take_cookies(response);
            if browser.cookie() != before {
                browser.knows(false, self.now_ms());
            }
        } else if asked.target == SESSIONS {
            self.count("other sessions ended");
            for (other, _) in asked.others.iter().filter(|(other, _)| *other != number && lives(*other)) {
                report_violation(format!("session {other} outlives the end of all others"));
            }
        } else if let Some(handle) = asked.target.strip_prefix(SESSIONS) {
            self.count("sessions ended by their name");
            let ended = asked.others.iter().find(|(_, of)| of == handle.trim_start_matches('/'));
            if ended.is_some_and(|(ended, _)| lives(*ended)) {
                report_violation("it lives".to_owned());
            }
        } else {
            self.count("sign-outs");
            if browser.has_session() && lives(number) {
                report_violation("signed out, and lives".to_owned());
            }
        }
    }

    /// A list of the user's sessions: all that live all the while, and nobody else's.
    fn check_list(&self, browser: &Browser, asked: &Asked, body: &Value) {
        self.count("own sessions listed");
        let report_violation =
            |what: String| self.checker.report_violation(self, || format!("session {}: {what}", browser.number));
        let shown: Vec<&str> =
            body["sessions"].as_array().into_iter().flatten().filter_map(|it| it["id"].as_str()).collect();
        let now = self.checker.of_same_user(self, browser.number);
        for (number, handle) in &asked.others {
            if now.iter().any(|(still, _)| still == number) && !shown.contains(&handle.as_str()) {
                report_violation(format!("session {number} is not in the list of its user's"));
            }
        }
        for handle in shown {
            if !self.checker.is_of_same_user(browser.number, handle) {
                report_violation(format!("{handle} is in a list of another user's"));
            }
        }
    }

    /// What a session is shown of itself is not older than what its browser was told.
    fn check_look(&self, browser: &Browser, asked: &Asked, body: &Value) {
        let known = browser.known.borrow();
        let Some((cookie, at_ms, has)) = known.as_ref() else { return };
        if asked.cookie.as_ref() != Some(cookie) || asked.began_ms < *at_ms {
            return;
        }
        if self.checker.has_account_since(browser.number, CONNECTS, *at_ms) == Some(*has) {
            self.count("looks at an account just connected or disconnected");
            let shown =
                body["connections"].as_array().is_some_and(|all| all.iter().any(|it| it["provider"] == CONNECTS));
            if shown != *has {
                self.checker
                    .report_violation(self, || format!("session {} is shown {body}, and knows better", browser.number));
            }
        }
    }

    /// Whether a session lives, and not so near its end that a wrong clock might think otherwise.
    pub(crate) fn lives_well(&self, number: u64) -> bool {
        if self.checker.dead_since_ms(self, number).is_some() {
            return false;
        }
        let expected_session = self.checker.expected_session.borrow();
        let handle = expected_session[&number].handle.clone().unwrap();
        let expires_at_ms = self.coordinator.sessions.borrow()[&handle].expires_at_ms;
        self.now_ms() + 2 * MAX_SKEW_MS < expires_at_ms
    }
}
