//! The response headers that the browser gets.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::{
    super::reference::{Answered, LinkRoom},
    copy_listed, has_content_coding,
};
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
/// Where Azure's APIs say how an operation goes on.
const OPERATION: [HeaderName; 2] =
    [HeaderName::from_static("operation-location"), HeaderName::from_static("azure-asyncoperation")];

/// The response headers that go to the browser. None of them sets cookies, opens CORS, redirects or asks for credentials.
/// Addresses lead to the edge, or are removed.
pub(in super::super) fn response_headers(status: StatusCode, from: &HeaderMap, answered: &Answered<'_>) -> HeaderMap {
    let mut to = copy_listed(from, &ALLOWED);
    if has_content_coding(from) {
        to.extend(copy_listed(from, &[header::CONTENT_ENCODING]));
    }
    let is_made = matches!(status, StatusCode::CREATED | StatusCode::ACCEPTED);
    for name in OPERATION.into_iter().chain(is_made.then_some(header::LOCATION)) {
        let address = single(from, &name).and_then(|reference| answered.address(reference));
        if let Some(address) = address.and_then(|address| address.try_into().ok()) {
            to.insert(name, address);
        }
    }
    let mut room = LinkRoom::default();
    for links in from.get_all(header::LINK).iter().filter_map(|links| answered.links(links, &mut room)) {
        to.append(header::LINK, links);
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

#[cfg(test)]
mod tests {
    use http::Method;
    use url::Url;

    use super::*;
    use crate::proxy::service::Service;

    /// What the browser gets of the headers of an answer to `GET https://api.example/v3/repos/a`.
    fn passed(status: u16, from: &HeaderMap) -> HeaderMap {
        let (service, url) = (Service::example(), Url::parse("https://api.example/v3/repos/a").unwrap());
        let answered = Answered { service: &service, method: &Method::GET, url: &url, is_by_link: false };
        response_headers(StatusCode::from_u16(status).unwrap(), from, &answered)
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn s163_addresses_are_mapped_where_they_have_a_meaning() {
        let all = headers(&[
            ("location", "/v3/repos/b"),
            ("operation-location", "https://api.example/v3/jobs/1?v=2"),
            ("azure-asyncoperation", "https://api.example/v3/jobs/2"),
            ("content-location", "/v3/repos/b"),
            ("link", "<?page=2>; rel=\"next\""),
        ]);
        for (status, has_location) in [(200, false), (201, true), (202, true), (204, false), (404, false)] {
            let to = passed(status, &all);
            assert_eq!(to.get("location").is_some_and(|it| it == "/bff/api/repos/b"), has_location, "{status}");
            assert_eq!(to["operation-location"], "/bff/api/jobs/1?v=2");
            assert_eq!(to["azure-asyncoperation"], "/bff/api/jobs/2");
            assert_eq!(to["link"], "</bff/api/repos/a?page=2>; rel=\"next\"");
            assert_eq!(to.len(), 3 + usize::from(has_location));
        }
        let elsewhere = headers(&[
            ("location", "https://evil.example/v3/repos/b"),
            ("operation-location", "https://u@api.example/v3/jobs/1"),
            ("azure-asyncoperation", "http://api.example/v3/jobs/2"),
            ("link", "<https://api.example:8443/v3/repos?page=2>; rel=\"next\""),
        ]);
        assert_eq!(passed(201, &elsewhere).len(), 0);
        let mut two = headers(&[("location", "/v3/repos/b")]);
        two.append("location", HeaderValue::from_static("/v3/repos/c"));
        assert_eq!(passed(201, &two).len(), 0);
    }

    #[test]
    fn s105_links_have_a_maximum_number_and_length() {
        let service = Service::example();
        for (query_bytes, expected) in [(10, 100), (4000, 8)] {
            let url = Url::parse(&format!("https://api.example/v3/repos/a?{}", "q".repeat(query_bytes))).unwrap();
            let answered = Answered { service: &service, method: &Method::GET, url: &url, is_by_link: false };
            let mut from = HeaderMap::new();
            for _ in 0..10 {
                from.append(header::LINK, "<>;rel=next,".repeat(100).parse().unwrap());
            }
            let to = response_headers(StatusCode::OK, &from, &answered);
            let passed: Vec<&str> = to.get_all(header::LINK).iter().map(|links| links.to_str().unwrap()).collect();
            assert_eq!(passed.join(", ").matches("rel=next").count(), expected);
            assert!(passed.iter().map(|links| links.len()).sum::<usize>() < 33 * 1024);
        }
    }

    #[test]
    fn s105_a_content_coding_stays_with_its_body() {
        assert_eq!(passed(200, &headers(&[("content-encoding", "gzip")]))["content-encoding"], "gzip");
        assert_eq!(passed(200, &headers(&[("content-encoding", "identity")])).len(), 0);
    }

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
        for status in [200, 206, 404, 500] {
            assert_eq!(passed(status, &from).len(), 0);
        }
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
}
