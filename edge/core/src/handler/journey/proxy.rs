//! API calls through `/bff/{service}/…`.

use http::{Method, StatusCode};

use super::{Browser, code, github, text};

#[test]
fn an_api_call_carries_the_token_and_not_the_cookie() {
    let browser = Browser::new(github);
    browser.sign_in();
    let headers = [
        ("x-csrf", "1"),
        ("origin", "https://edge.example"),
        ("authorization", "Bearer mine"),
        ("x-forwarded-for", "1.2.3.4"),
    ];
    let response = browser.send(Method::GET, "/bff/github/user", &headers, "");
    assert_eq!(response.status, StatusCode::OK);
    assert!(text(&response).contains("\"id\":7"));
    let sent = browser.sent_to("https://api.github.com/user").pop().unwrap();
    assert_eq!(sent.headers["authorization"], "Bearer gho_secret");
    assert!(!sent.headers.contains_key("cookie") && !sent.headers.contains_key("x-forwarded-for"));
}

#[test]
fn api_calls_outside_the_rules_go_nowhere() {
    let browser = Browser::new(github);
    browser.sign_in();
    let before = browser.platform.sent.borrow().len();
    for (method, target, status) in [
        (Method::GET, "/bff/github/user/emails", 404),
        (Method::GET, "/bff/github/..%2fuser", 400),
        (Method::DELETE, "/bff/github/user", 405),
        (Method::GET, "/bff/nope/user", 404),
        (Method::GET, "/bff/graph/v1.0/me", 401),
    ] {
        let response = browser.script(method, target, "");
        assert_eq!(response.status.as_u16(), status, "{target}");
        code(&response);
    }
    assert_eq!(browser.platform.sent.borrow().len(), before);
}

#[test]
fn an_upstream_cannot_reach_the_browser_through_us() {
    for (status, expected) in [(401, 401), (302, 502), (304, 304), (500, 500)] {
        let browser =
            Browser::new(move |sent| match (sent.url.as_str(), sent.headers.contains_key("accept-language")) {
                ("https://api.github.com/user", true) => Some((
                    status,
                    vec![
                        ("set-cookie", "a=1".to_owned()),
                        ("location", "https://evil.example".to_owned()),
                        ("access-control-allow-origin", "*".to_owned()),
                    ],
                    String::new(),
                )),
                _ => github(sent),
            });
        browser.sign_in();
        let headers = [("x-csrf", "1"), ("origin", "https://edge.example"), ("accept-language", "en")];
        let response = browser.send(Method::GET, "/bff/github/user", &headers, "");
        assert_eq!(response.status.as_u16(), expected);
        assert!(!response.headers.contains_key("set-cookie") && !response.headers.contains_key("location"));
        assert_eq!(response.headers["access-control-allow-origin"], "https://edge.example");
    }
}
