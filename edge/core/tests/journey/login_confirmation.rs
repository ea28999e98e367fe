//! A sign-in started by another site: the user must confirm it first (M58, ASVS 7.6.2).

use causeway_core::{
    http::web::Response,
    testing::{
        body::InMemoryBody,
        corp::{self, Corp},
    },
};
use http::{Method, StatusCode};

use super::{Browser, github, text};

const LOGIN: &str = "/auth/github/login?return_to=/chat?a=1%26b=2";

/// Navigates there with these headers of the browser's.
fn go(browser: &Browser, target: &str, says: &[(&str, &str)]) -> Response<InMemoryBody> {
    let navigation = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("accept", "text/html")];
    browser.send(Method::GET, target, &[&navigation, says].concat(), "")
}

/// The target of the page's only link.
fn link(response: &Response<InMemoryBody>) -> String {
    let html = text(response);
    let links: Vec<_> = html.match_indices("<a href=\"").collect();
    assert_eq!(links.len(), 1, "{html}");
    let href = html.split("<a href=\"").nth(1).unwrap().split('"').next().unwrap();
    href.replace("&amp;", "&")
}

fn is_asked(response: &Response<InMemoryBody>) -> bool {
    assert!(matches!(response.status, StatusCode::OK | StatusCode::SEE_OTHER), "{}", response.status);
    response.status == StatusCode::OK
}

#[test]
fn m58_another_site_cannot_sign_a_user_in_without_confirmation() {
    let browser = Browser::new(github);
    for says in [
        // Navigations by a script, by a link whose purpose the other page chose, and without a referrer.
        &[("sec-fetch-site", "cross-site"), ("referer", "https://evil.example/")][..],
        &[("sec-fetch-site", "cross-site"), ("referer", "https://evil.example/"), ("sec-fetch-user", "?1")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "cross-site"), ("referer", "https://host.edge.example.evil/")],
        &[("sec-fetch-site", "cross-site"), ("referer", "https://evil.example/https://host.edge.example/")],
        &[("sec-fetch-site", "cross-site"), ("referer", "https://evil.example/"), ("referer", "https://edge.example/")],
        &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
        &[("sec-fetch-site", "cross-site"), ("origin", "null")],
        // An unlisted sibling site, and a listed one that sends no referrer.
        &[("sec-fetch-site", "same-site"), ("referer", "https://taken.edge.example/"), ("sec-fetch-user", "?1")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none"), ("sec-fetch-site", "none")],
        &[("sec-fetch-site", "somewhere")],
    ] {
        let response = go(&browser, LOGIN, says);
        assert!(is_asked(&response), "{says:?}");
        assert_eq!(link(&response), "/auth/github/login?return_to=%2Fchat%3Fa%3D1%26b%3D2");
        assert!(text(&response).contains("Sign in with GitHub?"));
        assert!(!response.headers.contains_key("set-cookie"), "no session has begun");
        assert_eq!(response.headers["cache-control"], "no-store");
        assert_eq!(
            response.headers["content-security-policy"],
            "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
    }
    assert!(browser.platform.sent.borrow().is_empty() && browser.platform.machine_states.borrow().is_empty());
    assert!(browser.platform.log.borrow().iter().any(|line| line.contains("login.asked")));
}

#[test]
fn m58_confirming_on_the_edges_page_starts_the_requested_sign_in() {
    let browser = Browser::new(github);
    let asked = go(&browser, LOGIN, &[("sec-fetch-site", "cross-site")]);
    let begun = go(&browser, &link(&asked), &[("sec-fetch-site", "same-origin"), ("sec-fetch-user", "?1")]);
    assert_eq!(begun.status, StatusCode::SEE_OTHER);
    let url = url::Url::parse(begun.headers["location"].to_str().unwrap()).unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let response = go(
        &browser,
        &format!("/auth/github/callback?code=good&state={state}"),
        &[("sec-fetch-site", "cross-site"), ("referer", "https://github.com/")],
    );
    assert_eq!(response.headers["location"], "/chat?a=1&b=2");
    assert_eq!(browser.session()["authenticated"], true);
}

#[test]
fn m58_sign_in_not_started_by_another_site_needs_no_confirmation() {
    let browser = Browser::new(github);
    for says in [
        // The edge's own page, a typed or bookmarked address, an older browser.
        &[("sec-fetch-site", "same-origin")][..],
        &[("sec-fetch-site", "none"), ("sec-fetch-user", "?1")],
        &[],
        // A host page.
        &[("sec-fetch-site", "same-site"), ("referer", "https://host.edge.example/")],
        &[("sec-fetch-site", "same-site"), ("referer", "https://host.edge.example/page?x=y")],
        &[("sec-fetch-site", "same-site"), ("referer", "https://edge.example/")],
        &[("sec-fetch-site", "same-site"), ("origin", "https://host.edge.example")],
        &[("referer", "https://host.edge.example/")],
    ] {
        assert!(!is_asked(&go(&browser, LOGIN, says)), "{says:?}");
    }
    // A host page on another site, where those are allowed.
    let browser = Browser::configured(&[("EMBED", "cross-site")], github);
    for says in [("referer", "https://host.edge.example/"), ("origin", "https://host.edge.example")] {
        assert!(!is_asked(&go(&browser, LOGIN, &[("sec-fetch-site", "cross-site"), says])), "{says:?}");
    }
}

/// A click on a host page leads to another site that redirects here. The browser still names the host page.
#[test]
fn m58_redirect_by_another_site_is_not_treated_as_the_host_page() {
    let browser = Browser::new(github);
    browser.sign_in();
    for page in ["https://host.edge.example/", "https://edge.example/"] {
        let says = [("sec-fetch-site", "cross-site"), ("referer", page), ("sec-fetch-user", "?1")];
        assert!(is_asked(&go(&browser, LOGIN, &says)), "{page}");
        let connected = go(&browser, "/auth/github/login?connect=1", &says);
        assert_eq!(connected.status, StatusCode::FORBIDDEN, "{page}");
    }
}

#[test]
fn confirmation_page_escapes_what_another_site_wrote() {
    let corp = Corp::new();
    let [(key, entry), secrets] = corp::SETTINGS;
    let named = entry.replace(r#""name":"Corp""#, r#""name":"Corp \"<b>&'</b>""#);
    let browser = Browser::configured(&[(key, &named), secrets], move |sent| corp.answer(sent));
    let elsewhere = [("sec-fetch-site", "cross-site")];
    for query in [
        "return_to=\"><script>alert(1)</script>",
        "return_to='%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
        "%22%3E%3Cscript%3E=1&scope=%3Cscript%3E",
        "return_to=/a&return_to=%3Cscript%3E",
        "return_to=//evil.example/%3Cscript%3E",
    ] {
        let response = go(&browser, &format!("/auth/corp/login?{query}"), &elsewhere);
        let html = text(&response);
        assert!(is_asked(&response) && !html.contains("<script") && !html.contains("<b>"), "{html}");
        assert!(html.contains("Sign in with Corp &quot;&lt;b&gt;&amp;&#39;&lt;/b&gt;?"), "{html}");
        assert!(link(&response).starts_with("/auth/corp/login?"), "{html}");
    }
    assert_eq!(go(&browser, "/auth/nope/login", &elsewhere).status, StatusCode::NOT_FOUND);
}

#[test]
fn m58_rejected_requests_get_no_confirmation_page() {
    let browser = Browser::new(github);
    browser.sign_in();
    let before = browser.cookies.borrow().clone();
    let elsewhere = ("sec-fetch-site", "cross-site");
    assert_eq!(go(&browser, "/auth/github/login?connect=1", &[elsewhere]).status, StatusCode::FORBIDDEN);
    assert_eq!(go(&browser, LOGIN, &[elsewhere, ("sec-purpose", "prefetch")]).status, StatusCode::FORBIDDEN);
    assert_eq!(*browser.cookies.borrow(), before);
    let here = [("sec-fetch-site", "same-site"), ("referer", "https://host.edge.example/")];
    assert_eq!(go(&browser, "/auth/github/login?connect=1", &here).status, StatusCode::SEE_OTHER);
}
