//! The response headers that the browser gets.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::copy_listed;
use crate::http::web::{CROSS_ORIGIN_RESOURCE_POLICY, single};

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

/// The longest file name that is passed on, in bytes.
const MAX_FILE_NAME_BYTES: usize = 512;

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

/// Changes the headers of an answer that a link or an image asked for. The browser would otherwise render it with the
/// rights of the edge's origin. Whatever it is, a link downloads it; a browser that shows it anyway gives it no origin and
/// runs no script. Pages of the edge's site may show it as an image.
pub(crate) fn disarm(headers: &mut HeaderMap) {
    let attachment = as_attachment(headers);
    headers.insert(header::CONTENT_DISPOSITION, attachment);
    let policy = HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-site"));
    // Links make a browser fetch something when a page is shown.
    headers.remove(header::LINK);
}

/// `attachment`, with the file names of `Content-Disposition` (RFC 6266). A name in any other notation is left out: a browser
/// might take the whole header for `inline`.
fn as_attachment(headers: &HeaderMap) -> HeaderValue {
    let given = single(headers, &header::CONTENT_DISPOSITION).unwrap_or_default();
    let names = given.split(';').skip(1).filter_map(|parameter| file_name(parameter.trim()));
    let text: Vec<String> = ["attachment".to_owned()].into_iter().chain(names).collect();
    HeaderValue::from_str(&text.join("; ")).unwrap_or(HeaderValue::from_static("attachment"))
}

/// One parameter that names a file, in a notation that no browser reads differently.
fn file_name(parameter: &str) -> Option<String> {
    let (name, value) = parameter.split_once('=')?;
    let is_plain = |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && !b"\"\\/%".contains(&byte);
    let is_encoded = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~%".contains(&byte);
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    if value.is_empty() || value.len() > MAX_FILE_NAME_BYTES {
        return None;
    }
    if name.eq_ignore_ascii_case("filename*") {
        let encoded = value.strip_prefix("UTF-8''")?;
        return encoded.bytes().all(is_encoded).then(|| format!("filename*={value}"));
    }
    let is_name = name.eq_ignore_ascii_case("filename") && value.bytes().all(is_plain);
    is_name.then(|| format!("filename=\"{value}\""))
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
    fn s164_an_answer_to_a_link_is_a_download_without_an_origin() {
        for (given, expected) in [
            (None, "attachment"),
            (Some(""), "attachment"),
            (Some("inline"), "attachment"),
            (Some("inline; filename=report.pdf"), "attachment; filename=\"report.pdf\""),
            (Some("INLINE; FileName=\"my report.pdf\""), "attachment; filename=\"my report.pdf\""),
            (
                Some("attachment; filename=\"r.pdf\"; filename*=UTF-8''r%C3%A9.pdf; size=3"),
                "attachment; filename=\"r.pdf\"; filename*=UTF-8''r%C3%A9.pdf",
            ),
            (Some("attachment; filename=\"a\\\"b\""), "attachment"),
            (Some("attachment; filename=\"a;b\""), "attachment"),
            (Some("attachment; filename=\"../a\""), "attachment"),
            (Some("attachment; filename*=ISO-8859-1''a"), "attachment"),
            (Some("attachment; filename*=UTF-8''a\"b"), "attachment"),
            (Some("attachment; filename="), "attachment"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(given) = given {
                headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(given));
            }
            headers.insert(header::LINK, HeaderValue::from_static("</items?page=2>; rel=\"next\""));
            disarm(&mut headers);
            assert_eq!(headers[header::CONTENT_DISPOSITION], expected, "{given:?}");
            let policy = "sandbox; default-src 'none'; frame-ancestors 'none'";
            assert_eq!(headers[header::CONTENT_SECURITY_POLICY], policy);
            assert_eq!(headers[CROSS_ORIGIN_RESOURCE_POLICY], "same-site");
            assert!(!headers.contains_key(header::LINK));
        }
        let mut repeated = HeaderMap::new();
        repeated.append(header::CONTENT_DISPOSITION, HeaderValue::from_static("inline; filename=a"));
        repeated.append(header::CONTENT_DISPOSITION, HeaderValue::from_static("inline"));
        disarm(&mut repeated);
        assert_eq!(repeated.get_all(header::CONTENT_DISPOSITION).iter().collect::<Vec<_>>(), ["attachment"]);
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
