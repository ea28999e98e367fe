//! Which upstream requests are allowed and what they carry. No I/O in here: the handler sends what this module built.
//!
//! The destination's host comes from configuration alone; path and method must match a rule; headers are rebuilt from
//! an allow-list in both directions, so nothing has to be remembered to be removed.

use http::{HeaderMap, HeaderName, Method, header};
use url::Url;

use crate::oauth::provider::without_slash;

/// An upstream API.
#[derive(Debug)]
pub struct Service {
    /// Its name in `/bff/{name}/…`.
    pub name: String,
    /// Whose token it gets, and no other's.
    pub provider: String,
    /// Where it is.
    pub base: Url,
    /// What may be asked of it.
    pub rules: Vec<Rule>,
}

/// One allowed method and path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    method: Method,
    path: String,
    /// Whether the path is the beginning of a family (`/repos/*`): everything strictly below it.
    prefix: bool,
}

impl Rule {
    /// Reads `GET /user, GET /repos/*`; `None` if a rule is malformed or there is none.
    #[must_use]
    pub fn parse_list(text: &str) -> Option<Vec<Self>> {
        text.split(',').map(|rule| Self::parse(rule.trim())).collect()
    }

    fn parse(text: &str) -> Option<Self> {
        let (method, path) = text.split_once(' ')?;
        let method = match method {
            "GET" => Method::GET,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            "DELETE" => Method::DELETE,
            _ => return None,
        };
        let (path, prefix) = match path.strip_suffix("/*") {
            Some(path) => (path, true),
            None => (path, false),
        };
        // `/*` alone leaves an empty path: everything. An operator may say so, in as many words.
        let plain = (prefix && path.is_empty()) || AllowedPath::parse(path).is_some();
        plain.then(|| Self { method, path: path.to_owned(), prefix })
    }

    fn allows_path(&self, path: &str) -> bool {
        match path.strip_prefix(self.path.as_str()) {
            Some("") => !self.prefix,
            Some(rest) => self.prefix && rest.len() > 1 && rest.starts_with('/'),
            None => false,
        }
    }
}

/// A path in which no decoder on the way can find another path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedPath(String);

impl AllowedPath {
    /// Checks a path: absolute, segments of unreserved characters and harmless escapes, none empty, none of dots.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let segments = path.strip_prefix('/')?.split('/');
        let mut plain = true;
        for segment in segments {
            plain &= !segment.is_empty() && segment != "." && segment != ".." && is_plain_segment(segment);
        }
        (plain && path.len() <= 1024).then(|| Self(path.to_owned()))
    }
}

/// Letters, digits and the marks that mean nothing to any router; escapes only of UTF-8 beyond ASCII and of a space.
fn is_plain_segment(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'%' => {
                let decoded = segment.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
                if !decoded.is_some_and(|b| b == b' ' || b >= 0x80) {
                    return false;
                }
                at += 3;
            }
            b if b.is_ascii_alphanumeric() || b"-._~!$'()*+,=:@".contains(&b) => at += 1,
            _ => return false,
        }
    }
    // Escapes must be UTF-8 when decoded, and not an overlong spelling of ASCII.
    let decoded: Vec<u8> = percent_decode(segment);
    String::from_utf8(decoded).is_ok()
}

fn percent_decode(segment: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(segment.len());
    let mut rest = segment;
    while let Some((before, after)) = rest.split_once('%') {
        out.extend(before.as_bytes());
        out.extend(after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()));
        rest = after.get(2..).unwrap_or_default();
    }
    out.extend(rest.as_bytes());
    out
}

/// Why a request is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The path could be read as another one.
    BadPath,
    /// No rule allows the path.
    UnknownPath,
    /// Rules allow the path, but with other methods.
    Method {
        /// Value for `Allow`.
        allow: String,
    },
}

/// The upstream URL of a request.
///
/// # Errors
/// [`Refusal`]: nothing is sent.
pub fn target(service: &Service, method: &Method, path: &str, query: Option<&str>) -> Result<Url, Refusal> {
    let AllowedPath(path) = AllowedPath::parse(path).ok_or(Refusal::BadPath)?;
    let mut rules = service.rules.iter().filter(|rule| rule.allows_path(&path)).peekable();
    if rules.peek().is_none() {
        return Err(Refusal::UnknownPath);
    }
    let rules: Vec<&Rule> = rules.collect();
    if !rules.iter().any(|rule| rule.method == *method) {
        let mut allow: Vec<&str> = rules.iter().map(|rule| rule.method.as_str()).collect();
        allow.sort_unstable();
        allow.dedup();
        return Err(Refusal::Method { allow: allow.join(", ") });
    }
    let mut url = Url::parse(&format!("{}{path}", without_slash(&service.base))).map_err(|_| Refusal::BadPath)?;
    url.set_query(query);
    // The last word has the parser that will be used to connect.
    let base_path = service.base.path().trim_end_matches('/');
    if url.origin() != service.base.origin() || url.path() != format!("{base_path}{path}") {
        return Err(Refusal::BadPath);
    }
    Ok(url)
}

const REQUEST_HEADERS: [HeaderName; 7] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::RANGE,
];

const RESPONSE_HEADERS: [HeaderName; 9] = [
    header::CONTENT_TYPE,
    header::CONTENT_LANGUAGE,
    header::CONTENT_RANGE,
    header::CONTENT_DISPOSITION,
    header::ETAG,
    header::LAST_MODIFIED,
    header::LINK,
    header::RETRY_AFTER,
    HeaderName::from_static("x-ratelimit-remaining"),
];

/// The request headers that go upstream.
#[must_use]
pub fn request_headers(from: &HeaderMap) -> HeaderMap {
    copy(from, &REQUEST_HEADERS)
}

/// The response headers that go to the browser: nothing that sets cookies, opens CORS, redirects or asks for credentials.
#[must_use]
pub fn response_headers(from: &HeaderMap) -> HeaderMap {
    copy(from, &RESPONSE_HEADERS)
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
    use proptest::prelude::*;

    use super::*;

    fn service() -> Service {
        Service {
            name: "api".to_owned(),
            provider: "github".to_owned(),
            base: Url::parse("https://api.example/v3").unwrap(),
            rules: Rule::parse_list("GET /user, PATCH /user, GET /repos/*").unwrap(),
        }
    }

    fn get(path: &str) -> Result<String, Refusal> {
        target(&service(), &Method::GET, path, Some("q=1")).map(String::from)
    }

    #[test]
    fn an_allowed_path_goes_to_the_configured_host() {
        assert_eq!(get("/user"), Ok("https://api.example/v3/user?q=1".to_owned()));
        assert_eq!(get("/repos/a/caf%C3%A9%20x"), Ok("https://api.example/v3/repos/a/caf%C3%A9%20x?q=1".to_owned()));
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        for path in ["/users", "/user/keys", "/repos", "/reposx/a", "/", "/USER"] {
            let refusal = get(path).unwrap_err();
            assert!(matches!(refusal, Refusal::UnknownPath | Refusal::BadPath), "{path}");
        }
    }

    #[test]
    fn a_method_without_a_rule_is_named_as_such() {
        let refusal = target(&service(), &Method::DELETE, "/user", None).unwrap_err();
        assert_eq!(refusal, Refusal::Method { allow: "GET, PATCH".to_owned() });
    }

    #[test]
    fn every_spelling_of_another_path_is_refused() {
        for path in [
            "/repos/../user",
            "/repos/%2e%2e/user",
            "/repos/%252e%252e/user",
            "/repos/.%2e/user",
            "/repos/..;/user",
            "/repos/..;a=b/x",
            "/repos\\..\\user",
            "/repos/%5c",
            "/repos/a%2fb",
            "/repos/a%3bb",
            "/repos/a%00",
            "/repos//a",
            "//evil/user",
            "/repos/%c0%ae%c0%ae/user",
            "@evil/user",
            "/repos/%",
            "/repos/%zz",
            "/repos/%e9",
            "/repos/a?b",
            "/repos/a#b",
            "/repos/./a",
            "https://evil/user",
            "/repos/a\u{e9}",
            "",
            "/repos/a/",
        ] {
            assert_eq!(get(path), Err(Refusal::BadPath), "{path:?}");
        }
    }

    #[test]
    fn query_and_fragment_do_not_take_part_in_the_choice() {
        let url = target(&service(), &Method::GET, "/user", Some("x=/../../admin#f")).unwrap();
        assert_eq!(url.path(), "/v3/user");
        assert_eq!(url.fragment(), None);
    }

    #[test]
    fn credentials_and_identities_never_cross() {
        let mut from = HeaderMap::new();
        for name in [
            "cookie",
            "authorization",
            "dpop",
            "forwarded",
            "x-forwarded-for",
            "x_forwarded_user",
            "x-original-url",
            "host",
            "connection",
            "set-cookie",
            "www-authenticate",
            "location",
            "access-control-allow-origin",
            "clear-site-data",
            "strict-transport-security",
        ] {
            from.insert(HeaderName::from_static(name), http::HeaderValue::from_static("x"));
        }
        from.insert(header::ACCEPT, http::HeaderValue::from_static("a/b"));
        assert_eq!(request_headers(&from).len(), 1);
        assert_eq!(response_headers(&from).len(), 0);
    }

    proptest! {
        #[test]
        fn whatever_the_path_the_host_and_base_stay(path in "(/repos)?[/\\\\.@:%;a-f0-9?#]{0,30}") {
            if let Ok(url) = target(&service(), &Method::GET, &path, None) {
                prop_assert_eq!(url.host_str(), Some("api.example"));
                prop_assert!(url.path() == "/v3/user" || url.path().starts_with("/v3/repos/"));
            }
        }
    }
}
