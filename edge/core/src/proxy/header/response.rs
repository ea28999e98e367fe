//! The response headers that the browser gets.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::copy_listed;

const ALLOWED: [HeaderName; 8] = [
    header::CONTENT_TYPE,
    header::CONTENT_LANGUAGE,
    header::CONTENT_RANGE,
    header::CONTENT_DISPOSITION,
    header::ETAG,
    header::LAST_MODIFIED,
    header::RETRY_AFTER,
    HeaderName::from_static("x-ratelimit-remaining"),
];

/// The link relations (RFC 8288) with which an API pages through a list. Other relations make a browser fetch something.
const PAGING: [&str; 4] = [r#"rel="next""#, r#"rel="prev""#, r#"rel="first""#, r#"rel="last""#];

/// The response headers that go to the browser. None of them sets cookies, opens CORS, redirects or asks for credentials.
pub(crate) fn response_headers(from: &HeaderMap) -> HeaderMap {
    let mut to = copy_listed(from, &ALLOWED);
    for link in from.get_all(header::LINK).iter().filter(|link| is_paging(link)) {
        to.append(header::LINK, link.clone());
    }
    to
}

/// Whether all links lead to other pages of a list. A link in any other notation counts as leading elsewhere.
fn is_paging(links: &HeaderValue) -> bool {
    let Ok(text) = links.to_str() else { return false };
    let rest = PAGING.iter().fold(text.to_ascii_lowercase(), |text, relation| text.replace(relation, ""));
    let dense: String = rest.split_ascii_whitespace().collect();
    rest.len() < text.len() && !["rel=", "rel*=", "rev=", "rev*="].iter().any(|other| dense.contains(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s99_an_upstream_sets_no_policy_for_the_edges_origin() {
        let names = [
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
        ];
        let evil = HeaderValue::from_static("evil");
        let from = names.map(|name| (HeaderName::from_static(name), evil.clone())).into_iter().collect();
        assert_eq!(response_headers(&from).len(), 0);
    }

    #[test]
    fn s99_only_paging_links_pass() {
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
}
