//! Callbacks without a code: the user cancels at the provider, the provider reports an error, or somebody else does.

use causeway_core::{
    http::web::Response,
    testing::{body::InMemoryBody, corp::Corp},
};
use http::{Method, StatusCode};
use serde_json::json;

use super::{Browser, github, handoff::Window, text};

const TOKEN: &str = "https://github.com/login/oauth/access_token";

/// Begins a sign-in with GitHub that returns there; the user cancels it.
fn cancel(browser: &Browser, return_to: &str) -> Response<InMemoryBody> {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", return_to).finish();
    let state = state(&browser.get(&format!("/auth/github/login?{query}")));
    browser.get(&format!("/auth/github/callback?error=access_denied&error_description=<b>&state={state}"))
}

fn state(response: &Response<InMemoryBody>) -> String {
    let url = url::Url::parse(response.headers["location"].to_str().unwrap()).unwrap();
    url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned()
}

fn location(response: &Response<InMemoryBody>) -> &str {
    assert_eq!(response.status, StatusCode::SEE_OTHER, "{}", text(response));
    response.headers["location"].to_str().unwrap()
}

#[test]
fn cancelled_sign_in_leads_back_to_the_page() {
    let browser = Browser::new(github);
    for (return_to, expected) in [
        ("/chat?a=1", "/chat?a=1#causeway_error=cancelled"),
        ("https://host.edge.example/page?x=1", "https://host.edge.example/page?x=1#causeway_error=cancelled"),
        ("https://host.edge.example/#/route", "https://host.edge.example/#/route&causeway_error=cancelled"),
        ("https://host.edge.example/#causeway_error=cancelled", "https://host.edge.example/#causeway_error=cancelled"),
        ("https://evil.example/", "/#causeway_error=cancelled"),
        ("/auth/github/login", "/#causeway_error=cancelled"),
    ] {
        assert_eq!(location(&cancel(&browser, return_to)), expected);
        assert!(browser.cookies.borrow().is_empty(), "the sign-in's cookie is cleared");
    }
    assert!(browser.sent_to(TOKEN).is_empty());
    assert_eq!(browser.session()["authenticated"], false);
    let log = browser.platform.log.borrow();
    assert!(log.iter().any(|line| line.contains(r#""outcome":"cancelled""#)), "{log:?}");
    assert!(!log.iter().any(|line| line.contains(r#""event":"reject""#)), "a cancel is not a rejection: {log:?}");
}

#[test]
fn providers_own_words_for_a_cancel_lead_back_to_the_page() {
    let browser = Browser::new(github);
    for (error, is_cancel) in
        [("user_cancelled_login", true), ("user_cancelled_authorize", true), ("user_cancelled", false)]
    {
        let state = browser.start();
        let response = browser.get(&format!("/auth/github/callback?error={error}&state={state}"));
        match is_cancel {
            true => assert_eq!(location(&response), "https://host.edge.example/page#causeway_error=cancelled"),
            false => assert_eq!(response.status, StatusCode::BAD_REQUEST),
        }
    }
}

#[test]
fn cancelled_sign_in_is_used_up() {
    let browser = Browser::new(github);
    let state = browser.start();
    let cookies = browser.cookies.borrow().clone();
    let cancelled = format!("/auth/github/callback?error=access_denied&state={state}");
    location(&browser.get(&cancelled));
    for replay in [cancelled, format!("/auth/github/callback?code=good&state={state}")] {
        browser.assert_refused(&browser.get(&replay));
        // A client that kept the cookie despite being told to drop it.
        browser.swap(cookies.clone());
        browser.assert_refused_for("state-used-before", &browser.get(&replay));
    }
    assert!(browser.sent_to(TOKEN).is_empty());
}

#[test]
fn cancelling_a_sign_in_that_is_over_shows_a_page_that_says_so() {
    let browser = Browser::new(github);
    let state = browser.start();
    let cancelled = format!(
        "/auth/github/callback?error=access_denied&error_description=<b>no&state={state}&iss=https://x.example"
    );
    location(&browser.get(&cancelled.replace("&iss=https://x.example", "")));
    for query in [cancelled.as_str(), "/auth/github/callback?error=access_denied"] {
        let response = browser.get(query);
        browser.assert_refused(&response);
        let page = text(&response);
        assert!(page.contains("<h1>The sign-in was cancelled.</h1>") && page.contains("<a href=\"/\">"), "{page}");
        assert!(!page.contains("<b>") && !page.contains("x.example"), "{page}");
        assert!(!response.headers.contains_key("set-cookie") && !response.headers.contains_key("location"));
    }
    assert!(browser.sent_to(TOKEN).is_empty());
}

#[test]
fn cancelled_sign_in_keeps_the_session_that_it_would_have_replaced() {
    let browser = Browser::new(github);
    browser.sign_in();
    let before = browser.cookies.borrow().clone();
    assert_eq!(location(&cancel(&browser, "/")), "/#causeway_error=cancelled");
    assert_eq!(*browser.cookies.borrow(), before);
    assert_eq!(browser.session()["authenticated"], true);
    let state =
        state(&browser.send(Method::GET, "/auth/github/login?connect=1", &[("sec-fetch-site", "same-origin")], ""));
    let response = browser.get(&format!("/auth/github/callback?error=access_denied&state={state}"));
    assert_eq!(location(&response), "/#causeway_error=cancelled");
    assert_eq!(browser.session()["authenticated"], true);
    assert!(browser.platform.ended_streams.borrow().is_empty());
}

#[test]
fn cancelled_sign_in_hands_nothing_over() {
    let window = Window::new();
    let response = window.walk_with("error=access_denied");
    assert_eq!(location(&response), "https://pages.example/chat?order=7#causeway_error=cancelled");
    assert!(window.browser.cookies.borrow().is_empty());
    assert!(window.browser.sent_to(TOKEN).is_empty());
}

#[test]
fn other_errors_of_the_provider_keep_their_page() {
    for error in [
        "server_error",
        "temporarily_unavailable",
        "consent_required",
        "login_required",
        "ACCESS_DENIED",
        "access_denied ",
    ] {
        let browser = Browser::new(github);
        let state = browser.start();
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("error", error).finish();
        let response = browser.get(&format!("/auth/github/callback?{query}&state={state}"));
        browser.assert_refused_for("provider-reported-an-error", &response);
        assert!(browser.cookies.borrow().is_empty());
    }
    let browser = Browser::new(github);
    let state = browser.start();
    let twice = format!("/auth/github/callback?error=access_denied&error=access_denied&state={state}");
    browser.assert_refused_for("parameter-repeated", &browser.get(&twice));
}

#[test]
fn cancel_of_nobodys_sign_in_is_rejected() {
    let browser = Browser::new(github);
    for query in ["error=access_denied".to_owned(), format!("error=access_denied&state={}", "a".repeat(43))] {
        browser.assert_refused(&browser.get(&format!("/auth/github/callback?{query}")));
    }
    for query in ["error=access_denied&error=access_denied", "error=server_error", "code=x&state=y", ""] {
        let response = browser.get(&format!("/auth/github/callback?{query}"));
        assert!(response.status.is_redirection() || !text(&response).contains("was cancelled"), "{query}");
    }
    let state = browser.start();
    let other = Browser::new(github);
    other.assert_refused(&other.get(&format!("/auth/github/callback?error=access_denied&state={state}")));
}

#[test]
fn s158_answer_of_another_issuer_clears_nothing() {
    for promises in [true, false] {
        let corp = Corp::new();
        *corp.metadata.borrow_mut() = json!({"authorization_response_iss_parameter_supported": promises});
        let browser = Browser::at_corp(&corp);
        let callback = browser.start_at(&corp);
        let (without, _) = callback.split_once("&iss=").unwrap();
        let before = browser.cookies.borrow().clone();
        let foreign = ["&iss=https://evil.example", "&iss=https://id.corp.example/", "&iss=", "&iss=a&iss=b"];
        for iss in foreign.into_iter().chain(promises.then_some("")) {
            for answer in ["error=access_denied", "error=server_error", "code=stolen"] {
                let forged = format!("{}{iss}", without.replace("code=good", answer));
                let response = browser.get(&forged);
                browser.assert_refused(&response);
                assert!(!response.headers.contains_key("set-cookie"), "{forged}");
                assert_eq!(*browser.cookies.borrow(), before, "{forged}");
            }
        }
        assert!(browser.sent_to("https://id.corp.example/token").is_empty());
        assert_eq!(browser.get(&callback).status, StatusCode::SEE_OTHER, "the honest answer still works");
        assert_eq!(browser.session()["authenticated"], true);
    }
}

#[test]
fn s158_provider_outage_before_the_issuer_is_known_clears_nothing() {
    let corp = Corp::new();
    let mut browser = Browser::at_corp(&corp);
    let callback = browser.start_at(&corp);
    let before = browser.cookies.borrow().clone();
    // Another isolate, which knows nothing of the provider.
    browser = browser.at_another_edge(&causeway_core::testing::corp::SETTINGS);
    browser.platform.kv.borrow_mut().clear();
    corp.down.borrow_mut().push("/.well-known/openid-configuration");
    let response = browser.get(&callback);
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE, "{}", text(&response));
    assert_eq!(*browser.cookies.borrow(), before);
}
