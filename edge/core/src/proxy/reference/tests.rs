use super::*;
use crate::proxy::rule::Rule;

fn service() -> Service {
    let rules = Rule::parse_list("GET /items/*, POST /items/*").unwrap();
    Service { name: "shop".to_owned(), rules, ..Service::example() }
}

fn answered<T>(method: &Method, run: impl FnOnce(&Answered<'_>) -> T) -> T {
    let (service, url) = (service(), Url::parse("https://api.example/v3/items/7?x=y").unwrap());
    run(&Answered { service: &service, method, url: &url, is_by_link: false })
}

#[test]
fn s163_an_address_below_the_service_is_mapped_and_any_other_is_not() {
    let address = |reference: &str| answered(&Method::GET, |answered| answered.address(reference));
    for (reference, expected) in [
        ("https://api.example/v3/jobs/9?api-version=1", "/bff/shop/jobs/9?api-version=1"),
        ("HTTPS://API.EXAMPLE:443/v3/jobs/9", "/bff/shop/jobs/9"),
        ("//api.example/v3/jobs/9", "/bff/shop/jobs/9"),
        ("/v3/jobs/9/", "/bff/shop/jobs/9/"),
        ("8", "/bff/shop/items/8"),
        ("../jobs/9", "/bff/shop/jobs/9"),
        ("?page=2", "/bff/shop/items/7?page=2"),
        ("", "/bff/shop/items/7?x=y"),
        ("/v3/users/a%23EXT%23%40b", "/bff/shop/users/a%23EXT%23%40b"),
        ("/v3/jobs/9#part", "/bff/shop/jobs/9"),
    ] {
        assert_eq!(address(reference).as_deref(), Some(expected), "{reference}");
    }
    for reference in [
        "https://evil.example/v3/items/7",
        "//evil.example/v3/items/7",
        "/\\evil.example/v3/items/7",
        "\\\\evil.example/v3/items/7",
        "http://api.example/v3/items/7",
        "https://api.example:8443/v3/items/7",
        "https://evil@api.example/v3/items/7",
        "https://api.example@evil.example/v3/items/7",
        "https://api.example.evil.example/v3/items/7",
        "https://api.example%2eevil.example/v3/items/7",
        "javascript:alert(1)",
        "data:text/html,x",
        "blob:https://api.example/v3/items/7",
        "/v4/items/7",
        "/v30/items/7",
        "/v3",
        "/v3/",
        "/v3//evil.example",
        "/v3/../admin",
        "../../admin",
        "/v3/%2e%2e/admin",
        "/v3/a%2fb",
        "/v3/a%5cb",
        "/v3/a;b",
        "/v3/a b",
        "/v3/items/8, /v3/items/9",
        "/v3/items/{id}",
        "https://[",
    ] {
        assert_eq!(address(reference), None, "{reference}");
    }
}

#[test]
fn s163_a_redirect_is_mapped_if_a_rule_allows_what_follows() {
    let follow = |method: Method, status: u16, locations: &[&'static str]| {
        let headers = locations.iter().map(|location| (header::LOCATION, HeaderValue::from_static(location))).collect();
        answered(&method, |answered| answered.redirect(StatusCode::from_u16(status).unwrap(), &headers))
    };
    for status in [301, 302, 303, 307, 308] {
        assert_eq!(follow(Method::GET, status, &["/v3/items/8"]).as_deref(), Some("/bff/shop/items/8"));
        assert_eq!(follow(Method::GET, status, &["/v3/admin"]), None, "{status} beyond the rules");
        assert_eq!(follow(Method::GET, status, &["https://evil.example/v3/items/8"]), None, "{status}");
        assert_eq!(follow(Method::GET, status, &[]), None, "{status}");
        assert_eq!(follow(Method::GET, status, &["/v3/items/8", "/v3/items/9"]), None, "{status} with two");
    }
    for (method, status, is_followed) in [
        (Method::POST, 301, true),
        (Method::POST, 303, true),
        (Method::POST, 307, true),
        // Followed by the same method, which no rule allows there.
        (Method::DELETE, 302, false),
        (Method::DELETE, 308, false),
        (Method::DELETE, 303, true),
        (Method::GET, 300, false),
        (Method::GET, 305, false),
    ] {
        assert_eq!(follow(method.clone(), status, &["/v3/items/8"]).is_some(), is_followed, "{method} {status}");
    }
}

#[test]
fn s164_a_link_is_redirected_only_to_what_a_link_may_get() {
    let rules = Rule::parse_list("GET /items/*, GET /files/* navigable").unwrap();
    let (service, url) = (Service { rules, ..service() }, Url::parse("https://api.example/v3/files/7").unwrap());
    for (is_by_link, location, is_mapped) in [
        (true, "/v3/files/8", true),
        (true, "/v3/items/8", false),
        (false, "/v3/files/8", true),
        (false, "/v3/items/8", true),
    ] {
        let answered = Answered { service: &service, method: &Method::GET, url: &url, is_by_link };
        let headers = HeaderMap::from_iter([(header::LOCATION, HeaderValue::from_static(location))]);
        assert_eq!(answered.redirect(StatusCode::FOUND, &headers).is_some(), is_mapped, "{is_by_link} {location}");
    }
}

#[test]
fn s99_s163_only_links_below_the_service_that_a_browser_does_not_fetch_pass() {
    let links = |text: &'static str| {
        answered(&Method::GET, |answered| answered.links(&HeaderValue::from_static(text), &mut LinkRoom::default()))
            .map(|links| links.to_str().unwrap().to_owned())
    };
    for (text, expected) in [
        (r#"<https://api.example/v3/items?page=2>; rel="next""#, r#"</bff/shop/items?page=2>; rel="next""#),
        ("<?page=2>;rel=next", "</bff/shop/items/7?page=2>; rel=next"),
        (
            r#"</v3/items?page=1>; rel="first", </v3/items?a,b;c>; REL="Last"; title="x, <y>; z""#,
            r#"</bff/shop/items?page=1>; rel="first", </bff/shop/items?a,b;c>; REL="Last"; title="x, <y>; z""#,
        ),
        (
            r#"</v3/items?page=2>; rel="next", </v3/x>; rel=preload, <//evil.example>; rel="last""#,
            r#"</bff/shop/items?page=2>; rel="next""#,
        ),
        (r#"</v3/items/8>; rel="self""#, r#"</bff/shop/items/8>; rel="self""#),
        (r#"</v3/items?page=2>; rel="next last""#, r#"</bff/shop/items?page=2>; rel="next last""#),
        (
            "</v3/doc>; rel=describedby; type=\"text/html\", </v3/b>; rel=\"https://api.example/rel/x\"",
            "</bff/shop/doc>; rel=describedby; type=\"text/html\", </bff/shop/b>; rel=\"https://api.example/rel/x\"",
        ),
        (r#"</v3/items?page=2>; rel="next", </x>; rev=made"#, r#"</bff/shop/items?page=2>; rel="next""#),
    ] {
        assert_eq!(links(text).as_deref(), Some(expected), "{text}");
    }
    for text in [
        "",
        "</v3/x>",
        "</v3/x>; rel",
        "<https://evil.example>; rel=preload; as=script",
        r#"<https://evil.example/v3/items?page=2>; rel="next""#,
        r#"<https://evil.example>; rel="preconnect""#,
        r#"</v3/x>; rel="next preload""#,
        r#"</v3/x>; rel="PreLoad""#,
        "</v3/x>; rel=\"next\tstylesheet\"",
        r#"</v3/x>; rel="shortcut icon""#,
        r#"</v3/x>; rel="next p\reload""#,
        "</v3/x>; rel='preload'; rel=next",
        r#"</v3/x>; rel="""#,
        "</v3/x>; rel=dns-prefetch",
        "</v3/x>; rel=modulepreload",
        "</v3/x>; rel=prerender",
        "</v3/x>; rel=manifest",
        "</v3/x>; rel=compression-dictionary",
        "</v3/x>; rel=expect",
        "</v3/x>; rel=,preload",
        r#"</v3/items?page=2>; rel="next"; rel = stylesheet"#,
        r#"</v3/items?page=2>; rel="next"; REL*=UTF-8''prefetch"#,
        r#"</v3/items?page=2>; rel="next"; rev=made"#,
        r#"</v3/items?page=2>; rel="next"; anchor="https://evil.example""#,
        r#"</v3/items?page=2>; rel="next"; title="open, </x>; rel=preload"#,
        r#"</v3/items?page=2> x; rel="next""#,
        r#"/v3/items?page=2; rel="next""#,
        r#"</v3/items?page=2; rel="next""#,
    ] {
        assert_eq!(links(text), None, "{text}");
    }
}
