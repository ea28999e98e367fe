//! Addresses in an upstream's answer, mapped to the edge's own.
//!
//! An address below the service's URL becomes `/bff/{service}/…`; any other is removed (S163). So the browser, which cannot
//! reach the upstream with its token, comes back through all checks.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::Url;

use super::{path::AllowedPath, service::Service};
use crate::http::web::single;

/// The link relations (RFC 8288) with which an API pages through a list. Other relations make a browser fetch something.
const PAGING: [&str; 4] = ["next", "prev", "first", "last"];
/// Parameters that give a link another context or more relations.
const REFUSED_PARAMETERS: [&str; 5] = ["anchor", "anchor*", "rel*", "rev", "rev*"];

/// The request that was answered: references are relative to its URL.
pub(super) struct Answered<'a> {
    pub(super) service: &'a Service,
    pub(super) method: &'a Method,
    pub(super) url: &'a Url,
}

impl Answered<'_> {
    /// The address at the edge for a reference (RFC 3986 §4.1) of the upstream.
    pub(super) fn address(&self, reference: &str) -> Option<String> {
        self.resolve(reference).map(|(address, _)| address)
    }

    /// Where a redirect leads at the edge, if a rule allows the request that follows it. The browser sends that request by
    /// itself, and the edge checks it like any other.
    pub(super) fn redirect(&self, status: StatusCode, headers: &HeaderMap) -> Option<String> {
        let method = method_after(status, self.method)?;
        let (address, path) = self.resolve(single(headers, &header::LOCATION)?)?;
        self.service.allows(&method, &path).then_some(address)
    }

    /// The paging links of a header's value, mapped. A value in any other notation than that of RFC 8288 holds none.
    pub(super) fn paging_links(&self, value: &HeaderValue) -> Option<HeaderValue> {
        let links: Vec<String> = parse_links(value.to_str().ok()?)?
            .into_iter()
            .filter(|(_, parameters)| is_paging(parameters))
            .filter_map(|(reference, parameters)| {
                Some(format!("<{}>; {}", self.address(reference)?, parameters.join("; ")))
            })
            .collect();
        HeaderValue::try_from(links.join(", ")).ok().filter(|links| !links.is_empty())
    }

    fn resolve(&self, reference: &str) -> Option<(String, AllowedPath)> {
        // A runtime joins two headers of one name with a comma and a space, which would read as one odd address.
        if !reference.bytes().all(is_of_uri) {
            return None;
        }
        let url = self.url.join(reference).ok()?;
        let path = self.service.path_below(&url)?;
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        Some((format!("/bff/{}{}{query}", self.service.name, path.as_str()), path))
    }
}

/// Whether a byte can be part of a URI (RFC 3986).
fn is_of_uri(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)
}

/// The method of the request with which a browser follows a redirect (Fetch, HTTP-redirect fetch). `None`: it follows none
/// of this status.
fn method_after(status: StatusCode, method: &Method) -> Option<Method> {
    match status {
        StatusCode::SEE_OTHER => Some(Method::GET),
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND if *method == Method::POST => Some(Method::GET),
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => Some(method.clone()),
        _ => None,
    }
}

/// A link: its reference, and its parameters as they are written.
type Link<'a> = (&'a str, Vec<&'a str>);

fn parse_links(text: &str) -> Option<Vec<Link<'_>>> {
    let mut links = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (reference, after) = rest.strip_prefix('<')?.split_once('>')?;
        let (parameters, following) = cut(after, ',')?;
        links.push((reference, parse_parameters(parameters)?));
        rest = following.trim();
    }
    Some(links)
}

fn parse_parameters(text: &str) -> Option<Vec<&str>> {
    let (before, mut rest) = cut(text, ';')?;
    let mut parameters = Vec::new();
    while !rest.is_empty() {
        let (parameter, following) = cut(rest, ';')?;
        parameters.push(parameter.trim());
        rest = following;
    }
    before.trim().is_empty().then_some(parameters)
}

/// The text before and after the first separator that is not quoted. `None`: a quote is not closed.
fn cut(text: &str, separator: char) -> Option<(&str, &str)> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if c == separator && !is_quoted => {
                return Some((text.get(..at)?, text.get(at..)?.strip_prefix(separator)?));
            }
            _ => {}
        }
    }
    (!is_quoted).then_some((text, ""))
}

/// Whether a link has one relation, which leads to another page of a list.
fn is_paging(parameters: &[&str]) -> bool {
    let named = || {
        parameters.iter().map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (name.trim().to_ascii_lowercase(), value.trim())
        })
    };
    let mut relations = named().filter(|(name, _)| name == "rel").map(|(_, value)| value.trim_matches('"'));
    let is_one = matches!((relations.next(), relations.next()), (Some(relation), None)
        if PAGING.iter().any(|paging| paging.eq_ignore_ascii_case(relation)));
    is_one && !named().any(|(name, _)| REFUSED_PARAMETERS.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::rule::Rule;

    fn service() -> Service {
        let rules = Rule::parse_list("GET /items/*, POST /items/*").unwrap();
        Service { name: "shop".to_owned(), rules, ..Service::example() }
    }

    fn answered<T>(method: &Method, run: impl FnOnce(&Answered<'_>) -> T) -> T {
        let (service, url) = (service(), Url::parse("https://api.example/v3/items/7?x=y").unwrap());
        run(&Answered { service: &service, method, url: &url })
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
            let headers =
                locations.iter().map(|location| (header::LOCATION, HeaderValue::from_static(location))).collect();
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
    fn s99_s163_only_paging_links_below_the_service_pass() {
        let links = |text: &'static str| {
            answered(&Method::GET, |answered| answered.paging_links(&HeaderValue::from_static(text)))
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
}
