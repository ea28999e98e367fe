//! Accounts that browsers connect to their sessions, and disconnect: of another provider, or the same one anew.

use std::rc::Rc;

use causeway_core::session::index::{IndexName, IssuedAt};
use causeway_protocol::hub::EndReason;
use http::Method;

use super::{
    World, authority,
    browser::{Browser, body},
    invariant::Intent,
    upstream::ASKED_BY,
};

/// Grants of accounts that were connected are numbered from here on: the browser's number times this, and one more each.
const CONNECTED: u64 = 1_000;
/// The provider whose accounts are connected to sessions that others began.
pub(super) const CONNECTS: &str = "github";

/// Whether a grant is of a browser: its own, or of an account that it connected.
pub(crate) fn is_of(grant: u64, browser: u64) -> bool {
    grant == browser || grant / CONNECTED == browser
}

impl World {
    /// To GitHub and back. Tells whether that gave the browser another cookie.
    pub(super) async fn walk(self: &Rc<Self>, isolate: usize, browser: &Browser, login: &str, grant: u64) -> bool {
        let response = self.ask(isolate, browser.request(Method::GET, login)).await;
        browser.take_cookies(&response);
        let Some(location) = response.headers.get("location") else { return false };
        let url = url::Url::parse(location.to_str().unwrap()).unwrap();
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let code = format!("code-{}-{grant}", browser.user);
        let back = self.draw_isolate();
        let callback = browser.request(Method::GET, &format!("/auth/github/callback?code={code}&state={state}"));
        let response = self.ask(back, callback).await;
        let before = browser.cookie();
        browser.take_cookies(&response);
        browser.cookie() != before
    }

    /// Connects an account of the same user; one that the session began with, anew.
    pub(crate) fn connect(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        self.count("accounts connected, or tried to");
        browser.connected.set(browser.connected.get() + 1);
        let grant = browser.number * CONNECTED + browser.connected.get();
        let (world, browser) = (Rc::clone(self), Rc::clone(browser));
        self.act(isolate, browser.number, Intent::Use, async move {
            if world.walk(isolate, &browser, "/auth/github/login?connect=1", grant).await {
                browser.knows(true, world.now_ms());
            }
        });
    }

    /// Disconnects that account.
    pub(crate) fn disconnect(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        if browser.profile.provider != CONNECTS {
            self.request(isolate, browser, Intent::Disconnect, Method::POST, format!("/auth/{CONNECTS}/disconnect"));
        }
    }

    /// Calls the API of the account that is connected, or was.
    pub(crate) fn call_connected(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        let target = format!("{}?{ASKED_BY}{}", authority::profile(CONNECTS).call, browser.number);
        self.request(isolate, browser, Intent::Use, Method::GET, target);
    }

    /// In fair faults, with nothing else under way: if the session says that it has the account, the provider that ends
    /// the account ends the session.
    pub(crate) fn end_connected(self: &Rc<Self>, browser: &Rc<Browser>) {
        if browser.profile.provider == CONNECTS {
            return;
        }
        let (world, browser) = (Rc::clone(self), Rc::clone(browser));
        self.act(0, browser.number, Intent::EndAllOf(browser.user), async move {
            // What it remembers may be older than a disconnection.
            world.isolate(0).restart();
            let response = world.ask(0, browser.request(Method::GET, "/auth/session")).await;
            let shown = body(response);
            let has =
                shown["connections"].as_array().is_some_and(|all| all.iter().any(|it| it["provider"] == CONNECTS));
            if !has {
                return;
            }
            world.count("accounts connected at the end");
            let index = IndexName::account(authority::profile(CONNECTS).issuer, &browser.user.to_string());
            let ended = world
                .isolate(0)
                .with_sessions(async |sessions| {
                    sessions.end_all(&index, IssuedAt::At(world.now_ms()), EndReason::Revoked).await
                })
                .await;
            if ended.is_err() || world.checker.dead_since_ms(&world, browser.number).is_none() {
                world
                    .checker
                    .report_violation(&world, || format!("session {} outlives an account it has", browser.number));
            }
        });
    }
}
