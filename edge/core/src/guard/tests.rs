use super::*;
use crate::{
    config::Coordination,
    route::{TABLE, find_any_method},
    testing::settings::settings,
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
    check(&config(), row, row.method.as_ref().unwrap_or(&Method::POST), &headers(pairs)).is_ok()
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
    finish(&config(), Some(row("/auth/session")), &request, "id", &mut response);
    assert!(!response.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    assert_eq!(response.headers[header::CACHE_CONTROL], "no-store");
    assert!(response.headers[header::VARY].to_str().unwrap().contains("Origin"));
}
