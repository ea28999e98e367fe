use super::*;

fn handler(method: Method, path: &str) -> Result<Handler, Error> {
    find(&method, path, true).map(|(row, _)| row.handler)
}

#[test]
fn finds_rows_with_their_parameters() {
    assert_eq!(handler(Method::GET, "/auth/session"), Ok(Handler::Session));
    assert_eq!(handler(Method::GET, "/"), Ok(Handler::Page));
    let (row, parameters) = find(&Method::PATCH, "/bff/github/a/b%2Fc", true).unwrap();
    assert_eq!((row.handler, parameters), (Handler::Proxy, vec!["github".to_owned(), "a/b%2Fc".to_owned()]));
}

#[test]
fn paths_outside_the_table_are_not_found() {
    for path in [
        "/nope",
        "/auth",
        "/auth/",
        "/auth//login",
        "/auth/a/b/login",
        "/events/",
        "/events/a/b",
        "/events//history",
        "/events/a/history/",
        "/stream/",
        "//",
        "",
        "/bff/github",
        "/assets/a/b",
    ] {
        assert_eq!(handler(Method::GET, path), Err(Error::NotFound), "{path}");
    }
}

#[test]
fn a_wrong_method_is_answered_with_the_allowed_ones() {
    assert_eq!(handler(Method::DELETE, "/stream"), Err(Error::MethodNotAllowed { allow: "GET".to_owned() }));
    assert_eq!(handler(Method::GET, "/events/chat"), Err(Error::MethodNotAllowed { allow: "POST".to_owned() }));
    assert_eq!(handler(Method::HEAD, "/healthz"), Ok(Handler::Healthz));
    assert!(handler(Method::HEAD, "/stream").is_err());
}

#[test]
fn a_row_of_another_runtime_does_not_exist_for_any_method() {
    for path in ["/internal/deliver", "/internal/checkpoint"] {
        for method in [Method::POST, Method::GET, Method::OPTIONS] {
            assert_eq!(find(&method, path, false).err(), Some(Error::NotFound), "{method} {path}");
        }
        assert!(find_any_method(path, false).is_none());
        assert!(find_any_method(path, true).is_some());
    }
    assert!(find(&Method::GET, "/stream", false).is_ok());
}

#[test]
fn only_paths_that_begin_as_none_of_the_table_are_the_sites() {
    for path in ["/", "/orders", "/orders/7", "/healthz.html", "/authors", "//assets/x", "/%61ssets/x"] {
        assert!(is_host_page(&Method::GET, path) && is_host_page(&Method::HEAD, path), "{path}");
        assert!(!is_host_page(&Method::POST, path), "{path}");
    }
    for path in ["/assets/x.js", "/auth", "/auth/x", "/bff", "/events", "/stream", "/stream/x", "/internal/x", "*", ""]
    {
        assert!(!is_host_page(&Method::GET, path), "{path}");
    }
}

#[test]
fn every_row_that_uses_the_cookie_has_csrf_protection() {
    for row in TABLE {
        let uses_cookie = row.auth != Auth::None || matches!(row.handler, Handler::Logout | Handler::Handoff);
        let needs_header = matches!(row.csrf, Csrf::Header | Csrf::HeaderUnlessNavigable);
        assert!(!uses_cookie || needs_header || row.csrf == Csrf::FetchMetadata, "{}", row.pattern);
        let has_effect = row.method.as_ref().is_none_or(|method| *method != Method::GET);
        assert!(!has_effect || needs_header || matches!(row.csrf, Csrf::Signature | Csrf::Token), "{}", row.pattern);
    }
}
