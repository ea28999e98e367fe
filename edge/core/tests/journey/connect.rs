//! Several accounts in one session.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use causeway_core::{
    session::state::{LEASE_MS, Lease},
    testing::{
        entra::{self, KEY},
        platform::Sent,
        run::run_all,
        settings::app_settings,
    },
};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Browser, code, github, text};

/// A deployment with GitHub and Entra.
struct Both {
    browser: Browser,
    nonce: Rc<RefCell<String>>,
}

impl Both {
    fn new() -> Self {
        Self::configured(&[])
    }

    fn configured(more: &[(&str, &str)]) -> Self {
        let nonce = Rc::new(RefCell::new(String::new()));
        let (known, fetches) = (Rc::clone(&nonce), Rc::default());
        let browser = Browser::configured(more, move |sent: &Sent| {
            let (status, headers, body) = entra::answer(sent, &known.borrow(), &fetches)
                .or_else(|| github(sent))
                .or_else(|| match sent.url.as_str() {
                    "https://graph.microsoft.com/v1.0/me" | "https://api.example/x" => {
                        Some((200, Vec::new(), "{}".to_owned()))
                    }
                    "https://api.github.com/app/installations/7/access_tokens" => {
                        Some((201, Vec::new(), r#"{"token":"ghs_1","expires_at":"2027-01-15T09:00:00Z"}"#.to_owned()))
                    }
                    url if url.starts_with("https://api.github.com/applications/") => {
                        Some((204, Vec::new(), String::new()))
                    }
                    _ => None,
                })?;
            if !sent.url.ends_with("/oauth2/v2.0/token") {
                return Some((status, headers, body));
            }
            let mut body: Value = serde_json::from_str(&body).unwrap();
            body["id_token"] = json!(entra::token_with(json!({}), json!({"nonce": *known.borrow()}), &KEY));
            Some((status, headers, body.to_string()))
        });
        Self { browser, nonce }
    }

    /// Goes through the provider; returns the response to the callback.
    fn walk(&self, login: &str) -> (StatusCode, String) {
        let response = self.browser.send(Method::GET, login, &[("sec-fetch-site", "same-origin")], "");
        if response.status != StatusCode::SEE_OTHER {
            return (response.status, text(&response));
        }
        let url = url::Url::parse(response.headers["location"].to_str().unwrap()).unwrap();
        let parameter =
            |name: &str| url.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned());
        *self.nonce.borrow_mut() = parameter("nonce").unwrap_or_default();
        let provider = login.split('/').nth(2).unwrap();
        // The provider's site starts this request, so the browser sends no Strict cookie.
        let strict: Vec<_> =
            self.browser.cookies.borrow().iter().filter(|(name, _)| name.ends_with("session")).cloned().collect();
        self.browser.cookies.borrow_mut().retain(|(name, _)| !name.ends_with("session"));
        let target = format!("/auth/{provider}/callback?code=good&state={}", parameter("state").unwrap());
        let response = self.browser.get(&target);
        let has_new = self.browser.cookies.borrow().iter().any(|(name, _)| name.ends_with("session"));
        if !has_new {
            self.browser.cookies.borrow_mut().extend(strict);
        }
        (response.status, text(&response))
    }

    fn accounts(&self) -> Vec<String> {
        let session = self.browser.session();
        let list = session["connections"].as_array().unwrap();
        list.iter().map(|account| account["provider"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn each_upstream_gets_the_token_of_its_own_account() {
    let both = Both::new();
    assert_eq!(both.walk("/auth/github/login").0, StatusCode::SEE_OTHER);
    let user = both.browser.session()["user"].clone();
    assert_eq!(both.browser.script(Method::GET, "/bff/graph/v1.0/me", "").status, StatusCode::UNAUTHORIZED);
    assert_eq!(both.walk("/auth/entra/login?connect=1").0, StatusCode::SEE_OTHER);
    assert_eq!(both.accounts(), ["entra", "github"]);
    assert_eq!(both.browser.session()["user"], user, "it is still the same user's session");
    let owns = |index: usize| both.browser.session()["connections"][index]["own"].clone();
    assert_eq!([owns(0), owns(1)], [serde_json::Value::Null, true.into()], "of the account that began the session");
    for (target, url) in [
        ("/bff/graph/v1.0/me", "https://graph.microsoft.com/v1.0/me"),
        ("/bff/github/user", "https://api.github.com/user"),
    ] {
        assert_eq!(both.browser.script(Method::GET, target, "").status, StatusCode::OK);
        let sent = both.browser.sent_to(url).pop().unwrap();
        let is_github = sent.headers["authorization"] == "Bearer gho_secret";
        assert_eq!(is_github, url.contains("github"), "S101: a token goes to its own provider's API");
    }
}

#[test]
fn m21_service_is_limited_to_users_of_its_providers() {
    let app = app_settings();
    let services = r#"[
        {"name":"app","url":"https://api.example","users_of":["entra"],"allow":["GET /x"],
         "installation":{"id":7,"permissions":{"contents":"read"}}},
        {"name":"api","url":"https://api.example","users_of":["entra"],"allow":["GET /x"],
         "provider":"github","shares_token":true}
    ]"#;
    let mut settings = vec![("SERVICES", services)];
    settings.extend(app.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    for (first, second, expected) in [("github", "entra", 403), ("entra", "github", 200)] {
        let both = Both::configured(&settings);
        both.walk(&format!("/auth/{first}/login"));
        both.walk(&format!("/auth/{second}/login?connect=1"));
        assert_eq!(both.accounts(), ["entra", "github"]);
        both.browser.platform.sent.borrow_mut().clear();
        for target in ["/bff/app/x", "/bff/api/x"] {
            let response = both.browser.script(Method::GET, target, "");
            assert_eq!(response.status.as_u16(), expected, "{target} {first}");
            if expected == 403 {
                assert_eq!(code(&response), "not-for-user");
                assert!(both.browser.platform.sent.borrow().is_empty(), "nothing is minted or sent: {target}");
            }
        }
    }
}

#[test]
fn m16_user_of_a_replaced_issuer_is_rejected() {
    let services = |id: &str| {
        format!(
            r#"[{{"name":"api","url":"https://api.example","provider":"github","shares_token":true,"users_of":["{id}"],"allow":["GET /x"]}}]"#
        )
    };
    let both = Both::configured(&[("SERVICES", &services("entra"))]);
    both.walk("/auth/entra/login");
    both.walk("/auth/github/login?connect=1");
    assert_eq!(both.browser.script(Method::GET, "/bff/api/x", "").status, StatusCode::OK);
    let elsewhere = [("SERVICES", &*services("entra")), ("ENTRA_TENANT", "9b1d6b1e-0f5c-4f0a-8a5e-0d1c2b3a4f5e")];
    let browser = both.browser.at_another_edge(&elsewhere);
    assert_eq!(code(&browser.script(Method::GET, "/bff/api/x", "")), "unauthenticated");
}

#[test]
fn linked_account_is_visible_at_every_isolate_at_once() {
    let mut both = Both::new();
    both.walk("/auth/github/login");
    let first = both.browser.goes_to(None);
    assert_eq!(both.accounts(), ["github"]);
    let second = both.browser.goes_to(None);
    assert_eq!(both.accounts(), ["github"]);
    let third = both.browser.goes_to(Some(first));
    let before = both.browser.cookies.borrow().clone();
    both.walk("/auth/entra/login?connect=1");
    let after = both.browser.cookies.replace(before);
    // Signing in at the provider takes its time.
    both.browser.platform.now_ms.set(both.browser.platform.now_ms.get() + 1_000);
    both.browser.goes_to(Some(second));
    let seen = both.browser.script(Method::GET, "/bff/graph/v1.0/me", "");
    assert_eq!(seen.status, StatusCode::OK, "a request that was under way with the cookie from before");
    both.browser.cookies.replace(after);
    both.browser.goes_to(Some(third));
    assert_eq!(both.accounts(), ["entra", "github"], "a page that the browser comes back to");
    both.browser.script(Method::POST, "/auth/entra/disconnect", "");
    assert_eq!(both.accounts(), ["github"]);
}

#[test]
fn disconnecting_an_account_revokes_its_token() {
    let both = Both::new();
    both.walk("/auth/entra/login");
    both.walk("/auth/github/login?connect=1");
    let response = both.browser.script(Method::POST, "/auth/github/disconnect", "");
    assert_eq!(response.status, StatusCode::NO_CONTENT);
    assert_eq!(both.accounts(), ["entra"]);
    assert_eq!(both.browser.script(Method::GET, "/bff/github/user", "").status, StatusCode::UNAUTHORIZED);
    let revocation = both.browser.sent_to("https://api.github.com/applications/").pop().unwrap();
    assert!(revocation.body.contains("gho_secret"));
    let again = both.browser.script(Method::POST, "/auth/github/disconnect", "");
    assert_eq!(again.status, StatusCode::NO_CONTENT, "a repeated click is not an error");
    let own = both.browser.script(Method::POST, "/auth/entra/disconnect", "");
    assert_eq!(code(&own), "own-account");
}

#[test]
fn linking_an_account_requires_a_live_session() {
    let both = Both::new();
    assert_eq!(both.walk("/auth/entra/login?connect=1").0, StatusCode::UNAUTHORIZED);
    both.walk("/auth/github/login");
    let state = both.browser.send(
        Method::GET,
        "/auth/entra/login?connect=1",
        &[("referer", "https://host.edge.example/chat?x")],
        "",
    );
    assert_eq!(state.status, StatusCode::SEE_OTHER);
    both.browser.script(Method::POST, "/auth/logout", "");
    assert_eq!(both.walk("/auth/entra/login?connect=1").0, StatusCode::UNAUTHORIZED);
}

#[test]
fn session_ended_during_account_linking_stays_ended() {
    let both = Both::new();
    both.walk("/auth/entra/login");
    both.browser.platform.revoke_at_send.set(true);
    let (status, _) = both.walk("/auth/github/login?connect=1");
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(both.browser.session()["authenticated"], false);
    assert!(!both.browser.sent_to("https://api.github.com/applications/").is_empty(), "its tokens are revoked");
}

#[test]
fn tokens_are_kept_when_the_linking_outcome_is_unknown() {
    let mut both = Both::new();
    both.walk("/auth/entra/login");
    both.browser.platform.loses_replies_to.set(Some("\"stored\""));
    assert_eq!(both.walk("/auth/github/login?connect=1").0, StatusCode::SERVICE_UNAVAILABLE);
    both.browser.platform.loses_replies_to.set(None);
    both.browser.goes_to(None);
    assert!(both.browser.sent_to("https://api.github.com/applications/").is_empty());
    assert_eq!(both.accounts(), ["entra", "github"], "it was stored, and works");
    assert_eq!(both.browser.script(Method::GET, "/bff/github/user", "").status, StatusCode::OK);
}

#[test]
fn same_account_can_be_linked_again() {
    let both = Both::new();
    both.walk("/auth/github/login");
    assert_eq!(both.walk("/auth/github/login?connect=1").0, StatusCode::SEE_OTHER);
    assert_eq!(both.accounts(), ["github"]);
}

#[test]
fn another_account_of_the_sessions_own_provider_is_rejected() {
    let user = Rc::new(Cell::new(7));
    let who = Rc::clone(&user);
    let browser = Browser::new(move |sent: &Sent| match sent.url.as_str() {
        "https://api.github.com/user" => {
            Some((200, Vec::new(), format!(r#"{{"id":{},"login":"x","name":null,"email":null}}"#, who.get())))
        }
        _ => github(sent),
    });
    let both = Both { browser, nonce: Rc::default() };
    both.walk("/auth/github/login");
    user.set(8);
    assert_eq!(both.walk("/auth/github/login?connect=1").0, StatusCode::CONFLICT);
    assert_eq!(both.browser.session()["user"]["id"], "github:7");
}

#[test]
fn s80_other_pages_and_sibling_sites_cannot_start_account_linking() {
    let both = Both::new();
    both.walk("/auth/entra/login");
    for headers in [
        &[("sec-fetch-site", "same-site")] as &[(&str, &str)],
        &[("sec-fetch-site", "same-site"), ("referer", "https://taken.edge.example/")],
        &[("sec-fetch-site", "cross-site"), ("referer", "https://host.edge.example.evil.example/")],
        &[("sec-fetch-site", "none")],
        &[],
    ] {
        let response = both.browser.send(Method::GET, "/auth/github/login?connect=1", headers, "");
        assert_eq!(response.status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    assert_eq!(both.accounts(), ["entra"]);
}

/// A request was cut off while it refreshed the session's token, so its lease lasts until it expires.
#[test]
fn linking_waits_for_an_abandoned_lease_and_gives_up_if_it_never_ends() {
    for (ends, status) in [(true, StatusCode::SEE_OTHER), (false, StatusCode::SERVICE_UNAVAILABLE)] {
        let both = Both::new();
        both.walk("/auth/entra/login");
        let platform = &both.browser.platform;
        let begun =
            both.browser.send(Method::GET, "/auth/github/login?connect=1", &[("sec-fetch-site", "same-origin")], "");
        let url = url::Url::parse(begun.headers["location"].to_str().unwrap()).unwrap();
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let began_ms = platform.now_ms.get();
        let until_ms = if ends { began_ms + LEASE_MS } else { u64::MAX };
        platform.change_sessions(|state| {
            let account = Some("entra".to_owned());
            state.lease = Some(Lease { until_ms, account, refused: None, attempt_id: 0 });
        });
        let request =
            both.browser.request(Method::GET, &format!("/auth/github/callback?code=good&state={state}"), &[], "");
        let response = run_all(platform, vec![Box::pin(both.browser.edge.handle(platform, request))]).remove(0);
        assert_eq!(response.status, status, "{}", text(&response));
        let waited_ms = platform.now_ms.get() - began_ms;
        assert!((LEASE_MS..LEASE_MS + 12_000).contains(&waited_ms), "{waited_ms}");
        let given_up = both.browser.sent_to("https://api.github.com/applications/");
        assert_eq!(given_up.iter().filter(|sent| sent.body.contains("gho_secret")).count(), usize::from(!ends));
    }
}
