//! A site behind the edge: `HOST_UPSTREAM`.

use causeway_core::testing::platform::{Answer, Sent};
use http::{Method, StatusCode};

use super::{Browser, code, github, text};

const SITE: [(&str, &str); 1] = [("HOST_UPSTREAM", "https://site.example")];

fn site(sent: &Sent) -> Option<Answer> {
    let html = |more: &[(&'static str, &str)]| {
        let mut headers = vec![("content-type", "text/html; charset=utf-8".to_owned())];
        headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Some((200, headers, "<p>Shop</p>".to_owned()))
    };
    match sent.url.as_str() {
        "https://site.example/" => html(&[("cache-control", "public, max-age=300")]),
        "https://site.example/orders?id=7" => html(&[
            ("set-cookie", "__Host-Http-session=forged; Path=/; Secure"),
            ("access-control-allow-origin", "*"),
            ("content-security-policy", "default-src 'self'"),
            ("clear-site-data", "\"cookies\""),
            ("service-worker-allowed", "/"),
            ("etag", "\"1\""),
            ("x-robots-tag", "noindex"),
        ]),
        "https://site.example/packed" => html(&[("content-encoding", "br")]),
        "https://site.example/part" => Some((206, vec![("content-type", "text/html".to_owned())], "<p>Sh".to_owned())),
        "https://site.example/app.js" => {
            let is_known = sent.headers.get("if-none-match").is_some_and(|tag| tag == "\"7\"");
            let headers = [
                ("content-type", "text/javascript"),
                ("cache-control", "public, max-age=300"),
                ("etag", "\"7\""),
                ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
                ("vary", "Accept-Language"),
            ];
            let headers = headers.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
            Some(if is_known { (304, headers, String::new()) } else { (200, headers, "go()".to_owned()) })
        }
        "https://site.example/moved" => {
            Some((302, vec![("location", "https://site.example/orders?id=7".to_owned())], String::new()))
        }
        url if url.starts_with("https://site.example/") => {
            Some((404, vec![("content-type", "text/plain".to_owned())], "Nothing.".to_owned()))
        }
        _ => github(sent),
    }
}

#[test]
fn pages_of_the_site_pass_and_set_nothing_for_the_edges_origin() {
    let browser = Browser::configured(&SITE, site);
    let response = browser.get("/orders?id=7");
    assert_eq!((response.status, text(&response).as_str()), (StatusCode::OK, "<p>Shop</p>"));
    let policies: Vec<_> = response.headers.get_all("content-security-policy").iter().collect();
    assert_eq!(policies, ["default-src 'self'", "object-src 'none'; base-uri 'self'; frame-ancestors 'none'"]);
    for name in ["set-cookie", "access-control-allow-origin", "clear-site-data", "service-worker-allowed"] {
        assert!(!response.headers.contains_key(name), "{name}");
    }
    assert!(!response.headers.contains_key("etag"), "the first state in it has no version");
    assert_eq!(response.headers["x-robots-tag"], "noindex");
    assert_eq!(response.headers["x-content-type-options"], "nosniff");
    assert_eq!(response.headers["cache-control"], "no-store", "the site names no time");
    assert_eq!(browser.get("/").headers["cache-control"], "public, max-age=300");
    assert_eq!(browser.get("/nope").status, StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/moved").headers["location"], "/orders?id=7");
}

#[test]
fn only_pages_depend_on_the_session_and_other_files_are_cached_as_the_site_says() {
    let browser = Browser::configured(&SITE, site);
    browser.sign_in();
    let vary = |headers: &http::HeaderMap| {
        headers.get_all("vary").iter().map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(vary(&browser.get("/").headers), ["service-worker", "Cookie"]);
    let file = browser.get("/app.js");
    assert_eq!(file.headers["cache-control"], "public, max-age=300");
    assert_eq!(vary(&file.headers), ["Accept-Language", "service-worker"]);
    assert_eq!(file.headers["etag"], "\"7\"");
    assert_eq!(file.headers["last-modified"], "Thu, 01 Jan 2026 00:00:00 GMT");
    let again = browser.send(Method::GET, "/app.js", &[("if-none-match", "\"7\"")], "");
    assert_eq!((again.status, text(&again).as_str()), (StatusCode::NOT_MODIFIED, ""));
    assert_eq!(again.headers["etag"], "\"7\"");
}

#[test]
fn the_site_gets_no_credential_and_nothing_of_the_user() {
    let browser = Browser::configured(&SITE, site);
    browser.sign_in();
    let headers = [("authorization", "Bearer x"), ("accept", "text/html"), ("x-forwarded-for", "203.0.113.7")];
    let response = browser.send(Method::GET, "/", &headers, "");
    assert_eq!(response.headers["cache-control"], "private, no-store");
    let sent = browser.sent_to("https://site.example/").pop().unwrap();
    let mut names: Vec<_> = sent.headers.keys().map(|name| name.as_str().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["accept", "accept-encoding", "traceparent"]);
}

#[test]
fn paths_of_the_edge_and_other_methods_never_reach_the_site() {
    let browser = Browser::configured(&SITE, site);
    for target in ["/auth/nope", "/assets/nope.js", "/events/chat/nope", "/internal", "/shell/nope", "/stream/x"] {
        assert_eq!(code(&browser.get(target)), "not-found", "{target}");
    }
    assert_eq!(code(&browser.script(Method::POST, "/orders", "{}")), "not-found");
    assert!(browser.sent_to("https://site.example/").is_empty());
    let without = Browser::new(site);
    assert_eq!(code(&without.get("/orders?id=7")), "not-found");
    assert!(without.sent_to("https://site.example/").is_empty());
}

#[test]
fn what_the_edge_cannot_answer_for_is_refused() {
    let browser = Browser::configured(&SITE, site);
    assert_eq!(code(&browser.get("/packed")), "bad-gateway");
    assert_eq!(code(&browser.get("/part")), "bad-gateway");
    for header in [("service-worker", "script"), ("upgrade", "websocket")] {
        assert_eq!(code(&browser.send(Method::GET, "/sw.js", &[header], "")), "forbidden");
    }
    let gone = Browser::configured(&SITE, |_| None);
    assert_eq!(code(&gone.get("/")), "unavailable");
}
