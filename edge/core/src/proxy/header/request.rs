//! The request headers that an upstream gets.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{copy_listed, has_content_coding};
use crate::{
    error::Error,
    http::{
        origin::Origin,
        web::{TRACEPARENT, USER_AGENT},
    },
    runtime::reason::Reason,
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The headers that every upstream gets.
pub(super) const ALLOWED: [HeaderName; 10] = [
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

/// What the edge itself says to an upstream about a request.
#[derive(Debug)]
pub(crate) struct ForwardingContext<'a> {
    /// Where the client reached the edge: from configuration, never the request's `Host`.
    pub(crate) public_origin: &'a Origin,
    /// The client's address; `None` for an upstream that does not get it.
    pub(crate) client_address: Option<IpAddr>,
    /// The trace that the request belongs to.
    pub(crate) traceparent: &'a str,
    /// The headers that the upstream's service names in addition.
    pub(crate) named: &'a [HeaderName],
}

/// The request headers that go upstream. Only the edge says where a request came from (S94, M12, M26).
///
/// # Errors
/// [`Error::BadRequest`] if the request would mean something else without a header that is dropped, or if some runtime
/// could not pass a header on unchanged.
pub(crate) fn request_headers(from: &HeaderMap, context: &ForwardingContext<'_>) -> Result<HeaderMap, Error> {
    if has_content_coding(from) {
        return Err(Error::BadRequest { reason: Reason::RequestContentEncoding });
    }
    if from.contains_key(header::CONTENT_RANGE) && !context.named.contains(&header::CONTENT_RANGE) {
        return Err(Error::BadRequest { reason: Reason::RequestContentRange });
    }
    let mut to = copy_listed(from, &ALLOWED);
    to.extend(copy_listed(from, context.named));
    // To workerd a header is UTF-8, to Spin bytes.
    if !to.values().all(|value| value.as_bytes().is_ascii()) {
        return Err(Error::BadRequest { reason: Reason::ForwardedHeaderNotAscii });
    }
    to.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    // The edge never decompresses a body, so no body can grow here (S105).
    to.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Ok(traceparent) = HeaderValue::from_str(context.traceparent) {
        to.insert(TRACEPARENT, traceparent);
    }
    if let Some(address) = context.client_address {
        insert_client_address(&mut to, address, context.public_origin);
    }
    Ok(to)
}

/// Inserts `Forwarded` (RFC 7239), and the older `X-Forwarded-For`, which most servers read instead.
fn insert_client_address(to: &mut HeaderMap, address: IpAddr, public_origin: &Origin) {
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

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn sent(from: &HeaderMap, client_address: Option<&str>) -> HeaderMap {
        let public_origin = &Origin::parse("https://edge.example").unwrap();
        let client_address = client_address.map(|text| text.parse().unwrap());
        let context = ForwardingContext { public_origin, client_address, traceparent: TRACE, named: &[] };
        request_headers(from, &context).unwrap()
    }

    fn is_refused(name: &'static str, value: &[u8]) -> bool {
        let from = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())]);
        let public_origin = &Origin::parse("https://edge.example").unwrap();
        let context = ForwardingContext { public_origin, client_address: None, traceparent: TRACE, named: &[] };
        matches!(request_headers(&from, &context), Err(Error::BadRequest { .. }))
    }

    fn with_all(names: &[&'static str]) -> HeaderMap {
        names.iter().map(|name| (HeaderName::from_static(name), HeaderValue::from_static("evil"))).collect()
    }

    #[test]
    fn s94_headers_that_claim_an_identity_or_a_route_are_dropped() {
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
            "x-causeway-repeat",
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
    fn headers_that_describe_the_request_are_copied() {
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
    fn headers_that_the_service_names_are_copied_with_all_their_values() {
        let mut from = with_all(&["prefer", "x-other"]);
        from.append("prefer", HeaderValue::from_static("return=minimal"));
        let public_origin = &Origin::parse("https://edge.example").unwrap();
        let named = &[HeaderName::from_static("prefer"), HeaderName::from_static("depth")];
        let context = ForwardingContext { public_origin, client_address: None, traceparent: TRACE, named };
        let to = request_headers(&from, &context).unwrap();
        assert!(to.get_all("prefer").iter().eq(["evil", "return=minimal"]));
        assert!(!to.contains_key("x-other") && !to.contains_key("depth"));
        from.insert("depth", HeaderValue::from_bytes(b"\xc3\xa9").unwrap());
        assert!(request_headers(&from, &context).is_err(), "not ASCII");
    }

    #[test]
    fn a_part_of_an_upload_is_passed_on_if_the_service_names_its_header() {
        let from = HeaderMap::from_iter([(header::CONTENT_RANGE, HeaderValue::from_static("bytes 0-99/200"))]);
        let public_origin = &Origin::parse("https://edge.example").unwrap();
        let named = &[header::CONTENT_RANGE];
        let context = ForwardingContext { public_origin, client_address: None, traceparent: TRACE, named };
        assert_eq!(request_headers(&from, &context).unwrap()["content-range"], "bytes 0-99/200");
    }

    #[test]
    fn a_request_that_would_change_its_meaning_is_refused() {
        for (name, value) in [
            ("content-range", &b"bytes 0-99/200"[..]),
            ("content-encoding", b"gzip"),
            ("content-encoding", b"identity, br"),
            ("content-encoding", b""),
            ("if-match", b"\"\xc3\xa9\""),
            ("idempotency-key", b"\xe9"),
        ] {
            assert!(is_refused(name, value), "{name} {value:?}");
        }
        for (name, value) in [("content-encoding", &b"Identity"[..]), ("x-city", b"Z\xc3\xbcrich")] {
            assert!(!is_refused(name, value), "{name} {value:?}");
        }
    }
}
