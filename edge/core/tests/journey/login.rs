//! What begins a sign-in, and what the page may choose of it.

use causeway_core::{
    http::web::Response,
    testing::{
        body::InMemoryBody,
        corp::{self, Corp},
    },
};
use http::{Method, StatusCode};

use super::{Browser, github, text};

/// The prompts in the authorization request that a response redirects to.
fn prompts(response: &Response<InMemoryBody>) -> Vec<String> {
    assert_eq!(response.status, StatusCode::SEE_OTHER, "{}", text(response));
    let url = url::Url::parse(response.headers["location"].to_str().unwrap()).unwrap();
    url.query_pairs().filter(|(name, _)| name == "prompt").map(|(_, value)| value.into_owned()).collect()
}

/// A browser at a deployment that demands these prompts.
fn demanding(settings: &[(&str, &str)], of_corp: Option<&str>) -> Browser {
    let corp = Corp::new();
    let [(key, entry), secrets] = corp::SETTINGS;
    let more = of_corp.map_or(String::new(), |prompt| format!(r#""prompt":"{prompt}","id":"corp""#));
    let entry = if of_corp.is_some() { entry.replace(r#""id":"corp""#, &more) } else { entry.to_owned() };
    let settings = [settings, &[(key, entry.as_str()), secrets]].concat();
    Browser::configured(&settings, move |sent| corp.answer(sent).or_else(|| github(sent)))
}

#[test]
fn page_can_ask_for_another_account() {
    let browser = Browser::new(github);
    assert!(prompts(&browser.get("/auth/github/login")).is_empty());
    for prompt in ["select_account", "login", "consent"] {
        assert_eq!(prompts(&browser.get(&format!("/auth/github/login?prompt={prompt}"))), [prompt]);
    }
    browser.sign_in();
    let old = browser.cookies.borrow().clone();
    let chosen = browser.get("/auth/github/login?prompt=select_account");
    let url = url::Url::parse(chosen.headers["location"].to_str().unwrap()).unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let response = browser.get(&format!("/auth/github/callback?code=good&state={state}"));
    assert_eq!(response.status, StatusCode::SEE_OTHER);
    assert_eq!(browser.session()["authenticated"], true);
    browser.swap(old);
    assert_eq!(browser.session()["authenticated"], false, "the session before has ended");
}

#[test]
fn other_prompts_of_a_page_are_rejected() {
    let browser = Browser::new(github);
    for bad in [
        "prompt=none",
        "prompt=",
        "prompt",
        "prompt=select_account%20none",
        "prompt=login+consent",
        "prompt=SELECT_ACCOUNT",
        "prompt=create",
        "prompt=login&prompt=login",
        "prompt=login%00",
    ] {
        for target in ["/auth/github/login?", "/auth/github/login?connect=1&", "/auth/entra/login?return_to=/a&"] {
            let says = [("sec-fetch-site", "same-origin")];
            let response = browser.send(Method::GET, &format!("{target}{bad}"), &says, "");
            assert_eq!(response.status, StatusCode::BAD_REQUEST, "{target}{bad}");
            assert!(!response.headers.contains_key("location") && !response.headers.contains_key("set-cookie"));
        }
    }
    assert!(browser.platform.sent.borrow().is_empty());
}

#[test]
fn page_can_ask_for_more_than_the_settings_demand_but_not_for_less() {
    let settings = [("GITHUB_PROMPT", "login")];
    let login = |browser: &Browser, query: &str| prompts(&browser.get(query));
    let browser = demanding(&settings, Some("consent"));
    assert_eq!(login(&browser, "/auth/github/login"), ["login"]);
    assert_eq!(login(&browser, "/auth/github/login?prompt=select_account"), ["login"]);
    assert_eq!(login(&browser, "/auth/github/login?prompt=consent"), ["consent"]);
    // An OpenID provider takes a list.
    assert_eq!(login(&browser, "/auth/corp/login"), ["consent"]);
    assert_eq!(login(&browser, "/auth/corp/login?prompt=consent"), ["consent"]);
    assert_eq!(login(&browser, "/auth/corp/login?prompt=select_account"), ["consent select_account"]);
    let browser = demanding(&[], None);
    assert_eq!(login(&browser, "/auth/corp/login?prompt=select_account"), ["select_account"]);
}

#[test]
fn confirmation_page_keeps_the_prompt() {
    let browser = Browser::new(github);
    let target = "/auth/github/login?return_to=/chat&prompt=select_account&scope=repo";
    let response = browser.send(Method::GET, target, &[("sec-fetch-site", "cross-site")], "");
    assert_eq!(response.status, StatusCode::OK);
    let html = text(&response);
    assert!(html.contains(r#"href="/auth/github/login?return_to=%2Fchat&amp;prompt=select_account""#), "{html}");
}

#[test]
fn app_installation_begins_an_ordinary_sign_in() {
    let browser = Browser::new(github);
    browser.start();
    let before = browser.cookies.borrow().clone();
    for query in [
        "code=good&installation_id=7&setup_action=install",
        "code=good",
        "code=good&iss=https://github.com/login/oauth",
        "code=good&return_to=https://evil.example/&prompt=none",
    ] {
        let response = browser.get(&format!("/auth/github/callback?{query}"));
        assert_eq!(response.status, StatusCode::SEE_OTHER, "{query}");
        assert_eq!(response.headers["location"], "/auth/github/login", "{query}");
        assert!(!response.headers.contains_key("set-cookie"), "{query}");
    }
    assert_eq!(*browser.cookies.borrow(), before, "a sign-in in progress goes on");
    assert!(browser.platform.sent.borrow().is_empty(), "no code was sent");
    // The browser comes from GitHub, so its user is asked first.
    let asked = browser.send(Method::GET, "/auth/github/login", &[("sec-fetch-site", "cross-site")], "");
    assert!(text(&asked).contains("Sign in with GitHub?"));
    browser.sign_in();
}

#[test]
fn s1_code_without_a_state_is_rejected_unless_github_sends_it() {
    let corp = Corp::new();
    let browser = Browser::at_corp(&corp);
    for target in [
        "/auth/corp/callback?code=good&iss=https://id.corp.example",
        "/auth/entra/callback?code=good",
        "/auth/github/callback?code=good&code=good",
        "/auth/github/callback?code=good&error=access_denied",
        "/auth/github/callback?code=good&iss=https://evil.example",
        "/auth/github/callback?installation_id=7&setup_action=install",
    ] {
        browser.assert_refused(&browser.get(target));
    }
    assert!(browser.platform.sent.borrow().is_empty());
}

#[test]
fn s160_prefetch_begins_no_sign_in() {
    let browser = Browser::new(github);
    for purpose in
        ["prefetch", "Prefetch", "prefetch;prerender", "prerender;prefetch", "prerender", "preview", " PREVIEW"]
    {
        for name in ["sec-purpose", "purpose", "x-purpose", "x-moz"] {
            for more in [&[][..], &[("sec-fetch-site", "same-origin")], &[("sec-purpose", "other")]] {
                let says = [&[(name, purpose)][..], more].concat();
                let response = browser.send(Method::GET, "/auth/github/login", &says, "");
                assert_eq!(response.status, StatusCode::FORBIDDEN, "{says:?}");
                assert!(!response.headers.contains_key("set-cookie"), "{says:?}");
            }
        }
    }
    assert!(browser.cookies.borrow().is_empty() && browser.platform.machine_states.borrow().is_empty());
    let visited = browser.send(Method::GET, "/auth/github/login", &[("purpose", "navigation")], "");
    assert_eq!(visited.status, StatusCode::SEE_OTHER);
}
