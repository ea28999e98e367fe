//! Services with access tokens restricted to them (RFC 9700 §2.3, RFC 8707).

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use causeway_core::testing::{
    corp::{self, Corp},
    openid::form,
    platform::{Answer, Sent},
};
use http::{Method, StatusCode};
use serde_json::json;

use super::{Browser, JSON, code};

const TOKEN: &str = "https://id.corp.example/token";
const SERVICES: &str = r#"[
    {"name":"plain","url":"https://plain.corp.example","provider":"corp","allow":["GET /x"]},
    {"name":"mail","url":"https://mail.corp.example","provider":"corp","allow":["GET /x"],
     "token":{"scopes":["mail.read"],"resource":"https://mail.corp.example"}},
    {"name":"files","url":"https://files.corp.example","provider":"corp","allow":["GET /x"],"token":{"scopes":["files.read"]}}
]"#;

const SETTINGS: [(&str, &str); 3] = [corp::SETTINGS[0], corp::SETTINGS[1], ("SERVICES", SERVICES)];

/// A provider whose access tokens name their audience, and whose refresh tokens are single-use.
struct Narrow {
    corp: Rc<Corp>,
    refreshes: Cell<u32>,
    /// Which restriction is denied, and with which error code.
    denied: RefCell<Option<(&'static str, &'static str)>>,
    /// Whether the denial consumes the refresh token.
    uses_up: Cell<bool>,
    /// Whether the grant is revoked.
    is_expired: Cell<bool>,
    /// Whether the provider is down.
    is_down: Cell<bool>,
    /// The token that the mail service answers with 401.
    refused: RefCell<Option<&'static str>>,
}

impl Narrow {
    fn answer(&self, sent: &Sent) -> Option<Answer> {
        let bearer = sent.headers.get("authorization").and_then(|value| value.to_str().ok());
        if sent.url == "https://mail.corp.example/x" && bearer == *self.refused.borrow() {
            return Some(answer(401, &json!({})));
        }
        if sent.url == TOKEN && self.is_down.get() {
            return Some(answer(503, &json!({})));
        }
        if sent.url != TOKEN || !sent.body.contains("grant_type=refresh_token") {
            let upstream = sent.url.ends_with(".corp.example/x").then(|| answer(200, &json!([])));
            return self.corp.answer(sent).or(upstream);
        }
        let form = form(sent);
        let scope = form["scope"].clone();
        let error = |error| Some(answer(400, &json!({"error": error})));
        if self.is_expired.get() {
            return error("invalid_grant");
        }
        if let Some((_, word)) = self.denied.borrow().filter(|(denied, _)| scope == *denied) {
            self.is_expired.set(self.uses_up.get());
            return error(word);
        }
        let now = self.refreshes.get();
        let expected = if now == 0 { "corp-refresh".to_owned() } else { format!("refresh-{now}") };
        assert_eq!(form["refresh_token"], expected, "each is sent once");
        self.refreshes.set(now + 1);
        let resource = form.get("resource").map(String::as_str).unwrap_or_default();
        Some(answer(
            200,
            &json!({
                "access_token": format!("{}:{scope}:{resource}", now + 1).replace(' ', "+"), "token_type": "Bearer",
                "expires_in": 3600, "refresh_token": format!("refresh-{}", now + 1),
            }),
        ))
    }
}

fn answer(status: u16, body: &serde_json::Value) -> Answer {
    (status, vec![("content-type", JSON.to_owned())], body.to_string())
}

fn signed_in() -> (Browser, Rc<Narrow>) {
    let corp = Corp::new();
    let provider = Rc::new(Narrow {
        corp: Rc::clone(&corp),
        refreshes: Cell::default(),
        denied: RefCell::default(),
        uses_up: Cell::default(),
        is_expired: Cell::default(),
        is_down: Cell::default(),
        refused: RefCell::default(),
    });
    let upstream = Rc::clone(&provider);
    let browser = Browser::configured(&SETTINGS, move |sent| upstream.answer(sent));
    browser.sign_in_at(&corp);
    (browser, provider)
}

fn status(browser: &Browser, service: &str) -> StatusCode {
    browser.script(Method::GET, &format!("/bff/{service}/x"), "").status
}

/// The tokens that the service was called with.
fn bearer(browser: &Browser, service: &str) -> String {
    assert_eq!(status(browser, service), StatusCode::OK, "{:?}", browser.platform.log.borrow());
    let sent = browser.sent_to(&format!("https://{service}.corp.example/x")).pop().unwrap();
    sent.headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned()
}

fn later(browser: &Browser, ms: u64) {
    browser.platform.now_ms.set(browser.platform.now_ms.get() + ms);
}

#[test]
fn m21_each_service_gets_a_token_for_itself_only() {
    let (mut browser, provider) = signed_in();
    assert_eq!(bearer(&browser, "plain"), "corp-access");
    assert_eq!(bearer(&browser, "mail"), "1:mail.read:https://mail.corp.example");
    assert_eq!(bearer(&browser, "files"), "2:files.read:");
    // Each token is stored beside the others, at whichever isolate it was requested.
    for _ in 0..2 {
        assert_eq!(bearer(&browser, "mail"), "1:mail.read:https://mail.corp.example");
        assert_eq!(bearer(&browser, "files"), "2:files.read:");
        assert_eq!(bearer(&browser, "plain"), "corp-access");
        browser = browser.at_another_edge(&SETTINGS);
    }
    assert_eq!(provider.refreshes.get(), 2);
    // Each is refreshed separately. The account's own token never gains the scopes of the others.
    later(&browser, 3_600_000);
    assert_eq!(bearer(&browser, "plain"), "3:openid+profile+email:");
    assert_eq!(bearer(&browser, "files"), "4:files.read:");
    assert_eq!(bearer(&browser, "mail"), "5:mail.read:https://mail.corp.example");
    assert_eq!(provider.refreshes.get(), 5);
}

#[test]
fn m21_user_consents_to_all_scopes_at_once() {
    let (browser, _) = signed_in();
    let response = browser.get("/auth/corp/login");
    let url = url::Url::parse(response.headers["location"].to_str().unwrap()).unwrap();
    let value = |name: &str| url.query_pairs().find(|(found, _)| found == name).unwrap().1.into_owned();
    assert_eq!(value("scope"), "openid profile email mail.read files.read");
    assert_eq!(value("resource"), "https://mail.corp.example");
}

#[test]
fn token_rejected_by_one_service_is_refreshed_for_that_service() {
    let (browser, provider) = signed_in();
    assert_eq!(bearer(&browser, "mail"), "1:mail.read:https://mail.corp.example");
    *provider.refused.borrow_mut() = Some("Bearer 1:mail.read:https://mail.corp.example");
    assert_eq!(bearer(&browser, "mail"), "2:mail.read:https://mail.corp.example");
    assert_eq!(bearer(&browser, "plain"), "corp-access");
}

fn asked_for_mail(browser: &Browser) -> usize {
    browser.sent_to(TOKEN).iter().filter(|sent| sent.body.contains("mail.read")).count()
}

fn assert_denied(browser: &Browser, service: &str) {
    let response = browser.script(Method::GET, &format!("/bff/{service}/x"), "");
    assert_eq!((response.status, code(&response).as_str()), (StatusCode::UNAUTHORIZED, "provider-sign-in-needed"));
    assert!(browser.sent_to(&format!("https://{service}.corp.example/x")).is_empty(), "it gets no other token instead");
}

#[test]
fn denied_restriction_affects_its_service_only() {
    for (word, own) in [("invalid_grant", "1:openid+profile+email:"), ("invalid_target", "corp-access")] {
        let (browser, provider) = signed_in();
        *provider.denied.borrow_mut() = Some(("mail.read", word));
        for _ in 0..3 {
            assert_denied(&browser, "mail");
        }
        assert_eq!(asked_for_mail(&browser), 1, "it is not asked again at once");
        assert_eq!(browser.session()["authenticated"], true);
        // A refresh shows that the grant still lives; other error codes need no such check.
        assert_eq!(bearer(&browser, "plain"), own);
        assert!(bearer(&browser, "files").ends_with(":files.read:"));
        *provider.denied.borrow_mut() = None;
        later(&browser, 61_000);
        assert!(bearer(&browser, "mail").ends_with(":mail.read:https://mail.corp.example"));
    }
}

/// oidc-provider behaves like this.
#[test]
fn denial_that_consumes_the_refresh_token_ends_the_account_not_the_session() {
    let (browser, provider) = signed_in();
    *provider.denied.borrow_mut() = Some(("mail.read", "invalid_target"));
    provider.uses_up.set(true);
    assert_denied(&browser, "mail");
    assert_eq!(bearer(&browser, "plain"), "corp-access", "while it is valid");
    assert_denied(&browser, "files");
    assert_eq!(browser.session()["authenticated"], true);
}

#[test]
fn single_use_refresh_token_is_not_resent_after_a_denial() {
    let corp = Corp::new();
    let upstream = Rc::clone(&corp);
    let strict = corp::SETTINGS[0].1.replace("\"client_id\"", "\"retry_lost_refresh\":false,\"client_id\"");
    let settings = [("OIDC_PROVIDERS", strict.as_str()), SETTINGS[1], SETTINGS[2]];
    let browser = Browser::configured(&settings, move |sent| {
        let is_refresh = sent.url == TOKEN && sent.body.contains("grant_type=refresh_token");
        if is_refresh { Some(answer(400, &json!({"error": "invalid_target"}))) } else { upstream.answer(sent) }
    });
    browser.sign_in_at(&corp);
    for service in ["mail", "files", "mail"] {
        assert_denied(&browser, service);
        later(&browser, 61_000);
    }
    let sent = browser.sent_to(TOKEN).iter().filter(|sent| sent.body.contains("corp-refresh")).count();
    assert_eq!(sent, 1);
    assert_eq!(browser.session()["authenticated"], true);
}

#[test]
fn revoked_grant_found_by_any_service_ends_the_session() {
    let (browser, provider) = signed_in();
    provider.is_expired.set(true);
    assert_eq!(status(&browser, "mail"), StatusCode::UNAUTHORIZED);
    assert_eq!(browser.session()["authenticated"], false);
}

#[test]
fn outage_while_requesting_a_restricted_token_ends_no_session() {
    let (browser, provider) = signed_in();
    provider.is_down.set(true);
    assert_eq!(status(&browser, "mail"), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(bearer(&browser, "plain"), "corp-access");
    provider.is_down.set(false);
    later(&browser, 6_000);
    assert_eq!(bearer(&browser, "mail"), "1:mail.read:https://mail.corp.example");
}

#[test]
fn s110_stalled_refresh_does_not_resend_the_token_without_the_restriction() {
    let (browser, provider) = signed_in();
    *provider.denied.borrow_mut() = Some(("mail.read", "invalid_grant"));
    browser.platform.stalls_at.set(Some("/token"));
    let sent = || browser.sent_to(TOKEN).len() - 1;
    assert_eq!((status(&browser, "mail"), sent()), (StatusCode::SERVICE_UNAVAILABLE, 1));
    assert_eq!(browser.session()["authenticated"], true);
    later(&browser, 6000);
    assert_eq!((status(&browser, "mail"), sent()), (StatusCode::UNAUTHORIZED, 3), "refreshed again under a new lease");
    assert_eq!((status(&browser, "plain"), sent()), (StatusCode::OK, 3));
}
