use proptest::prelude::*;

use super::*;

fn service() -> Service {
    Service::example()
}

fn get(path: &str) -> Result<String, Refusal> {
    service().target(&Method::GET, path, Some("q=1")).map(String::from)
}

#[test]
fn an_allowed_path_goes_to_the_configured_host() {
    assert_eq!(get("/user"), Ok("https://api.example/v3/user?q=1".to_owned()));
    assert_eq!(get("/repos/a/caf%C3%A9%20x"), Ok("https://api.example/v3/repos/a/caf%C3%A9%20x?q=1".to_owned()));
    // The URL parser leaves an apostrophe as it is.
    assert!(get("/repos/a'b").is_ok());
}

#[test]
fn s83_a_method_without_a_rule_is_refused_with_the_allowed_methods() {
    for method in [Method::DELETE, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::CONNECT, Method::POST] {
        let refusal = service().target(&method, "/user", None).unwrap_err();
        assert_eq!(refusal, Refusal::Method { allow: "GET, PATCH".to_owned() });
    }
}

#[test]
fn s164_only_gets_of_a_marked_rule_are_navigable() {
    let rules = Rule::parse_list("GET /user, GET /files/* navigable, PUT /files/*").unwrap();
    let service = Service { rules, ..service() };
    assert!(service.is_navigable(&Method::GET, "/files/a/b"));
    for (method, path) in [
        (Method::GET, "/user"),
        (Method::GET, "/files"),
        (Method::GET, "/files/../user"),
        (Method::GET, "/files//a"),
        (Method::GET, "/other"),
        (Method::HEAD, "/files/a"),
        (Method::PUT, "/files/a"),
        (Method::POST, "/files/a"),
    ] {
        assert!(!service.is_navigable(&method, path), "{method} {path}");
    }
}

#[test]
fn s91_no_path_leads_to_another_host() {
    for path in
        ["@evil/user", "//evil/user", "https://evil/user", ":8080/user", "\\\\evil/user", ".evil.example/user", ""]
    {
        assert_eq!(get(path), Err(Refusal::BadPath), "{path:?}");
    }
}

#[test]
fn s92_query_and_fragment_do_not_choose_the_rule() {
    let url = service().target(&Method::GET, "/user", Some("x=/../../admin#f&path=/repos/a")).unwrap();
    assert_eq!((url.path(), url.fragment()), ("/v3/user", None));
    assert_eq!(url.query(), Some("x=/../../admin%23f&path=/repos/a"));
    assert_eq!(service().target(&Method::GET, "/nope", Some("/user")), Err(Refusal::UnknownPath));
}

#[test]
fn s161_a_trailing_slash_and_escapes_are_sent_byte_for_byte() {
    for path in ["/repos/a/7/", "/repos/a/x%23EXT%23%40y.example", "/repos/%2B%26%3d%3A%20%3F", "/repos/100%25.txt"] {
        assert_eq!(get(path), Ok(format!("https://api.example/v3{path}?q=1")));
    }
    for path in ["/repos/", "/user/", "/repos%23/a"] {
        assert_eq!(get(path), Err(Refusal::UnknownPath), "{path}");
    }
}

#[test]
fn s161_a_slash_alone_is_the_services_own_url_if_a_rule_says_so() {
    assert_eq!(get("/"), Err(Refusal::UnknownPath));
    for (base, without_rule) in [
        ("https://api.example/graphql", "https://api.example/graphql/"),
        ("https://api.example/graphql/", "https://api.example/graphql"),
        ("https://api.example/", "https://api.example//"),
    ] {
        let rules = Rule::parse_list("POST /, GET /a").unwrap();
        let service = Service { base: Url::parse(base).unwrap(), rules, ..service() };
        let url = service.target(&Method::POST, "/", Some("q=1")).map(String::from);
        assert_eq!(url, Ok(format!("{base}?q=1")));
        assert_eq!(
            service.target(&Method::GET, "/", None),
            Err(Refusal::Method { allow: "POST".to_owned() }),
            "{base}"
        );
        let below = |url: &str| service.path_below(&Url::parse(url).unwrap());
        assert_eq!(below(base), Some(AllowedPath::root()));
        assert_eq!(below(without_rule), None);
        assert_eq!(below("https://evil.example/graphql"), None);
    }
}

#[test]
fn a_method_in_the_query_is_refused_if_the_service_says_so() {
    let ask = |refuses_method_override, query| {
        Service { refuses_method_override, ..service() }.target(&Method::GET, "/user", Some(query)).map(drop)
    };
    assert_eq!(ask(false, "_method=DELETE"), Ok(()));
    assert_eq!(ask(true, "_method=DELETE"), Err(Refusal::MethodOverride));
    assert_eq!(ask(true, "method=post"), Ok(()));
}

#[test]
fn s163_only_urls_below_the_service_have_a_path_there() {
    let below = |url: &str| service().path_below(&Url::parse(url).unwrap()).map(|path| path.as_str().to_owned());
    assert_eq!(below("https://api.example/v3/user?q#f").as_deref(), Some("/user"));
    assert_eq!(below("https://api.example:443/v3/a/../b/").as_deref(), Some("/b/"));
    for url in [
        "https://api.example/v3",
        "https://api.example/v3/",
        "https://api.example/v30/x",
        "https://api.example/v4/x",
        "https://api.example/v3/../x",
        "https://api.example/v3/a%2f..%2fx",
        "https://api.example/v3//evil.example/",
        "http://api.example/v3/x",
        "https://api.example:8443/v3/x",
        "https://u@api.example/v3/x",
        "https://:p@api.example/v3/x",
        "https://evil.example/v3/x",
        "https://api.example.evil/v3/x",
        "javascript:/v3/x",
        "data:/v3/x",
    ] {
        assert_eq!(below(url), None, "{url}");
    }
}

#[test]
fn s93_a_prefix_ends_at_a_segment() {
    for path in ["/users", "/user/keys", "/repos", "/reposx/a", "/USER", "/v3/user"] {
        assert_eq!(get(path), Err(Refusal::UnknownPath), "{path}");
    }
}

proptest! {
    #[test]
    fn s91_no_path_changes_the_host_or_the_base(path in "(/repos)?[/\\\\.@:%;a-f0-9?#]{0,30}") {
        if let Ok(url) = service().target(&Method::GET, &path, None) {
            prop_assert_eq!(url.host_str(), Some("api.example"));
            prop_assert!(url.path() == "/v3/user" || url.path().starts_with("/v3/repos/"));
        }
    }
}
