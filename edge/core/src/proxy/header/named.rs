//! Which request headers a service may name for itself.

use http::HeaderName;

use super::request::ALLOWED;

/// Longest name of a header that a service may name.
const MAX_NAME_BYTES: usize = 64;

/// Words in the names of headers by which some server learns who sends a request, from where, with which credential, or
/// that it is another request than its request line says (S162). Names are split at `-`.
const REFUSED_WORDS: [&str; 45] = [
    "addr",
    "address",
    "apikey",
    "auth",
    "authenticate",
    "authenticated",
    "authentication",
    "authorization",
    "cert",
    "certificate",
    "cookie",
    "cookie2",
    "credential",
    "credentials",
    "dpop",
    "email",
    "forwarded",
    "group",
    "groups",
    "host",
    "hostname",
    "identity",
    "ip",
    "key",
    "mail",
    "method",
    "override",
    "password",
    "path",
    "principal",
    "proto",
    "proxy",
    "query",
    "role",
    "roles",
    "scheme",
    "secret",
    "session",
    "signature",
    "sub",
    "token",
    "uri",
    "url",
    "user",
    "username",
];
/// First words of headers that browsers, runtimes, platforms and proxies set.
const REFUSED_FIRST_WORDS: [&str; 9] = ["access", "cdn", "cf", "fastly", "fly", "if", "sec", "spin", "surrogate"];
/// The other headers that cannot be named: those of one connection or of a body's framing, and those that the edge sets or
/// that mean something to it.
const REFUSED: [&str; 34] = [
    "accept-charset",
    "accept-encoding",
    "alt-used",
    "baggage",
    "connection",
    "content-encoding",
    "content-length",
    "content-location",
    "content-range",
    "date",
    "early-data",
    "expect",
    "http2-settings",
    "keep-alive",
    "last-event-id",
    "max-forwards",
    "metadata-flavor",
    "origin",
    "purpose",
    "referer",
    "referrer",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "warning",
    "x-csrf",
    "x-purpose",
    "x-request-id",
];

/// The header of this name, if a service may have browsers send it. A name with `_` cannot be: some servers read it as
/// another one with `-`.
pub(crate) fn nameable(name: &str) -> Option<HeaderName> {
    let name = HeaderName::try_from(name).ok()?;
    let text = name.as_str();
    let is_refused = text.len() > MAX_NAME_BYTES
        || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        || REFUSED.contains(&text)
        || text.split('-').next().is_none_or(|word| REFUSED_FIRST_WORDS.contains(&word))
        || text.split('-').any(|word| REFUSED_WORDS.contains(&word));
    (!is_refused || is_always_forwarded(&name)).then_some(name)
}

/// Whether every service gets a header, named or not.
pub(crate) fn is_always_forwarded(name: &HeaderName) -> bool {
    ALLOWED.contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_describe_a_request_can_be_named() {
        for name in [
            "ConsistencyLevel",
            "Prefer",
            "X-GitHub-Api-Version",
            "client-request-id",
            "X-Requested-With",
            "Notion-Version",
            "OData-MaxVersion",
            "x-ms-version",
            "Depth",
            "Accept",
            "If-Match",
            "Idempotency-Key",
        ] {
            assert_eq!(nameable(name).map(|it| it.to_string()), Some(name.to_ascii_lowercase()), "{name}");
        }
    }

    #[test]
    fn s162_headers_of_identity_origin_and_connection_cannot_be_named() {
        for name in [
            "Cookie",
            "Cookie2",
            "Set-Cookie",
            "Authorization",
            "AUTHORIZATION",
            "Proxy-Authorization",
            "Proxy-Connection",
            "DPoP",
            "Host",
            "X-Host",
            "Origin",
            "Referer",
            "Via",
            "TE",
            "Trailer",
            "Upgrade",
            "Connection",
            "Keep-Alive",
            "Transfer-Encoding",
            "HTTP2-Settings",
            "Content-Length",
            "Content-Encoding",
            "Content-Range",
            "Expect",
            "Max-Forwards",
            "Accept-Encoding",
            "User-Agent",
            "traceparent",
            "Forwarded",
            "X-Forwarded-For",
            "X-Forwarded-Client-Cert",
            "X_Forwarded_For",
            "X-Forwarded_User",
            "X-Real-IP",
            "Client-IP",
            "True-Client-IP",
            "X-Cluster-Client-IP",
            "CF-Connecting-IP",
            "CF-Access-Jwt-Assertion",
            "Cf-Ray",
            "Spin-Full-Url",
            "Spin-Client-Addr",
            "Fastly-Client",
            "Remote-User",
            "Remote_User",
            "X-User",
            "X-Email",
            "X-Auth-Request-Groups",
            "X-MS-Client-Principal",
            "X-Goog-Authenticated-User-Email",
            "X-Original-URL",
            "X-Rewrite-URL",
            "X-Original-Uri",
            "X-Envoy-Original-Path",
            "X-HTTP-Method-Override",
            "X-HTTP-Method",
            "X-API-Key",
            "Api-Key",
            "Private-Token",
            "X-Amz-Security-Token",
            "Metadata-Flavor",
            "Sec-Fetch-Site",
            "Sec-WebSocket-Key",
            "If-Anything",
            "Access-Control-Request-Method",
            "X-CSRF",
            "X-Causeway-User",
            "X-Request-Id",
            "Last-Event-ID",
            "",
            "a b",
            "a:b",
            "a\r\nb",
            ":path",
            "é",
            "*",
        ] {
            assert_eq!(nameable(name), None, "{name:?}");
        }
        assert!(nameable(&"a".repeat(MAX_NAME_BYTES)).is_some() && nameable(&"a".repeat(MAX_NAME_BYTES + 1)).is_none());
    }
}
