//! Accounts that users connect to their sessions and disconnect: another provider's account, or the sign-in's own
//! account again.

use std::rc::Rc;

use causeway_core::session::index::{Ending, IndexName, IssuedAt};
use causeway_protocol::hub::EndReason;
use http::Method;
use serde_json::Value;

use crate::{
    browser::{Browser, json_body},
    intent::Intent,
    provider_profile::profile,
    token::GRANTS_PER_BROWSER,
    upstream::CALLER_PARAMETER,
    world::World,
};

/// The provider whose accounts users connect to their sessions.
pub(crate) const LINKED_PROVIDER: &str = "github";

/// Whether the edge's description of a session lists an account of [`LINKED_PROVIDER`].
pub(crate) fn lists_linked_account(session: &Value) -> bool {
    session["connections"].as_array().is_some_and(|all| all.iter().any(|it| it["provider"] == LINKED_PROVIDER))
}

impl World {
    /// Goes through GitHub's authorization, from a login path to the callback. Returns whether the browser got a new
    /// session cookie.
    pub(crate) async fn authorize_at_github(
        self: &Rc<Self>,
        isolate: usize,
        browser: &Browser,
        login: &str,
        grant: u64,
    ) -> bool {
        let response = self.send_to_edge(isolate, browser.request(Method::GET, login)).await;
        browser.store_cookies(&response);
        let Some(location) = response.headers.get("location") else { return false };
        let url = url::Url::parse(location.to_str().unwrap()).unwrap();
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let code = format!("code-{}-{grant}", browser.user);
        let callback_isolate = self.draw_isolate();
        let callback = browser.request(Method::GET, &format!("/auth/github/callback?code={code}&state={state}"));
        let response = self.send_to_edge(callback_isolate, callback).await;
        let old_cookie = browser.session_cookie();
        browser.store_cookies(&response);
        browser.session_cookie() != old_cookie
    }

    /// Connects an account of the same user. If the session already has one of this provider, the new one replaces it.
    pub(crate) fn connect(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        self.count("attempts to connect an account");
        let grant = browser.number * GRANTS_PER_BROWSER + browser.next_link_attempt();
        let (world, browser) = (Rc::clone(self), Rc::clone(browser));
        self.spawn_action(isolate, browser.number, Intent::Use, async move {
            if world.authorize_at_github(isolate, &browser, "/auth/github/login?connect=1", grant).await {
                browser.note_link_change(true, world.now_ms());
            }
        });
    }

    /// Disconnects the linked account.
    pub(crate) fn disconnect(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        if browser.profile.provider != LINKED_PROVIDER {
            let target = format!("/auth/{LINKED_PROVIDER}/disconnect");
            self.request(isolate, browser, Intent::Disconnect, Method::POST, target);
        }
    }

    /// Calls the API of the linked account, whether or not the session has one.
    pub(crate) fn call_linked_account(self: &Rc<Self>, isolate: usize, browser: &Rc<Browser>) {
        let target = format!("{}?{CALLER_PARAMETER}{}", profile(LINKED_PROVIDER).edge_path, browser.number);
        self.request(isolate, browser, Intent::Use, Method::GET, target);
    }

    /// Checks, without faults and other requests under way, that a session with a linked account ends when that
    /// account's provider ends the account's sessions.
    pub(crate) fn check_end_by_linked_provider(self: &Rc<Self>, browser: &Rc<Browser>) {
        if browser.profile.provider == LINKED_PROVIDER {
            return;
        }
        let (world, browser) = (Rc::clone(self), Rc::clone(browser));
        self.spawn_action(0, browser.number, Intent::EndAllOf(browser.user), async move {
            // The isolate's cache may be older than a disconnection.
            world.isolate(0).restart();
            let response = world.send_to_edge(0, browser.request(Method::GET, "/auth/session")).await;
            if !lists_linked_account(&json_body(response)) {
                return;
            }
            world.count("accounts connected at the end");
            let index = IndexName::account(profile(LINKED_PROVIDER).issuer, &browser.user.to_string());
            let ended = world
                .isolate(0)
                .with_sessions(async |sessions| {
                    let ending = Ending { before: IssuedAt::At(world.now_ms()), tolerance_ms: u64::MAX, message: None };
                    sessions.end_all(&index, ending, EndReason::Revoked).await
                })
                .await;
            if ended.is_err() || world.checker.dead_since_ms(&world, browser.number).is_none() {
                world.checker.report_violation(&world, || {
                    format!("session {} survives the end of its linked account", browser.number)
                });
            }
        });
    }
}
