use proptest::prelude::*;

use super::*;

fn check(text: &str) -> String {
    let own = Origin::parse("https://edge.example").unwrap();
    let hosts = [Origin::parse("https://host.example").unwrap(), Origin::parse("http://localhost:8080").unwrap()];
    ReturnTo::parse(text, &own, &hosts).as_str().to_owned()
}

#[test]
fn good_addresses_are_kept() {
    for good in [
        "/",
        "/chat",
        "/chat/?q=1&r=%2F",
        "/caf%C3%A9",
        "https://host.example/",
        "https://host.example/page?x=//y",
        "https://host.example/@ada",
        "https://host.example/wiki/Topic:Kafka",
        "https://host.example/a;v=1//b#/route?x",
        "https://host.example?q#f",
        "http://localhost:8080/index.html",
    ] {
        assert_eq!(check(good), good);
    }
    assert_eq!(check("https://host.example"), "https://host.example/");
    assert_eq!(check("https://edge.example/chat?q=1"), "/chat?q=1");
}

#[test]
fn an_origin_contains_no_pattern_and_no_directive() {
    for good in ["https://a-b.example", "https://xn--caf-dma.example:8443", "http://[::1]:8080", "http://127.0.0.1"] {
        assert!(Origin::parse(good).is_some(), "{good}");
    }
    for bad in ["https://*.example", "https://*", "https://a;b.example", "https://a'b.example", "https://a,b.example"] {
        assert!(Origin::parse(bad).is_none(), "{bad}");
    }
}

#[test]
fn host_pages_on_the_edges_origin_follow_the_edges_rules() {
    let own = Origin::parse("https://edge.example").unwrap();
    let check = |text| ReturnTo::parse(text, &own, std::slice::from_ref(&own)).as_str().to_owned();
    assert_eq!(check("https://edge.example/chat?q=1#//e"), "/chat?q=1");
    assert_eq!(check("https://edge.example/auth/corp/login"), "/");
}

#[test]
fn fragment_entry_is_added_behind_the_pages_own_fragment() {
    for (address, expected) in [
        ("/chat?q=1", "/chat?q=1#error=cancelled"),
        ("https://host.example/a#", "https://host.example/a#error=cancelled"),
        ("https://host.example/a#/route?x=1&y", "https://host.example/a#/route?x=1&y&error=cancelled"),
        ("https://host.example/a#error=old", "https://host.example/a#error=cancelled"),
        ("https://host.example/a#b&error=old&c", "https://host.example/a#b&c&error=cancelled"),
        ("https://host.example/a#errors=1#x", "https://host.example/a#errors=1#x&error=cancelled"),
    ] {
        let own = Origin::parse("https://edge.example").unwrap();
        let hosts = [Origin::parse("https://host.example").unwrap()];
        let address = ReturnTo::parse(address, &own, &hosts);
        assert_eq!(address.with_fragment_entry("error", "cancelled"), expected);
    }
}

#[test]
fn everything_else_becomes_home() {
    for bad in [
        "",
        "e",
        "//e",
        "///e",
        "/\\e",
        "\\\\e",
        "/\\/e",
        "/./\\e",
        "/..//e",
        "/../e",
        "/a/./b",
        "/%09/e",
        "/%0a/e",
        "/ /e",
        "/\te",
        "/%5ce",
        "/%2f%2fe",
        "/%255ce",
        "https:e",
        "https:///e",
        "javascript:alert(1)",
        "data:text/html,x",
        "JaVaScRiPt:x",
        "https://host.example@e/",
        "https://host.example.e/",
        "https://host.examplee/",
        "https://e/https://host.example/",
        "https://good@host.example/",
        "HTTPS://host.example/",
        "https://host.example:444/",
        "／／e",
        "https://host。example/",
        "/＠e",
        "/a\r\nSet-Cookie: x=1",
        "/#//e",
        "/a#b",
        "?x",
        "/a;/../b",
        "/a/..;/b",
        "//host.example/",
        "https://host.example\\@e/",
        "/%",
        "/%zz",
        "/auth",
        "/auth/corp/login?connect=1",
        "https://edge.example.evil/",
        "https://edge.example",
        "https://edge.example//e",
        "https://edge.example@e/",
        "https://edge.example/auth/corp/login",
    ] {
        assert_eq!(check(bad), "/", "{bad:?}");
    }
    assert_eq!(check(&format!("/{}", "a".repeat(600))), "/");
    assert_eq!(check(&format!("https://host.example/p?{}", "a".repeat(600))), "https://host.example/p");
    assert_eq!(check(&format!("https://host.example/{}", "a".repeat(600))), "https://host.example/");
}

proptest! {
    /// For any input, a browser on the edge's origin stays there or goes to a configured host page's.
    #[test]
    fn never_leaves_the_configured_origins(text in "[/\\\\.:@%a-e?#;0-9 \t]{0,40}|(https?:)?[/\\\\]{0,3}(host|edge)\\.example[.@:/%a-z0-9]{0,12}") {
        let base = Url::parse("https://edge.example").unwrap();
        let url = base.join(&check(&text)).unwrap();
        let origin = url.origin().ascii_serialization();
        prop_assert!(["https://edge.example", "https://host.example", "http://localhost:8080"].contains(&origin.as_str()), "{}", url);
    }
}
