//! What users do: they sign in, call APIs, view and end their sessions, and sign out. Several tabs act at once, each at
//! any isolate.

mod answer_check;

use std::{future::Future, rc::Rc};

use causeway_core::{
    http::web::{Request, Response},
    session::{
        index::{Ending, IndexName, IssuedAt},
        record::SessionRecord,
    },
    testing::body::InMemoryBody,
};
use causeway_protocol::hub::EndReason;
use http::{Method, StatusCode};
use serde_json::json;

use self::answer_check::SentRequest;
use crate::{
    browser::{Browser, MAX_SKEW_MS},
    intent::Intent,
    upstream::CALLER_PARAMETER,
    world::World,
};

/// How much older than its delivery a logout token may be.
const MAX_LOGOUT_DELAY_MS: u64 = 180_000;
/// How much later than a logout token a session may have been signed in that the token still ends.
const LOGOUT_TOLERANCE_MS: u64 = 60_000;
/// The path of the user's sessions.
const SESSIONS_PATH: &str = "/auth/sessions";

impl World {
    /// Spawns a task that works for a sign-in or its session.
    pub(crate) fn spawn_action(
        self: &Rc<Self>,
        isolate: usize,
        number: u64,
        intent: Intent,
        work: impl Future<Output = ()> + 'static,
    ) {
        let task = self.scheduler.spawn(isolate, work);
        self.checker.register_task(task, number, intent);
    }

    pub(crate) async fn send_to_edge(
        self: &Rc<Self>,
        isolate: usize,
        request: Request<InMemoryBody>,
    ) -> Response<InMemoryBody> {
        let isolate = self.isolate(isolate);
        let edge = isolate.edge();
        self.trace(|| format!("isolate {} receives {} {}", isolate.platform.isolate, request.method, request.path));
        edge.handle(&isolate.platform, request).await
    }

    /// Signs in: with GitHub as a browser does, with other providers from the point at which the user is known.
    pub(crate) fn sign_in(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        self.checker.expect_session(browser);
        let (world, browser) = (Rc::clone(self), Rc::clone(browser));
        let number = browser.number;
        let intent = browser.replaced_session().map_or(Intent::Use, Intent::End);
        self.spawn_action(isolate, number, intent, async move {
            if browser.profile.provider != "github" {
                return world.create_session(isolate, &browser).await;
            }
            world.authorize_at_github(isolate, &browser, "/auth/github/login", number).await;
        });
    }

    async fn create_session(self: &Rc<Self>, isolate: usize, browser: &Browser) {
        let (number, user, profile) = (browser.number, browser.user, browser.profile);
        let isolate = self.isolate(isolate);
        let now_ms = self.now_ms();
        let mut tokens = self.create_grant(profile, user, number);
        let isolate_now_ms = now_ms.saturating_add_signed(isolate.platform.skew_ms);
        tokens["obtained_at_ms"] = isolate_now_ms.into();
        tokens["expires_at_ms"] = (isolate_now_ms + self.authorization_servers.access_token_lifetime_ms.get()).into();
        tokens["scopes"] = json!([]);
        let identity = json!({"subject": format!("{}:{user}", profile.provider), "name": "Ada", "email": null});
        let session_lifetime_ms = u64::try_from(isolate.config().sessions.lifetime.as_millis()).unwrap();
        let record: SessionRecord = serde_json::from_value(json!({
            "user": identity, "provider": profile.provider,
            "created_at_ms": isolate_now_ms, "expires_at_ms": isolate_now_ms + session_lifetime_ms,
            "accounts": {profile.provider: {
                "user": identity, "issuer": profile.issuer, "sub": user.to_string(), "sid": null,
                "signed_in_at_ms": now_ms, "tokens": tokens,
            }},
        }))
        .unwrap();
        let created = isolate.with_sessions(async |sessions| sessions.create(&record, "browser").await).await;
        if let Ok(cookie) = created {
            let mut response = Response::empty(StatusCode::OK);
            response.add(http::header::SET_COOKIE, &cookie);
            browser.store_cookies(&response);
        }
    }

    /// Calls the API of the sign-in's provider, through the edge.
    pub(crate) fn call(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        let target = format!("{}?{CALLER_PARAMETER}{}", browser.profile.edge_path, browser.number);
        self.request(isolate, browser, Intent::Use, Method::GET, target);
    }

    /// Calls the service that takes restricted tokens, if the provider has one.
    pub(crate) fn call_restricted(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        let Some(service) = &browser.profile.restricted else { return };
        let target = format!("{}?{CALLER_PARAMETER}{}", service.edge_path, browser.number);
        self.request(isolate, browser, Intent::Use, Method::GET, target);
    }

    /// Lists the user's sessions.
    pub(crate) fn list_sessions(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        let intent = Intent::EndAllOf(browser.user);
        self.request(isolate, browser, intent, Method::GET, SESSIONS_PATH.to_owned());
    }

    /// Ends all other sessions of the user.
    pub(crate) fn end_other_sessions(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        let intent = Intent::EndAllOf(browser.user);
        self.request(isolate, browser, intent, Method::DELETE, SESSIONS_PATH.to_owned());
    }

    /// Ends one session of the user, drawn at random. It may be the browser's own.
    pub(crate) fn end_drawn_session(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        let sessions = self.checker.of_same_user(self, browser.number);
        let index = usize::try_from(self.scheduler.draw(0..sessions.len().max(1) as u64)).unwrap();
        let Some((number, handle)) = sessions.get(index) else { return };
        self.request(isolate, browser, Intent::End(*number), Method::DELETE, format!("{SESSIONS_PATH}/{handle}"));
    }

    /// Views the session: who is signed in, and with which accounts.
    pub(crate) fn view_session(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        self.request(isolate, browser, Intent::Use, Method::GET, "/auth/session".to_owned());
    }

    pub(crate) fn sign_out(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        let intent = Intent::End(browser.number);
        self.request(isolate, browser, intent, Method::POST, "/auth/logout".to_owned());
    }

    /// The provider ends all sessions of the user. If it says when, the edge may hear of it late; then it ends only what was
    /// signed in by that time.
    pub(crate) fn end_all_by_provider(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        let (world, number) = (Rc::clone(self), browser.number);
        let index = IndexName::account(browser.profile.issuer, &browser.user.to_string());
        self.count("users whose provider ended their sessions");
        let has_time = browser.profile.reports_auth_time;
        let (delay_ms, tolerance_ms) = match has_time && self.scheduler.chance(700) {
            true => (self.scheduler.draw(0..MAX_LOGOUT_DELAY_MS), LOGOUT_TOLERANCE_MS),
            false if has_time => (0, LOGOUT_TOLERANCE_MS),
            false => (0, u64::MAX),
        };
        let issued_at_ms = self.now_ms().saturating_sub(delay_ms);
        let until_ms = issued_at_ms.saturating_add(tolerance_ms);
        let intent = Intent::EndSignedInUntil { user: browser.user, until_ms };
        self.spawn_action(isolate, number, intent, async move {
            let must_end_until_ms = if has_time { issued_at_ms } else { u64::MAX };
            let numbers = world.checker.sessions_to_end(&world, number, must_end_until_ms);
            let ending = Ending { before: IssuedAt::At(issued_at_ms), tolerance_ms, message: None };
            let ended = world
                .isolate(isolate)
                .with_sessions(async |sessions| sessions.end_all(&index, ending, EndReason::Revoked).await)
                .await;
            if ended.is_ok() {
                world.checker.on_end_of_all(&world, &numbers);
                world.checker.count_newer_sessions(&world, number, until_ms);
            }
        });
    }

    /// Sends a browser's request to the edge and checks the answer.
    pub(crate) fn request(
        self: &Rc<Self>,
        isolate: usize,
        browser: &Rc<Browser>,
        intent: Intent,
        method: Method,
        target: String,
    ) {
        let (world, browser) = (Rc::clone(self), Rc::clone(browser));
        let number = browser.number;
        self.spawn_action(isolate, number, intent, async move {
            world.count("requests");
            let sent = SentRequest {
                isolate,
                began_ms: world.now_ms(),
                dead_since_ms: world.checker.dead_since_ms(&world, number),
                session_cookie: browser.session_cookie(),
                sessions_of_user: if target.starts_with(SESSIONS_PATH) {
                    world.checker.of_same_user(&world, number)
                } else {
                    Vec::new()
                },
                target,
            };
            let response = world.send_to_edge(isolate, browser.request(method, &sent.target)).await;
            world.trace(|| format!("session {number} gets {} for {}", response.status, sent.target));
            world.check_answer(&browser, &sent, response);
        });
    }

    /// Whether a session is alive and so far from its end that no isolate's clock takes it for expired.
    pub(crate) fn is_alive_by_all_clocks(&self, number: u64) -> bool {
        if self.checker.dead_since_ms(self, number).is_some() {
            return false;
        }
        let expected_sessions = self.checker.expected_sessions.borrow();
        let handle = expected_sessions[&number].handle.clone().unwrap();
        let expires_at_ms = self.coordinator.sessions.borrow()[&handle].expires_at_ms;
        self.now_ms() + 2 * MAX_SKEW_MS < expires_at_ms
    }
}
