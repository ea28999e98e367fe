use http::{HeaderValue, StatusCode};

use super::*;
use crate::{
    config::Coordination,
    http::web::Response,
    route::{TABLE, find_any_method},
    testing::settings::{config_with, settings},
};

fn config() -> Config {
    let table = settings();
    Config::load(&|key: &str| table.get(key).cloned(), Coordination::Objects).unwrap()
}

fn row(pattern: &str) -> &'static Row {
    TABLE.iter().find(|row| row.pattern == pattern).unwrap()
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    map
}

fn passes(pattern: &str, pairs: &[(&'static str, &'static str)]) -> bool {
    let row = row(pattern);
    check(&config(), row, &[], row.method.as_ref().unwrap_or(&Method::POST), &headers(pairs)).is_ok()
}

const EVENTS: &str = "/events/{channel}";
const CSRF: (&str, &str) = ("x-csrf", "1");

#[test]
fn scripts_of_the_edge_and_of_host_pages_pass() {
    assert!(passes(EVENTS, &[CSRF, ("origin", "https://edge.example"), ("sec-fetch-site", "same-origin")]));
    assert!(passes(EVENTS, &[CSRF, ("origin", "https://host.edge.example"), ("sec-fetch-site", "same-site")]));
    assert!(passes(EVENTS, &[CSRF, ("origin", "https://host.edge.example")]), "a browser without Sec-Fetch-Site");
}

#[test]
fn the_csrf_header_must_appear_once_with_its_exact_value() {
    for pairs in [&[("x-csrf", "0")][..], &[("x-csrf", "")], &[], &[CSRF, CSRF], &[("x-csrf", "1, 1")]] {
        let mut all = vec![("origin", "https://edge.example"), ("sec-fetch-site", "same-origin")];
        all.extend(pairs);
        assert!(!passes(EVENTS, &all), "{pairs:?}");
    }
}

#[test]
fn every_other_origin_is_refused_even_with_the_header() {
    for pairs in [
        &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")][..],
        &[("origin", "https://evil.edge.example"), ("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://host.edge.example"), ("sec-fetch-site", "cross-site")],
        &[("origin", "null"), ("sec-fetch-site", "same-origin")],
        &[("origin", "null")],
        &[("origin", "https://edge.example"), ("origin", "https://evil.example")],
        &[("sec-fetch-site", "none")],
        &[],
    ] {
        let mut all = vec![CSRF];
        all.extend(pairs);
        assert!(!passes(EVENTS, &all), "{pairs:?}");
    }
}

#[test]
fn event_sources_are_checked_by_their_origin() {
    assert!(passes("/stream", &[("origin", "https://host.edge.example"), ("sec-fetch-site", "same-site")]));
    assert!(passes("/stream", &[("sec-fetch-site", "same-origin")]));
    for pairs in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "https://evil.edge.example"), ("sec-fetch-site", "same-site")],
    ] {
        assert!(!passes("/stream", pairs), "{pairs:?}");
    }
}

const SAME_ORIGIN: (&str, &str) = ("sec-fetch-site", "same-origin");
const SAME_SITE: (&str, &str) = ("sec-fetch-site", "same-site");
const OF_HOST: (&str, &str) = ("referer", "https://host.edge.example/");
const LINK: [(&str, &str); 2] = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
const IMAGE: [(&str, &str); 2] = [("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
const DOWNLOAD: [(&str, &str); 2] = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "empty")];
const CLICKED: (&str, &str) = ("sec-fetch-user", "?1");

fn proxies(embed: Option<&str>, method: &Method, path: &str, pairs: &[&[(&'static str, &'static str)]]) -> bool {
    let rules = "GET /user, GET /files/* navigable, PUT /files/*";
    let config = config_with(serde_json::json!({"GITHUB_ALLOW": rules, "EMBED": embed}));
    let parameters = ["github".to_owned(), path.to_owned()];
    check(&config, row("/bff/{service}/{*path}"), &parameters, method, &headers(&pairs.concat())).is_ok()
}

fn shows(pairs: &[&[(&'static str, &'static str)]]) -> bool {
    proxies(None, &Method::GET, "files/a", pairs)
}

#[test]
fn a_link_or_an_image_of_our_pages_may_get_what_is_navigable() {
    for pairs in [
        &[&[SAME_ORIGIN][..], &LINK, &[CLICKED]][..],
        &[&[SAME_ORIGIN], &LINK],
        &[&[SAME_ORIGIN], &IMAGE],
        &[&[SAME_SITE, OF_HOST], &LINK, &[CLICKED]],
        &[&[SAME_SITE, OF_HOST], &IMAGE],
        &[&[SAME_ORIGIN, ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "video")]],
        &[&[SAME_ORIGIN, ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "audio")]],
        // A link with `download` in Chromium.
        &[&[SAME_ORIGIN], &DOWNLOAD],
        // Scripts use it as any other rule.
        &[&[CSRF, SAME_ORIGIN]],
    ] {
        assert!(shows(pairs), "{pairs:?}");
    }
}

#[test]
fn s164_nothing_else_may_do_so() {
    let none = ("sec-fetch-site", "none");
    let cross_site = ("sec-fetch-site", "cross-site");
    let prefetch = ("sec-purpose", "prefetch");
    for pairs in [
        &[][..],
        &[&LINK[..]],
        &[&IMAGE],
        &[&[SAME_ORIGIN]],
        &[&[cross_site], &LINK, &[CLICKED]],
        &[&[cross_site], &IMAGE],
        &[&[cross_site, OF_HOST], &IMAGE],
        &[&[none], &LINK, &[CLICKED]],
        &[&[cross_site], &DOWNLOAD],
        &[&[cross_site, OF_HOST], &DOWNLOAD],
        &[&[none], &DOWNLOAD],
        &[&[SAME_SITE, OF_HOST], &DOWNLOAD],
        &[&[SAME_ORIGIN], &DOWNLOAD, &[prefetch]],
        &[&[SAME_ORIGIN, ("origin", "https://evil.example")], &DOWNLOAD],
        &[&[SAME_SITE], &IMAGE],
        &[&[SAME_SITE], &LINK, &[CLICKED]],
        &[&[SAME_SITE, ("referer", "https://evil.edge.example/")], &IMAGE],
        &[&[SAME_SITE, ("referer", "https://host.edge.example.evil.example/")], &IMAGE],
        &[&[SAME_SITE, OF_HOST, OF_HOST], &IMAGE],
        &[&[SAME_ORIGIN, SAME_ORIGIN], &IMAGE],
        &[&[SAME_ORIGIN, cross_site], &IMAGE],
        &[&[("sec-fetch-site", "SAME-ORIGIN")], &IMAGE],
        &[&[SAME_ORIGIN, ("origin", "null")], &IMAGE],
        &[&[SAME_ORIGIN, ("origin", "https://evil.example")], &IMAGE],
        &[&[SAME_ORIGIN], &LINK, &[("sec-fetch-user", "?0")]],
        &[&[SAME_ORIGIN], &LINK, &[prefetch]],
        &[&[SAME_ORIGIN], &IMAGE, &[("upgrade", "websocket")]],
        &[&[SAME_ORIGIN], &IMAGE, &[("x-csrf", "0")]],
        &[&[SAME_ORIGIN], &LINK, &[("x-csrf", "")]],
        &[&[SAME_ORIGIN, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")]],
        &[&[SAME_ORIGIN, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "embed")]],
        &[&[SAME_ORIGIN, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "image")]],
        &[&[SAME_ORIGIN, ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "script")]],
        &[&[SAME_ORIGIN, ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "style")]],
        &[&[SAME_ORIGIN, ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "object")]],
        &[&[SAME_ORIGIN, ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "empty")]],
        &[&[SAME_ORIGIN, ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "image")]],
        &[&[SAME_ORIGIN, ("sec-fetch-mode", "no-cors")]],
        &[&[SAME_ORIGIN, ("sec-fetch-dest", "image")]],
    ] {
        assert!(!shows(pairs), "{pairs:?}");
    }
    let image = &[&[SAME_ORIGIN][..], &IMAGE][..];
    for (method, path) in [
        (Method::GET, "user"),
        (Method::GET, "files"),
        (Method::GET, "files/../user"),
        (Method::GET, "files/%2e%2e/user"),
        (Method::HEAD, "files/a"),
        (Method::PUT, "files/a"),
        (Method::POST, "files/a"),
    ] {
        assert!(!proxies(None, &method, path, image), "{method} {path}");
    }
    // Pages of other sites get it by scripts only.
    assert!(!proxies(Some("cross-site"), &Method::GET, "files/a", &[&[cross_site, OF_HOST], &IMAGE]));
    assert!(proxies(Some("cross-site"), &Method::GET, "files/a", image));
}

#[test]
fn a_sign_in_begins_only_with_a_top_level_navigation() {
    let login = "/auth/{provider}/login";
    assert!(passes(
        login,
        &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("sec-fetch-site", "cross-site")]
    ));
    assert!(passes(login, &[]));
    assert!(!passes(login, &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")]));
    assert!(!passes(login, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")]));
}

#[test]
fn a_prefetch_begins_no_sign_in() {
    for purpose in ["prefetch", "prefetch;prerender", "prefetch;anonymous-client-ip", "PreFetch", "a, preview"] {
        for name in ["sec-purpose", "purpose", "x-purpose", "x-moz"] {
            assert!(check_visited(&headers(&[(name, purpose)])).is_err());
            assert!(check_visited(&headers(&[(name, "x"), (name, purpose)])).is_err(), "the second one of two");
        }
    }
    assert!(check_visited(&headers(&[])).is_ok());
}

#[test]
fn only_configured_origins_pass_a_preflight() {
    let ask = |origin| headers(&[("origin", origin), ("access-control-request-method", "POST")]);
    let config = config();
    let allowed: Response<()> =
        preflight(&config, find_any_method("/events/chat", true), &ask("https://host.edge.example")).unwrap();
    assert_eq!(allowed.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://host.edge.example");
    assert!(preflight::<()>(&config, find_any_method("/events/chat", true), &ask("https://evil.example")).is_err());
    assert!(
        preflight::<()>(&config, find_any_method("/internal/deliver", true), &ask("https://host.edge.example"))
            .is_err()
    );
    assert!(preflight::<()>(&config, find_any_method("/nope", true), &ask("https://host.edge.example")).is_err());
}

#[test]
fn answers_are_neither_readable_by_other_origins_nor_cached() {
    let mut response: Response<()> = Response::empty(StatusCode::OK);
    let request = headers(&[("origin", "https://evil.example")]);
    finish(&config(), Some(row("/auth/session")), single(&request, &header::ORIGIN), "id", &mut response);
    assert!(!response.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    assert_eq!(response.headers[header::CACHE_CONTROL], "no-store");
    assert!(response.headers[header::VARY].to_str().unwrap().contains("Origin"));
}

#[test]
fn answers_without_credentials_vary_by_what_their_handler_says() {
    let vary = |path: &str, by_handler: &[&'static str]| {
        let mut response: Response<()> = Response::empty(StatusCode::OK);
        for value in by_handler {
            response.headers.append(header::VARY, HeaderValue::from_static(value));
        }
        finish(&config(), Some(row(path)), Some("https://evil.example"), "id", &mut response);
        let values = response.headers.get_all(header::VARY).iter();
        values.map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(vary("/assets/{name}", &["accept-encoding"]), "accept-encoding");
    assert_eq!(vary("/shell/{widget}", &["cookie", "accept"]), "cookie, accept");
    assert_eq!(vary("/healthz", &[]), "Origin, Cookie, Sec-Fetch-Site");
    assert_eq!(vary("/auth/session", &["accept"]), "accept, Origin, Cookie, Sec-Fetch-Site");
}
