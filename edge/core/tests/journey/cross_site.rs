//! Requests that another site makes in a signed-in user's name. Every route that reads the cookie rejects them, whether
//! or not cross-site embedding is on, and nothing is sent upstream.

use causeway_core::{
    http::web::Response,
    route::{Auth, Csrf, Handler, Row, TABLE},
    testing::platform::{Answer, Sent},
};
use http::{Method, StatusCode};

use super::{Browser, JSON, code, github};

const SERVICES: &str = r#"[{"name":"api","url":"https://api.example","provider":"github","shares_token":true,"allow":["GET /x","POST /x"]}]"#;
const EVIL: (&str, &str) = ("origin", "https://evil.example");
const HOST: (&str, &str) = ("origin", "https://host.edge.example");
const CSRF: (&str, &str) = ("x-csrf", "1");

fn upstream(sent: &Sent) -> Option<Answer> {
    if sent.url.starts_with("https://api.example/") { Some((200, Vec::new(), String::new())) } else { github(sent) }
}

/// A signed-in user at a same-site edge, and one at a cross-site edge.
fn users() -> [Browser; 2] {
    let same_site = Browser::configured(&[("SERVICES", SERVICES)], upstream);
    let cross_site = Browser::configured(&[("SERVICES", SERVICES), ("EMBED", "cross-site")], upstream);
    for browser in [&same_site, &cross_site] {
        browser.sign_in();
    }
    [same_site, cross_site]
}

/// Every route that acts in the name of the cookie.
fn rows() -> impl Iterator<Item = (&'static Row, Method, String)> {
    TABLE.iter().filter(|row| uses_cookie(row)).map(|row| {
        let target = row
            .pattern
            .replace("{service}/{*path}", "api/x")
            .replace("{channel}", "chat")
            .replace("{id}", "x")
            .replace("{provider}", "github");
        assert!(!target.contains('{'), "{target} needs a value for its placeholder");
        (row, row.method.clone().unwrap_or(Method::POST), target)
    })
}

fn uses_cookie(row: &Row) -> bool {
    row.auth != Auth::None || matches!(row.handler, Handler::Logout | Handler::Handoff)
}

/// Asserts that the attack has no effect, whichever route it targets.
fn refused(rows: impl Fn(&Row) -> bool, headers: &[(&str, &str)], body: &str) {
    for browser in users() {
        let before = browser.platform.sent.borrow().len();
        for (_, method, target) in self::rows().filter(|(row, ..)| rows(row)) {
            let response = browser.send(method.clone(), &target, headers, body);
            assert_eq!(response.status, StatusCode::FORBIDDEN, "{method} {target} {headers:?}");
            assert_eq!(code(&response), "forbidden");
            assert!(!readable(&response, headers), "{method} {target} {headers:?}");
        }
        assert_eq!(browser.platform.sent.borrow().len(), before, "{headers:?}");
        assert!(browser.platform.ended_streams.borrow().is_empty() && browser.session()["authenticated"] == true);
    }
}

/// Whether the attacker's script could read the response.
fn readable<B>(response: &Response<B>, headers: &[(&str, &str)]) -> bool {
    let allowed = response.headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap());
    headers.iter().any(|(name, value)| *name == "origin" && value.contains("evil") && allowed == Some(value))
        || allowed == Some("*")
}

fn any(_: &Row) -> bool {
    true
}

fn by_header(row: &Row) -> bool {
    matches!(row.csrf, Csrf::Header | Csrf::HeaderUnlessNavigable)
}

fn form(content_type: &'static str) -> [(&'static str, &'static str); 5] {
    [
        EVIL,
        ("content-type", content_type),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ]
}

#[test]
fn every_route_that_uses_the_cookie_has_a_csrf_policy() {
    for (row, ..) in rows() {
        assert!(by_header(row) || row.csrf == Csrf::FetchMetadata, "{}", row.pattern);
        // Only requests that change nothing may lack the header: navigations and EventSource cannot send one.
        assert!(by_header(row) || row.method == Some(Method::GET), "{}", row.pattern);
    }
}

#[test]
fn s74_form_post_from_another_site_is_rejected() {
    refused(any, &form("application/x-www-form-urlencoded"), "type=message");
}

#[test]
fn s75_multipart_form_from_another_site_is_rejected() {
    refused(any, &form("multipart/form-data; boundary=x"), "--x--");
}

#[test]
fn s76_json_sent_as_text_plain_is_rejected() {
    refused(any, &form("text/plain"), r#"{"type":"message","data":{}}"#);
    // The same from a listed page: it lacks the header that only a script can send.
    refused(by_header, &[HOST, ("content-type", "text/plain"), ("sec-fetch-site", "same-site")], "{}");
}

#[test]
fn s77_bodyless_request_from_another_site_is_rejected() {
    refused(any, &[EVIL, ("content-length", "0"), ("sec-fetch-site", "cross-site")], "");
    refused(by_header, &[HOST, ("content-length", "0")], "");
}

#[test]
fn s79_missing_wrong_or_repeated_csrf_header_is_rejected() {
    for header in [
        &[][..],
        &[("x-csrf", "")],
        &[("x-csrf", "0")],
        &[("x-csrf", "true")],
        &[("x-csrf", "1, 1")],
        &[CSRF, CSRF],
        &[("x_csrf", "1")],
    ] {
        let mut headers = vec![HOST, ("sec-fetch-site", "same-site"), ("content-type", JSON)];
        headers.extend(header);
        refused(by_header, &headers, "{}");
    }
}

#[test]
fn s80_other_and_sibling_sites_are_rejected_despite_the_csrf_header() {
    for (origin, site) in [
        (Some("https://evil.example"), "cross-site"),
        (Some("https://evil.edge.example"), "same-site"),
        (Some("https://host.edge.example.evil.example"), "cross-site"),
        (Some("http://host.edge.example"), "same-site"),
        (Some("https://host.edge.example:444"), "same-site"),
        (Some("https://HOST.edge.example"), "same-site"),
        (None, "same-site"),
        (None, "cross-site"),
        (None, "none"),
        (None, "Same-Origin"),
        (None, ""),
    ] {
        let mut headers = vec![CSRF, ("sec-fetch-site", site), ("content-type", JSON)];
        headers.extend(origin.map(|origin| ("origin", origin)));
        refused(any, &headers, "{}");
    }
    refused(any, &[CSRF, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], "");
}

#[test]
fn s81_request_without_origin_metadata_needs_the_csrf_header() {
    refused(any, &[CSRF, EVIL], "{}");
    refused(any, &[CSRF, ("origin", "null")], "{}");
    refused(any, &[CSRF, ("origin", "")], "{}");
    refused(any, &[CSRF, ("origin", "https://edge.example"), EVIL], "{}");
    let changes_something = |row: &Row| row.method.as_ref().is_none_or(|method| !method.is_safe());
    refused(changes_something, &[CSRF], "{}");
}

#[test]
fn s83_safe_methods_have_no_side_effects() {
    let [browser, _] = users();
    for method in [Method::GET, Method::HEAD] {
        for target in ["/auth/logout", "/events/chat", "/auth/sessions/x"] {
            let response = browser.send(method.clone(), target, &[CSRF, HOST, ("sec-fetch-site", "same-site")], "");
            assert_eq!(response.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {target}");
        }
    }
    let headers = [CSRF, HOST, ("sec-fetch-site", "same-site")];
    for method in [Method::HEAD, Method::DELETE, Method::PUT] {
        let response = browser.send(method, "/bff/api/x", &headers, "");
        assert_eq!(
            (response.status, response.headers["allow"].to_str().unwrap()),
            (StatusCode::METHOD_NOT_ALLOWED, "GET, POST")
        );
    }
    assert!(browser.sent_to("https://api.example/").is_empty() && browser.session()["authenticated"] == true);
}

#[test]
fn s84_preflight_allows_configured_origins_only() {
    for browser in users() {
        for (row, method, target) in rows() {
            for origin in ["https://evil.example", "https://evil.edge.example", "null", "", "*"] {
                let ask = [
                    ("origin", origin),
                    ("access-control-request-method", method.as_str()),
                    ("access-control-request-headers", "x-csrf"),
                ];
                let response = browser.send(Method::OPTIONS, &target, &ask, "");
                assert_eq!(response.status, StatusCode::FORBIDDEN, "{origin} {target}");
                assert!(
                    !response.headers.keys().any(|name| name.as_str().starts_with("access-control-")),
                    "{origin} {target}"
                );
                assert!(response.headers["vary"].to_str().unwrap().contains("Origin"));
            }
            let ask = [HOST, ("access-control-request-method", method.as_str())];
            let response = browser.send(Method::OPTIONS, &target, &ask, "");
            assert_eq!(response.headers["access-control-allow-origin"], HOST.1, "{}", row.pattern);
            assert!(response.headers["vary"].to_str().unwrap().contains("Origin"));
        }
    }
}

#[test]
fn s85_event_source_from_another_or_sibling_site_is_rejected() {
    let stream = |row: &Row| row.handler == Handler::Stream;
    for headers in [
        &[EVIL, ("sec-fetch-site", "cross-site")][..],
        &[EVIL],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.edge.example"), ("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
    ] {
        refused(stream, headers, "");
    }
}

#[test]
fn s86_websocket_upgrade_is_rejected() {
    for origin in [EVIL, HOST, ("origin", "https://edge.example")] {
        let headers = [
            origin,
            CSRF,
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "websocket"),
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        refused(any, &headers, "");
    }
}

#[test]
fn s87_image_or_link_does_not_sign_out() {
    for browser in users() {
        for headers in [
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")][..],
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
            &[],
        ] {
            let response = browser.send(Method::GET, "/auth/logout", headers, "");
            assert_eq!(response.status, StatusCode::METHOD_NOT_ALLOWED);
            assert!(browser.session()["authenticated"] == true);
        }
    }
}

#[test]
fn s88_pages_are_framed_by_configured_origins_only() {
    let ancestors = |browser: &Browser, target: &str| {
        let response = browser.send(Method::GET, target, &[("accept", "text/html")], "");
        let policy = response.headers["content-security-policy"].to_str().unwrap().to_owned();
        policy.split(';').find_map(|part| part.trim().strip_prefix("frame-ancestors ").map(str::to_owned)).unwrap()
    };
    let [same_site, cross_site] = users();
    for target in ["/", "/auth/session", "/auth/github/login", "/auth/github/callback", "/nope", "/stream"] {
        assert_eq!(ancestors(&same_site, target), "'none'", "{target}");
    }
    assert_eq!(ancestors(&cross_site, "/"), "https://host.edge.example");
    for target in ["/auth/session", "/auth/github/login", "/auth/github/callback", "/nope"] {
        assert_eq!(ancestors(&cross_site, target), "'none'", "{target}");
    }
    for browser in [same_site, cross_site] {
        let framed = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
        assert_eq!(browser.send(Method::GET, "/auth/github/login", &framed, "").status, StatusCode::FORBIDDEN);
    }
}

#[test]
fn s89_event_post_from_another_site_is_rejected() {
    let events = |row: &Row| row.handler == Handler::Events;
    refused(
        events,
        &[EVIL, CSRF, ("content-type", JSON), ("sec-fetch-site", "cross-site")],
        r#"{"type":"message","data":{}}"#,
    );
    refused(events, &[EVIL, CSRF, ("content-type", JSON)], r#"{"type":"message","data":{}}"#);
}

#[test]
fn s155_cross_site_requests_need_a_configured_origin() {
    let from_other_site = [HOST, CSRF, ("sec-fetch-site", "cross-site"), ("content-type", JSON)];
    let [same_site, cross_site] = users();
    assert_eq!(same_site.send(Method::GET, "/auth/session", &from_other_site, "").status, StatusCode::FORBIDDEN);
    assert_eq!(cross_site.send(Method::GET, "/auth/session", &from_other_site, "").status, StatusCode::OK);
    assert_eq!(cross_site.send(Method::POST, "/bff/api/x", &from_other_site, "").status, StatusCode::OK);
    assert_eq!(cross_site.send(Method::GET, "/stream", &from_other_site[..1], "").status, StatusCode::OK);
    // A request without an origin may read where the cookie is same-site, but not where it travels cross-site.
    for (target, headers) in [("/stream", &[][..]), ("/auth/session", &[CSRF])] {
        assert_eq!(same_site.send(Method::GET, target, headers, "").status, StatusCode::OK, "{target}");
        assert_eq!(cross_site.send(Method::GET, target, headers, "").status, StatusCode::FORBIDDEN, "{target}");
    }
    // The browser itself says that the page is the edge's own.
    assert_eq!(
        cross_site.send(Method::GET, "/stream", &[("sec-fetch-site", "same-origin")], "").status,
        StatusCode::OK
    );
}

#[test]
fn s155_cookie_is_strict_unless_embedded_cross_site() {
    for (more, expected) in [(None, "SameSite=Strict"), (Some(("EMBED", "cross-site")), "SameSite=None; Partitioned")] {
        let more: Vec<_> = more.into_iter().collect();
        let browser = Browser::configured(&more, github);
        let state = browser.start();
        let begun = browser.get("/auth/github/login");
        let cookie = begun.headers["set-cookie"].to_str().unwrap();
        assert!(cookie.ends_with("SameSite=Lax"), "the way back from a provider is a navigation: {cookie}");
        let response = browser.get(&format!("/auth/github/callback?code=good&state={state}"));
        let cookies: Vec<&str> =
            response.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
        assert!(
            cookies.iter().any(|cookie| cookie.starts_with("__Host-Http-session=") && cookie.ends_with(expected)),
            "{cookies:?}"
        );
        let cleared = browser.script(Method::POST, "/auth/logout", "");
        // A browser removes a cookie only with the attributes that it was set with.
        let mut cleared = cleared.headers.get_all("set-cookie").iter();
        assert!(cleared.any(|cookie| cookie.to_str().unwrap().ends_with(expected)));
        assert!(browser.cookies.borrow().iter().all(|(name, _)| name != "__Host-Http-session"));
    }
}

/// After a change of `EMBED` a browser may hold a cookie of each kind. Both are rejected, and signing out clears both.
#[test]
fn s60_two_session_cookies_are_both_rejected_and_both_end_at_sign_out() {
    let both = || {
        let browser = Browser::new(github);
        browser.sign_in();
        let strict = browser.cookies.take();
        let browser = browser.at_another_edge(&[("EMBED", "cross-site")]);
        browser.sign_in();
        let partitioned = browser.cookies.borrow().clone();
        browser.cookies.borrow_mut().extend(strict.clone());
        (browser, strict, partitioned)
    };
    let (browser, strict, partitioned) = both();
    assert_eq!(browser.session()["authenticated"], false);
    let response = browser.script(Method::POST, "/auth/logout", "");
    assert_eq!(response.status, StatusCode::NO_CONTENT);
    assert_eq!(response.headers.get_all("set-cookie").iter().count(), 2);
    assert!(browser.cookies.borrow().is_empty());
    assert_eq!(browser.platform.ended_streams.borrow().len(), 2, "and the streams of both");
    for old in [strict, partitioned] {
        browser.swap(old);
        assert_eq!(browser.session()["authenticated"], false);
    }
    // Signing in again clears them, too.
    let (browser, ..) = both();
    browser.sign_in();
    assert_eq!(browser.session()["authenticated"], true);
}

#[test]
fn s155_another_site_cannot_link_an_account() {
    let [_, cross_site] = users();
    let navigation = |site| [("sec-fetch-site", site), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    let connect = "/auth/github/login?connect=1";
    assert_eq!(cross_site.send(Method::GET, connect, &navigation("cross-site"), "").status, StatusCode::FORBIDDEN);
    assert_eq!(cross_site.get(connect).status, StatusCode::FORBIDDEN);
    assert_eq!(cross_site.send(Method::GET, connect, &navigation("same-origin"), "").status, StatusCode::SEE_OTHER);
}
