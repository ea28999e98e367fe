//! API calls through `/bff/{service}/…`.

use causeway_core::{
    http::web::Response,
    testing::{
        body::InMemoryBody,
        platform::{Answer, Sent},
    },
};
use http::{Method, StatusCode};

use super::{Browser, code, github, text};

#[test]
fn api_call_carries_the_token_not_the_cookie() {
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
    assert!(sent.headers.contains_key("traceparent"));
}

#[test]
fn api_calls_outside_the_rules_are_not_sent() {
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
fn upstream_response_headers_do_not_reach_the_browser() {
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

/// An API that accepts everything.
fn taking(sent: &Sent) -> Option<Answer> {
    match sent.url.as_str() {
        "https://api.github.com/take" => Some((200, Vec::new(), String::new())),
        _ => github(sent),
    }
}

fn upload(browser: &Browser, headers: &[(&str, &str)], body: &str) -> Response<InMemoryBody> {
    let mut all = vec![("x-csrf", "1"), ("origin", "https://edge.example")];
    all.extend(headers);
    browser.send(Method::POST, "/bff/github/take", &all, body)
}

#[test]
fn s105_bodies_within_the_limit_pass_with_and_without_content_length() {
    let browser = Browser::configured(&[("GITHUB_ALLOW", "POST /take")], taking);
    browser.sign_in();
    for (length, declared, status) in [
        (10, true, 200),
        (10, false, 200),
        (64 * 1024 + 1, true, 200),
        (256 * 1024, true, 200),
        (256 * 1024, false, 200),
        (256 * 1024 + 1, true, 413),
        (256 * 1024 + 1, false, 413),
    ] {
        let (body, says) = ("x".repeat(length), length.to_string());
        let headers: &[(&str, &str)] = if declared { &[("content-length", &says)] } else { &[] };
        let response = upload(&browser, headers, &body);
        assert_eq!(response.status.as_u16(), status, "{length} {declared}");
        let sent = browser.sent_to("https://api.github.com/take").pop().unwrap();
        if status == 200 {
            assert_eq!(sent.body.len(), length);
        }
        assert!(sent.body.len() <= 256 * 1024, "nothing beyond the limit is sent");
    }
}

#[test]
fn s96_body_with_contradictory_length_is_not_sent() {
    let browser = Browser::configured(&[("GITHUB_ALLOW", "POST /take")], taking);
    browser.sign_in();
    for headers in [
        &[("content-length", "3"), ("content-length", "4")][..],
        &[("content-length", "3"), ("transfer-encoding", "chunked")],
        &[("content-length", "three")],
    ] {
        assert_eq!(code(&upload(&browser, headers, "abc")), "bad-request");
    }
    assert!(browser.sent_to("https://api.github.com/take").is_empty());
}

#[test]
fn s105_compressed_response_is_passed_through() {
    for coding in ["gzip", "br", "zstd", "gzip, br"] {
        let browser = Browser::configured(&[("GITHUB_ALLOW", "POST /take")], move |sent| match sent.url.as_str() {
            "https://api.github.com/take" => {
                let headers =
                    vec![("content-encoding", coding.to_owned()), ("content-range", "bytes 0-3/9".to_owned())];
                Some((206, headers, "bomb".to_owned()))
            }
            _ => github(sent),
        });
        browser.sign_in();
        let response = upload(&browser, &[("accept-encoding", "gzip, br"), ("content-length", "0")], "");
        assert_eq!((response.status, text(&response).as_str()), (StatusCode::PARTIAL_CONTENT, "bomb"), "{coding}");
        assert_eq!(response.headers["content-encoding"], coding);
        assert_eq!(response.headers["content-range"], "bytes 0-3/9");
        assert!(!response.headers.contains_key("content-length"), "the runtime knows the length");
        let sent = browser.sent_to("https://api.github.com/take").pop().unwrap();
        assert_eq!(sent.headers["accept-encoding"], "identity");
    }
}

#[test]
fn ambiguous_paths_are_rejected_and_not_sent() {
    let browser = Browser::configured(&[("GITHUB_ALLOW", "POST /take")], taking);
    browser.sign_in();
    for header in [
        ("content-encoding", "gzip"),
        ("content-range", "bytes 0-2/9"),
        ("if-match", "\"é\""),
        ("idempotency-key", "é"),
    ] {
        let response = upload(&browser, &[("content-length", "3"), header], "abc");
        assert_eq!((response.status, code(&response).as_str()), (StatusCode::BAD_REQUEST, "bad-request"), "{header:?}");
    }
    assert!(browser.sent_to("https://api.github.com/take").is_empty());
    let passed =
        [("if-unmodified-since", "Tue, 24 Nov 2026 20:00:00 GMT"), ("if-range", "\"a\""), ("idempotency-key", "k")];
    let identity = ("content-encoding", "identity");
    assert_eq!(upload(&browser, &[&passed[..], &[identity]].concat(), "abc").status, StatusCode::OK);
    let sent = browser.sent_to("https://api.github.com/take").pop().unwrap();
    assert!(passed.iter().all(|(name, value)| sent.headers[*name] == *value));
}

const SERVICES: &str = r#"[
    {"name":"orders","url":"https://orders.example/v1","provider":"github","shares_token":true,"allow":["GET /x","POST /x"]},
    {"name":"mail","url":"https://mail.example","provider":"entra","shares_token":true,"allow":["GET /x"]}
]"#;

fn orders(sent: &Sent) -> Option<Answer> {
    if sent.url.starts_with("https://orders.example/") { Some((200, Vec::new(), String::new())) } else { github(sent) }
}

#[test]
fn s94_forwarding_headers_are_set_by_the_edge_alone() {
    let browser = Browser::configured(&[("SERVICES", SERVICES)], orders);
    browser.sign_in();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [
        ("x-csrf", "1"),
        ("origin", "https://edge.example"),
        ("x-forwarded-for", "1.2.3.4"),
        ("forwarded", "for=1.2.3.4"),
        ("traceparent", trace),
    ];
    assert_eq!(browser.send(Method::GET, "/bff/orders/x?a=b", &headers, "").status, StatusCode::OK);
    let sent = browser.sent_to("https://orders.example/v1/x?a=b").pop().unwrap();
    assert_eq!(sent.headers["x-forwarded-for"], "203.0.113.7");
    assert_eq!(sent.headers["forwarded"], "for=203.0.113.7;host=\"edge.example\";proto=https");
    assert_eq!(sent.headers["traceparent"], trace);
    assert_eq!(sent.headers["authorization"], "Bearer gho_secret");
}

/// Behind a proxy the runtime sees the proxy's address. The proxy's header is trusted, headers by clients are not.
#[test]
fn s94_client_address_is_read_from_the_configured_header() {
    let settings = [("SERVICES", SERVICES), ("CLIENT_ADDRESS_HEADER", "X-Real-IP")];
    let browser = Browser::configured(&settings, orders);
    browser.sign_in();
    let forwarded = |headers: &[(&str, &str)]| {
        let headers = [&[("x-csrf", "1"), ("origin", "https://edge.example")], headers].concat();
        assert_eq!(browser.send(Method::GET, "/bff/orders/x", &headers, "").status, StatusCode::OK);
        let sent = browser.sent_to("https://orders.example/v1/x").pop().unwrap();
        assert!(!sent.headers.contains_key("x-real-ip"));
        sent.headers.get("x-forwarded-for").map(|address| address.to_str().unwrap().to_owned())
    };
    let client = [("x-forwarded-for", "1.2.3.4"), ("x-real-ip", "198.51.100.9")];
    assert_eq!(forwarded(&client).as_deref(), Some("198.51.100.9"));
    assert_eq!(forwarded(&[("x-forwarded-for", "1.2.3.4")]), None, "nor the proxy's own address");
}

#[test]
fn s101_token_of_one_provider_is_never_sent_to_another() {
    let browser = Browser::configured(&[("SERVICES", SERVICES)], orders);
    browser.sign_in();
    assert_eq!(code(&browser.script(Method::GET, "/bff/mail/x", "")), "provider-sign-in-needed");
    assert_eq!(code(&browser.script(Method::GET, "/bff/graph/v1.0/me", "")), "provider-sign-in-needed");
    assert!(
        browser.sent_to("https://mail.example").is_empty() && browser.sent_to("https://graph.microsoft.com").is_empty()
    );
}

const LINK: [(&str, &str); 4] = [
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-user", "?1"),
];
const IMAGE: [(&str, &str); 4] = [
    ("sec-fetch-site", "same-site"),
    ("sec-fetch-mode", "no-cors"),
    ("sec-fetch-dest", "image"),
    ("referer", "https://host.edge.example/"),
];
const FILES: &str = "https://api.github.com/files/";

/// A signed-in user at a deployment whose API serves files, which are pages with scripts.
fn at_files() -> Browser {
    let rules = [("GITHUB_ALLOW", "GET /files/* navigable, PUT /files/*, GET /user")];
    let browser = Browser::configured(&rules, |sent| match sent.url.as_str() {
        "https://api.github.com/files/page" => Some((
            200,
            vec![
                ("content-type", "text/html".to_owned()),
                ("content-disposition", "inline; filename=\"page.html\"".to_owned()),
                ("content-security-policy", "default-src *".to_owned()),
                ("cross-origin-resource-policy", "cross-origin".to_owned()),
            ],
            "<script>steal()</script>".to_owned(),
        )),
        _ => github(sent),
    });
    browser.sign_in();
    browser
}

#[test]
fn s164_link_downloads_and_image_shows_what_a_rule_marks_as_navigable() {
    let browser = at_files();
    for headers in [&LINK, &IMAGE] {
        let response = browser.send(Method::GET, "/bff/github/files/page", headers, "");
        assert_eq!(response.status, StatusCode::OK, "{}", text(&response));
        let header = |name: &str| response.headers.get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(header("content-disposition"), ["attachment; filename=\"page.html\""]);
        assert_eq!(header("content-security-policy"), ["sandbox; default-src 'none'; frame-ancestors 'none'"]);
        assert_eq!(header("cross-origin-resource-policy"), ["same-site"]);
        assert_eq!(header("x-content-type-options"), ["nosniff"]);
        assert_eq!(header("cache-control"), ["no-store"]);
        assert!(!response.headers.contains_key("access-control-allow-origin"));
    }
    assert_eq!(browser.sent_to(FILES).pop().unwrap().headers["authorization"], "Bearer gho_secret");
    // A script gets it as before.
    let response = browser.script(Method::GET, "/bff/github/files/page", "");
    assert_eq!(response.headers["content-disposition"], "inline; filename=\"page.html\"");
    assert_eq!(response.headers["cross-origin-resource-policy"], "same-origin");
}

#[test]
fn s164_request_of_another_site_for_what_is_navigable_is_rejected() {
    let browser = at_files();
    let mode = |site, mode, dest| [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
    for headers in [
        mode("cross-site", "no-cors", "image"),
        mode("cross-site", "navigate", "document"),
        mode("same-site", "no-cors", "image"),
        mode("none", "navigate", "document"),
        mode("same-origin", "navigate", "iframe"),
        mode("same-origin", "no-cors", "script"),
        mode("same-origin", "cors", "empty"),
    ] {
        let response = browser.send(Method::GET, "/bff/github/files/page", &headers, "");
        assert_eq!((response.status, code(&response).as_str()), (StatusCode::FORBIDDEN, "forbidden"), "{headers:?}");
    }
    assert_eq!(browser.get("/bff/github/files/page").status, StatusCode::FORBIDDEN);
    for (method, target) in [(Method::PUT, "/bff/github/files/page"), (Method::GET, "/bff/github/user")] {
        assert_eq!(browser.send(method, target, &LINK, "").status, StatusCode::FORBIDDEN, "{target}");
    }
    assert!(browser.sent_to(FILES).is_empty());
}

#[test]
fn link_to_a_file_without_a_session_shows_a_page() {
    let browser = at_files();
    browser.swap(Vec::new());
    let headers = [&LINK[..], &[("accept", "text/html,*/*;q=0.8")]].concat();
    let response = browser.send(Method::GET, "/bff/github/files/page", &headers, "");
    assert_eq!(
        (response.status, &response.headers["content-type"]),
        (StatusCode::UNAUTHORIZED, &"text/html; charset=utf-8".parse().unwrap())
    );
    let page = text(&response);
    for id in ["github", "entra"] {
        let link =
            format!("<a href=\"/auth/{id}/login?return_to=https%3A%2F%2Fhost.edge.example%2Fpage%3Fa%3D%2527b\">");
        let headers = [&headers[..], &[("referer", "https://host.edge.example/page?a=%27b")]].concat();
        let page = text(&browser.send(Method::GET, "/bff/github/files/page", &headers, ""));
        assert!(page.contains(&link), "{page}");
    }
    assert!(page.contains("<a href=\"/auth/github/login?return_to=%2F\">Sign in with GitHub</a>"), "{page}");
    for referrer in ["https://evil.example/\"><script>", "javascript:x", "https://edge.example/auth/github/login"] {
        let headers = [&headers[..], &[("referer", referrer)]].concat();
        let page = text(&browser.send(Method::GET, "/bff/github/files/page", &headers, ""));
        assert!(page.contains("/login?return_to=%2F\">") && !page.contains("evil") && !page.contains("javascript"));
    }
    assert_eq!(code(&browser.send(Method::GET, "/bff/github/files/page", &IMAGE, "")), "unauthenticated");
}

const SHOP: &str = r#"[
    {"name":"shop","url":"https://shop.example/v1","provider":"github","shares_token":true,
     "allow":["GET /items/*","POST /items/*","GET /jobs/"],
     "request_headers":["ConsistencyLevel","Prefer","X-GitHub-Api-Version"],"refuse_method_override":true},
    {"name":"lax","url":"https://lax.example","provider":"github","shares_token":true,"allow":["GET /items/*"]}
]"#;

fn shop(sent: &Sent) -> Option<Answer> {
    let with = |status, name, value: &str| Some((status, vec![(name, value.to_owned())], "body".to_owned()));
    let Some(path) = sent.url.strip_prefix("https://shop.example/v1/items/") else {
        let is_api = sent.url.starts_with("https://shop.example/") || sent.url.starts_with("https://lax.example/");
        return if is_api { with(200, "etag", "\"1\"") } else { github(sent) };
    };
    match path {
        "made" => with(201, "location", "/v1/items/9"),
        "accepted" => with(202, "operation-location", "https://shop.example/v1/jobs/9?v=1"),
        "azure" => with(202, "azure-asyncoperation", "https://shop.example/v1/jobs/9"),
        "list" => with(200, "link", "<?page=2>; rel=\"next\", <https://evil.example/>; rel=\"last\""),
        "made-elsewhere" => with(201, "location", "https://evil.example/v1/items/9"),
        "moved" => with(301, "location", "/v1/items/moved/"),
        "seen" => with(303, "location", "https://shop.example/v1/items/9"),
        "kept" => with(307, "location", "../items/9"),
        "moved-beyond-the-rules" => with(302, "location", "/v1/admin"),
        "moved-above" => with(302, "location", "/v2/items/9"),
        "moved-elsewhere" => with(302, "location", "https://evil.example/v1/items/9"),
        "moved-to-a-port" => with(308, "location", "https://shop.example:8443/v1/items/9"),
        "moved-to-a-user" => with(302, "location", "https://a:b@shop.example/v1/items/9"),
        "choice" => with(300, "location", "/v1/items/9"),
        _ => with(200, "etag", "\"1\""),
    }
}

#[test]
fn s161_trailing_slashes_and_encoded_reserved_characters_pass_byte_for_byte() {
    let browser = Browser::configured(&[("SERVICES", SHOP)], shop);
    browser.sign_in();
    for path in [
        "/items/7/",
        "/jobs/",
        "/items/ada_corp.example%23EXT%23%40tenant.onmicrosoft.com",
        "/items/a%2Bb%26c%3dd%3Ae%20f",
        "/items/100%25.txt/",
    ] {
        assert_eq!(browser.script(Method::GET, &format!("/bff/shop{path}"), "").status, StatusCode::OK, "{path}");
        assert_eq!(
            browser.sent_to("https://shop.example/").pop().unwrap().url,
            format!("https://shop.example/v1{path}")
        );
    }
    let before = browser.platform.sent.borrow().len();
    for (path, status) in [
        ("/items/", 404),
        ("/jobs", 404),
        ("/jobs/1", 404),
        ("/items//7", 400),
        ("/items/7//", 400),
        ("/items/%2F", 400),
        ("/items/a%5Cb", 400),
        ("/items/%2e%2e/", 400),
        ("/items/..%23/x", 400),
        ("/items/%23", 400),
        ("/items/%00", 400),
        ("/items/a%0Ab", 400),
        ("/items/%252e%252e/x", 400),
        ("/items/a%252Fb", 400),
        ("/items%23/7", 404),
    ] {
        assert_eq!(browser.script(Method::GET, &format!("/bff/shop{path}"), "").status.as_u16(), status, "{path}");
    }
    assert_eq!(browser.platform.sent.borrow().len(), before);
}

#[test]
fn s162_a_service_gets_the_request_headers_that_it_names_and_no_others() {
    let browser = Browser::configured(&[("SERVICES", SHOP)], shop);
    browser.sign_in();
    let headers = [
        ("x-csrf", "1"),
        ("origin", "https://edge.example"),
        ("consistencylevel", "eventual"),
        ("prefer", "return=minimal"),
        ("x-other", "1"),
        ("cookie2", "1"),
        ("authorization", "Bearer mine"),
    ];
    for (service, is_named) in [("shop", true), ("lax", false)] {
        let response = browser.send(Method::GET, &format!("/bff/{service}/items/7"), &headers, "");
        assert_eq!(response.status, StatusCode::OK);
        let sent = browser.platform.sent.borrow().last().unwrap().clone();
        assert_eq!(sent.headers.contains_key("consistencylevel"), is_named, "{service}");
        assert_eq!(sent.headers.contains_key("prefer"), is_named, "{service}");
        assert!(!sent.headers.contains_key("x-other") && !sent.headers.contains_key("cookie2"));
        assert_eq!(sent.headers["authorization"], "Bearer gho_secret");
        let ask = [
            ("origin", "https://edge.example"),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "consistencylevel,x-csrf"),
        ];
        let preflight = browser.send(Method::OPTIONS, &format!("/bff/{service}/items/7"), &ask, "");
        let allowed = preflight.headers["access-control-allow-headers"].to_str().unwrap();
        assert!(allowed.contains("x-csrf"));
        assert_eq!(allowed.ends_with(", consistencylevel, prefer, x-github-api-version"), is_named, "{allowed}");
    }
}

#[test]
fn s163_addresses_of_an_answer_lead_back_to_the_edge_or_are_removed() {
    let browser = Browser::configured(&[("SERVICES", SHOP)], shop);
    browser.sign_in();
    for (path, name, expected) in [
        ("made", "location", Some("/bff/shop/items/9")),
        ("accepted", "operation-location", Some("/bff/shop/jobs/9?v=1")),
        ("azure", "azure-asyncoperation", Some("/bff/shop/jobs/9")),
        ("list", "link", Some("</bff/shop/items/list?page=2>; rel=\"next\"")),
        ("made-elsewhere", "location", None),
    ] {
        let response = browser.script(Method::GET, &format!("/bff/shop/items/{path}"), "");
        assert!(response.status.is_success());
        assert_eq!(response.headers.get(name).map(|value| value.to_str().unwrap()), expected, "{path}");
        let exposed = response.headers["access-control-expose-headers"].to_str().unwrap();
        assert!(exposed.split(", ").any(|it| it == name), "a host page may read {name}");
    }
}

#[test]
fn s98_s163_redirects_within_the_rules_are_mapped_and_others_rejected() {
    let browser = Browser::configured(&[("SERVICES", SHOP)], shop);
    browser.sign_in();
    for (method, path, expected) in [
        (Method::GET, "moved", Some((301, "/bff/shop/items/moved/"))),
        (Method::POST, "seen", Some((303, "/bff/shop/items/9"))),
        (Method::POST, "kept", Some((307, "/bff/shop/items/9"))),
        (Method::GET, "moved-beyond-the-rules", None),
        (Method::GET, "moved-above", None),
        (Method::GET, "moved-elsewhere", None),
        (Method::GET, "moved-to-a-port", None),
        (Method::GET, "moved-to-a-user", None),
        (Method::GET, "choice", None),
    ] {
        let before = browser.platform.sent.borrow().len();
        let response = browser.script(method, &format!("/bff/shop/items/{path}"), "");
        let location = response.headers.get("location").map(|value| value.to_str().unwrap());
        let status = response.status.as_u16();
        match expected {
            Some(expected) => assert_eq!((status, location), (expected.0, Some(expected.1)), "{path}"),
            None => assert_eq!((status, location), (502, None), "{path}"),
        }
        assert_eq!(browser.platform.sent.borrow().len(), before + 1, "the edge itself follows none");
        assert!(status == 502 || text(&response).is_empty());
    }
}

#[test]
fn a_service_may_refuse_a_query_that_names_another_method() {
    let browser = Browser::configured(&[("SERVICES", SHOP)], shop);
    browser.sign_in();
    for query in ["_method=DELETE", "a=1&_METHOD=put", "%5fmethod=DELETE", "_method%5B%5D=DELETE"] {
        let before = browser.platform.sent.borrow().len();
        assert_eq!(code(&browser.script(Method::GET, &format!("/bff/shop/items/7?{query}"), "")), "bad-request");
        assert_eq!(browser.platform.sent.borrow().len(), before);
        // Another service gets the query as it is.
        assert_eq!(browser.script(Method::GET, &format!("/bff/lax/items/7?{query}"), "").status, StatusCode::OK);
        let url = browser.platform.sent.borrow().last().unwrap().url.clone();
        assert_eq!(url, format!("https://lax.example/items/7?{query}"));
    }
    assert_eq!(browser.script(Method::GET, "/bff/shop/items/7?method=a", "").status, StatusCode::OK);
}
