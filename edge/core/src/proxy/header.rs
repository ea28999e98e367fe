//! Headers are rebuilt from an allow-list in both directions, so nothing has to be remembered to be removed.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    error::Error,
    http::{
        origin::Origin,
        web::{TRACEPARENT, USER_AGENT},
    },
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

const REQUEST_HEADERS: [HeaderName; 10] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
    header::RANGE,
    HeaderName::from_static("idempotency-key"),
];

const RESPONSE_HEADERS: [HeaderName; 8] = [
    header::CONTENT_TYPE,
    header::CONTENT_LANGUAGE,
    header::CONTENT_RANGE,
    header::CONTENT_DISPOSITION,
    header::ETAG,
    header::LAST_MODIFIED,
    header::RETRY_AFTER,
    HeaderName::from_static("x-ratelimit-remaining"),
];

/// The relations of pages of a list (RFC 8288), as an API that lists things has them. Others make a browser fetch something.
const PAGING: [&str; 4] = [r#"rel="next""#, r#"rel="prev""#, r#"rel="first""#, r#"rel="last""#];

/// What the edge itself says to an upstream about a request.
#[derive(Debug)]
pub struct ForwardingContext<'a> {
    /// Where the client reached us: configured, never the request's `Host`.
    pub public_origin: &'a Origin,
    /// The client, for an upstream that is told.
    pub client_address: Option<IpAddr>,
    /// The trace it belongs to.
    pub traceparent: &'a str,
}

/// The request headers that go upstream. What says where a request came from is ours alone (S94, M12, M26).
///
/// # Errors
/// [`Error::BadRequest`] if the request would mean something else without what is not passed on, or if not every runtime
/// could pass it on as it is.
pub fn request_headers(from: &HeaderMap, about: &ForwardingContext<'_>) -> Result<HeaderMap, Error> {
    if is_packed(from) {
        return Err(Error::BadRequest { reason: "a packed body (Content-Encoding) is not passed on" });
    }
    if from.contains_key(header::CONTENT_RANGE) {
        return Err(Error::BadRequest { reason: "a part of a body (Content-Range) is not passed on" });
    }
    let mut to = copy(from, &REQUEST_HEADERS);
    // To workerd a header is UTF-8, to Spin bytes.
    if !to.values().all(|value| value.as_bytes().is_ascii()) {
        return Err(Error::BadRequest { reason: "headers that are passed on must be ASCII" });
    }
    to.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    // Nothing is ever unpacked here, so nothing can grow here (S105).
    to.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Ok(traceparent) = HeaderValue::from_str(about.traceparent) {
        to.insert(TRACEPARENT, traceparent);
    }
    if let Some(address) = about.client_address {
        insert_client(&mut to, address, about.public_origin);
    }
    Ok(to)
}

/// `Forwarded` (RFC 7239) and the older header that most read instead.
fn insert_client(to: &mut HeaderMap, address: IpAddr, public_origin: &Origin) {
    let node = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    let (scheme, host) = public_origin.as_str().split_once("://").unwrap_or_default();
    if let Ok(value) = HeaderValue::from_str(&format!("for={node};host=\"{host}\";proto={scheme}")) {
        to.insert(header::FORWARDED, value);
    }
    if let Ok(value) = HeaderValue::from_str(&address.to_string()) {
        to.insert(X_FORWARDED_FOR, value);
    }
}

/// Whether a body is packed, which an answer was asked not to be.
#[must_use]
pub fn is_packed(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// How many bytes a request says that its body has; `None` if it does not say.
///
/// # Errors
/// [`Error::BadRequest`] if it says two things (S96).
pub fn declared_length(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let contradictory = Error::BadRequest { reason: "the length of the body is contradictory" };
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = values.next() else { return Ok(None) };
    let digits = first.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|text| text.parse().ok()) {
        Some(length) if values.next().is_none() && !headers.contains_key(header::TRANSFER_ENCODING) => Ok(Some(length)),
        _ => Err(contradictory),
    }
}

/// The response headers that go to the browser: nothing that sets cookies, opens CORS, redirects or asks for credentials.
#[must_use]
pub fn response_headers(from: &HeaderMap) -> HeaderMap {
    let mut to = copy(from, &RESPONSE_HEADERS);
    for link in from.get_all(header::LINK).iter().filter(|link| is_paging(link)) {
        to.append(header::LINK, link.clone());
    }
    to
}

/// Whether links lead to other pages of a list and to nothing else; what is written in another way is taken for something
/// else.
fn is_paging(links: &HeaderValue) -> bool {
    let Ok(text) = links.to_str() else { return false };
    let rest = PAGING.iter().fold(text.to_ascii_lowercase(), |text, relation| text.replace(relation, ""));
    let dense: String = rest.split_ascii_whitespace().collect();
    rest.len() < text.len() && !["rel=", "rel*=", "rev=", "rev*="].iter().any(|other| dense.contains(other))
}

fn copy(from: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut to = HeaderMap::new();
    for name in names {
        for value in from.get_all(name) {
            to.append(name.clone(), value.clone());
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn sent(from: &HeaderMap, client_address: Option<&str>) -> HeaderMap {
        let public_origin = Origin::parse("https://edge.example").unwrap();
        let client_address = client_address.map(|text| text.parse().unwrap());
        request_headers(from, &ForwardingContext { public_origin: &public_origin, client_address, traceparent: TRACE })
            .unwrap()
    }

    fn refused(name: &'static str, value: &[u8]) -> bool {
        let from = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())]);
        let public_origin = Origin::parse("https://edge.example").unwrap();
        let about = ForwardingContext { public_origin: &public_origin, client_address: None, traceparent: TRACE };
        matches!(request_headers(&from, &about), Err(Error::BadRequest { .. }))
    }

    fn with_all(names: &[&'static str]) -> HeaderMap {
        names.iter().map(|name| (HeaderName::from_static(name), HeaderValue::from_static("evil"))).collect()
    }

    #[test]
    fn s94_what_a_client_says_of_itself_and_of_its_way_ends_here() {
        let from = with_all(&[
            "authorization",
            "cookie",
            "dpop",
            "proxy-authorization",
            "proxy-connection",
            "proxy-authenticate",
            "forwarded",
            "via",
            "x-forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-port",
            "x-forwarded-prefix",
            "x-forwarded-uri",
            "x-forwarded-user",
            "x-forwarded-email",
            "x-forwarded-groups",
            "x-forwarded-access-token",
            "x-forwarded-client-cert",
            "x_forwarded_for",
            "x_forwarded_user",
            "x-forwarded_user",
            "x_auth_request_email",
            "x-auth-request-user",
            "x-remote-user",
            "remote-user",
            "remote_user",
            "x-user",
            "x-email",
            "x-original-url",
            "x-original-host",
            "x-original-uri",
            "x-rewrite-url",
            "x-real-ip",
            "x_real_ip",
            "x-client-ip",
            "client-ip",
            "true-client-ip",
            "cf-connecting-ip",
            "cf-ray",
            "spin-client-addr",
            "spin-full-url",
            "x-cluster-client-ip",
            "x-host",
            "x-http-method",
            "x-http-method-override",
            "x-method-override",
            "x-csrf",
            "x-causeway-user",
            "x-api-key",
            "api-key",
            "private-token",
            "x-github-token",
            "x-ms-token-aad-access-token",
            "x-amz-security-token",
            "host",
            "connection",
            "keep-alive",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "http2-settings",
            "content-length",
            "expect",
            "origin",
            "referer",
            "sec-fetch-site",
            "sec-websocket-key",
            "x-request-id",
            "tracestate",
            "baggage",
            "accept-encoding",
            "user-agent",
            "traceparent",
            "range-",
            "x-accel-redirect",
            "surrogate-capability",
            "metadata-flavor",
            "x-aws-ec2-metadata-token",
        ]);
        let to = sent(&from, None);
        let mut names: Vec<_> = to.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept-encoding", "traceparent", "user-agent"]);
        assert!(to.values().all(|value| value != "evil"));
        let to = sent(&from, Some("192.0.2.9"));
        assert_eq!(to["forwarded"], "for=192.0.2.9;host=\"edge.example\";proto=https");
        assert_eq!(to["x-forwarded-for"], "192.0.2.9");
        assert_eq!(
            sent(&from, Some("2001:db8::9"))["forwarded"],
            "for=\"[2001:db8::9]\";host=\"edge.example\";proto=https"
        );
        assert!(sent(&from, Some("2001:db8::9")).values().all(|value| value != "evil"));
    }

    #[test]
    fn what_describes_the_request_itself_goes_along() {
        let names = [
            "accept",
            "accept-language",
            "content-type",
            "if-match",
            "if-none-match",
            "if-modified-since",
            "if-unmodified-since",
            "if-range",
            "range",
            "idempotency-key",
        ];
        let to = sent(&with_all(&names), None);
        assert!(names.iter().all(|name| to.contains_key(*name)));
    }

    #[test]
    fn what_would_mean_something_else_without_a_header_is_not_sent() {
        for (name, value) in [
            ("content-range", &b"bytes 0-99/200"[..]),
            ("content-encoding", b"gzip"),
            ("content-encoding", b"identity, br"),
            ("content-encoding", b""),
            ("if-match", b"\"\xc3\xa9\""),
            ("idempotency-key", b"\xe9"),
        ] {
            assert!(refused(name, value), "{name} {value:?}");
        }
        for (name, value) in [("content-encoding", &b"Identity"[..]), ("x-city", b"Z\xc3\xbcrich")] {
            assert!(!refused(name, value), "{name} {value:?}");
        }
    }

    #[test]
    fn s99_an_upstream_says_nothing_to_the_browser_about_our_origin() {
        let from = with_all(&[
            "set-cookie",
            "set-cookie2",
            "www-authenticate",
            "proxy-authenticate",
            "authentication-info",
            "clear-site-data",
            "access-control-allow-origin",
            "access-control-allow-credentials",
            "access-control-allow-headers",
            "access-control-allow-methods",
            "access-control-expose-headers",
            "access-control-max-age",
            "strict-transport-security",
            "public-key-pins",
            "expect-ct",
            "location",
            "content-location",
            "refresh",
            "content-security-policy",
            "content-security-policy-report-only",
            "cross-origin-resource-policy",
            "cross-origin-opener-policy",
            "alt-svc",
            "service-worker-allowed",
            "sourcemap",
            "report-to",
            "reporting-endpoints",
            "nel",
            "cache-control",
            "cdn-cache-control",
            "surrogate-control",
            "expires",
            "pragma",
            "age",
            "vary",
            "server",
            "x-powered-by",
            "x-frame-options",
            "referrer-policy",
            "permissions-policy",
            "timing-allow-origin",
            "origin-agent-cluster",
            "connection",
            "keep-alive",
            "transfer-encoding",
            "trailer",
            "upgrade",
            "content-length",
            "content-encoding",
            "x-accel-redirect",
            "x-accel-buffering",
            "x-sendfile",
            "authorization",
            "x-request-id",
            "dpop-nonce",
            "accept-ch",
            "critical-ch",
            "speculation-rules",
        ]);
        assert_eq!(response_headers(&from).len(), 0);
    }

    #[test]
    fn s99_links_lead_to_pages_of_a_list_and_make_no_browser_fetch_anything() {
        let passes = |link: &'static str| {
            let from = HeaderMap::from_iter([(header::LINK, HeaderValue::from_static(link))]);
            response_headers(&from).contains_key(header::LINK)
        };
        for link in [
            r#"<https://api.github.com/repositories/1/releases?page=2>; rel="next""#,
            r#"</items?page=1>; rel="first", </items?page=3>; rel="next", </items?page=9>; rel="last"; title="x""#,
        ] {
            assert!(passes(link), "{link}");
        }
        for link in [
            "",
            "</x>",
            "<https://evil.example>; rel=preload; as=script",
            r#"<https://evil.example>; rel="preconnect""#,
            r#"</x>; rel="next preload""#,
            r#"</items?page=2>; rel="next", </x>; rel=preload"#,
            r#"</items?page=2>; rel="next"; rel = stylesheet"#,
            r#"</items?page=2>; rel="next", </x>; REL*=UTF-8''prefetch"#,
            r#"</items?page=2>; rel="next", </x>; rev=made"#,
        ] {
            assert!(!passes(link), "{link}");
        }
    }

    #[test]
    fn s96_a_length_that_says_two_things_is_refused() {
        let length = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            declared_length(&headers)
        };
        assert_eq!(length(&[]), Ok(None));
        assert_eq!(length(&[("transfer-encoding", "chunked")]), Ok(None));
        assert_eq!(length(&[("content-length", "12")]), Ok(Some(12)));
        for pairs in [
            &[("content-length", "1"), ("content-length", "2")][..],
            &[("content-length", "1"), ("content-length", "1")],
            &[("content-length", "1, 1")],
            &[("content-length", "1"), ("transfer-encoding", "chunked")],
            &[("content-length", "+1")],
            &[("content-length", "-1")],
            &[("content-length", "0x1")],
            &[("content-length", "")],
            &[("content-length", "99999999999999999999")],
        ] {
            assert!(length(pairs).is_err(), "{pairs:?}");
        }
    }
}
