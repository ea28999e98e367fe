//! Upstream APIs: their addresses, their allowed requests and their limits.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderName, Method};
use url::Url;

use super::{path::AllowedPath, query::overrides_method, rule::Rule};
use crate::{http::web::without_slash, oauth::restriction::Restriction};

/// Largest request body that a service can be configured to take: the limit of Workers.
pub const MAX_BODY_LIMIT_BYTES: usize = 100 * 1024 * 1024;
/// Largest request body by default.
pub const DEFAULT_BODY_LIMIT_BYTES: usize = 256 * 1024;
/// [`Service::timeout`] by default.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// An upstream API.
#[derive(Debug)]
pub struct Service {
    /// Its name in `/bff/{name}/…`.
    pub name: String,
    /// The only credential that it is ever sent (S101).
    pub credential: Credential,
    /// The ids of the providers whose users it serves. A session's provider is the one that began it; accounts connected
    /// later do not count. `None`: it serves every session.
    pub users_of: Option<Vec<String>>,
    /// Its address; the paths of requests are appended.
    pub base: Url,
    /// The allowed requests.
    pub rules: Vec<Rule>,
    /// Largest request body that it is sent.
    pub body_limit_bytes: usize,
    /// How long it may take from the start of the request to the head of its answer, and how long the answer's body may
    /// pause.
    pub timeout: Duration,
    /// Whether it gets the client's address. Third parties that do not need the address should not.
    pub gets_client_address: bool,
    /// The request headers that it gets in addition to those of every service.
    pub request_headers: Vec<HeaderName>,
    /// Whether a query that names another method (`_method=DELETE`) is refused. Some frameworks would act on it, and no rule
    /// looks at it.
    pub refuses_method_override: bool,
}

/// What authorizes requests to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// The user's token of a provider.
    Provider {
        /// The provider's id.
        id: String,
        /// What the token is restricted to. `None`: the account's unrestricted token.
        restriction: Option<Restriction>,
    },
    /// A token of a GitHub App's installation, the same for every user.
    Installation(Installation),
}

/// An installation of a GitHub App, and what its token permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The installation's number.
    pub id: u64,
    /// Access level by permission, such as `contents` → `read`. Never empty.
    pub permissions: BTreeMap<String, String>,
    /// Names of repositories. Empty: all that the installation can access.
    pub repositories: Vec<String>,
}

/// Why a request is not sent to an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Some server could read the path as a different one.
    BadPath,
    /// The query names another method.
    MethodOverride,
    /// No rule covers the path.
    UnknownPath,
    /// Rules cover the path, but with other methods.
    Method {
        /// Value for `Allow`.
        allow: String,
    },
}

impl Service {
    /// Whether a link or an image of a page may make a request: a rule that is marked so covers it.
    #[must_use]
    pub fn is_navigable(&self, method: &Method, path: &str) -> bool {
        AllowedPath::parse(path).is_some_and(|path| {
            self.rules.iter().any(|rule| rule.is_navigable() && rule.method() == method && rule.covers(&path))
        })
    }

    /// The upstream URL of a request. The query is copied and chooses nothing (S92).
    ///
    /// # Errors
    /// [`Refusal`]: the request must not be sent.
    pub fn target(&self, method: &Method, path: &str, query: Option<&str>) -> Result<Url, Refusal> {
        let path = AllowedPath::parse(path).ok_or(Refusal::BadPath)?;
        let rules = || self.rules.iter().filter(|rule| rule.covers(&path));
        if !rules().any(|rule| rule.method() == method) {
            let mut allow: Vec<&str> = rules().map(|rule| rule.method().as_str()).collect();
            allow.sort_unstable();
            allow.dedup();
            return Err(if allow.is_empty() {
                Refusal::UnknownPath
            } else {
                Refusal::Method { allow: allow.join(", ") }
            });
        }
        if self.refuses_method_override && query.is_some_and(overrides_method) {
            return Err(Refusal::MethodOverride);
        }
        let mut url =
            Url::parse(&format!("{}{}", without_slash(&self.base), path.as_str())).map_err(|_| Refusal::BadPath)?;
        url.set_query(query);
        // The URL parser decides where the request goes, so its reading of the path must be ours.
        let expected_path = format!("{}{}", self.base.path().trim_end_matches('/'), path.as_str());
        if url.origin() != self.base.origin() || url.path() != expected_path {
            return Err(Refusal::BadPath);
        }
        Ok(url)
    }

    /// Whether a rule allows a request.
    pub(super) fn allows(&self, method: &Method, path: &AllowedPath) -> bool {
        self.rules.iter().any(|rule| rule.method() == method && rule.covers(path))
    }

    /// The part of a URL's path below the service's own URL. `None`: the URL leads elsewhere, or some server could read it as
    /// a different one.
    pub(super) fn path_below(&self, url: &Url) -> Option<AllowedPath> {
        let is_own_origin = url.origin() == self.base.origin() && url.username().is_empty() && url.password().is_none();
        let below = url.path().strip_prefix(self.base.path().trim_end_matches('/')).filter(|_| is_own_origin)?;
        AllowedPath::parse(below)
    }
}

#[cfg(test)]
impl Service {
    /// A service for tests of the proxy.
    pub(super) fn example() -> Self {
        Self {
            name: "api".to_owned(),
            credential: Credential::Provider { id: "github".to_owned(), restriction: None },
            users_of: None,
            base: Url::parse("https://api.example/v3").unwrap(),
            rules: Rule::parse_list("GET /user, PATCH /user, GET /repos/*").unwrap(),
            body_limit_bytes: 1024,
            timeout: DEFAULT_TIMEOUT,
            gets_client_address: false,
            request_headers: Vec::new(),
            refuses_method_override: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn service() -> Service {
        Service::example()
    }

    fn get(path: &str) -> Result<String, Refusal> {
        service().target(&Method::GET, path, Some("q=1")).map(String::from)
    }

    #[test]
    fn an_allowed_path_goes_to_the_configured_host() {
        assert_eq!(get("/user"), Ok("https://api.example/v3/user?q=1".to_owned()));
        assert_eq!(get("/repos/a/caf%C3%A9%20x"), Ok("https://api.example/v3/repos/a/caf%C3%A9%20x?q=1".to_owned()));
        // The URL parser leaves an apostrophe as it is.
        assert!(get("/repos/a'b").is_ok());
    }

    #[test]
    fn s83_a_method_without_a_rule_is_refused_with_the_allowed_methods() {
        for method in [Method::DELETE, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::CONNECT, Method::POST] {
            let refusal = service().target(&method, "/user", None).unwrap_err();
            assert_eq!(refusal, Refusal::Method { allow: "GET, PATCH".to_owned() });
        }
    }

    #[test]
    fn s164_only_gets_of_a_marked_rule_are_navigable() {
        let rules = Rule::parse_list("GET /user, GET /files/* navigable, PUT /files/*").unwrap();
        let service = Service { rules, ..service() };
        assert!(service.is_navigable(&Method::GET, "/files/a/b"));
        for (method, path) in [
            (Method::GET, "/user"),
            (Method::GET, "/files"),
            (Method::GET, "/files/../user"),
            (Method::GET, "/files//a"),
            (Method::GET, "/other"),
            (Method::HEAD, "/files/a"),
            (Method::PUT, "/files/a"),
            (Method::POST, "/files/a"),
        ] {
            assert!(!service.is_navigable(&method, path), "{method} {path}");
        }
    }

    #[test]
    fn s91_no_path_leads_to_another_host() {
        for path in
            ["@evil/user", "//evil/user", "https://evil/user", ":8080/user", "\\\\evil/user", ".evil.example/user", ""]
        {
            assert_eq!(get(path), Err(Refusal::BadPath), "{path:?}");
        }
    }

    #[test]
    fn s92_query_and_fragment_do_not_choose_the_rule() {
        let url = service().target(&Method::GET, "/user", Some("x=/../../admin#f&path=/repos/a")).unwrap();
        assert_eq!((url.path(), url.fragment()), ("/v3/user", None));
        assert_eq!(url.query(), Some("x=/../../admin%23f&path=/repos/a"));
        assert_eq!(service().target(&Method::GET, "/nope", Some("/user")), Err(Refusal::UnknownPath));
    }

    #[test]
    fn s161_a_trailing_slash_and_escapes_are_sent_byte_for_byte() {
        for path in ["/repos/a/7/", "/repos/a/x%23EXT%23%40y.example", "/repos/%2B%26%3d%3A%20%3F", "/repos/100%25.txt"]
        {
            assert_eq!(get(path), Ok(format!("https://api.example/v3{path}?q=1")));
        }
        for path in ["/repos/", "/user/", "/repos%23/a"] {
            assert_eq!(get(path), Err(Refusal::UnknownPath), "{path}");
        }
    }

    #[test]
    fn a_method_in_the_query_is_refused_if_the_service_says_so() {
        let ask = |refuses_method_override, query| {
            Service { refuses_method_override, ..service() }.target(&Method::GET, "/user", Some(query)).map(drop)
        };
        assert_eq!(ask(false, "_method=DELETE"), Ok(()));
        assert_eq!(ask(true, "_method=DELETE"), Err(Refusal::MethodOverride));
        assert_eq!(ask(true, "method=post"), Ok(()));
    }

    #[test]
    fn s163_only_urls_below_the_service_have_a_path_there() {
        let below = |url: &str| service().path_below(&Url::parse(url).unwrap()).map(|path| path.as_str().to_owned());
        assert_eq!(below("https://api.example/v3/user?q#f").as_deref(), Some("/user"));
        assert_eq!(below("https://api.example:443/v3/a/../b/").as_deref(), Some("/b/"));
        for url in [
            "https://api.example/v3",
            "https://api.example/v3/",
            "https://api.example/v30/x",
            "https://api.example/v4/x",
            "https://api.example/v3/../x",
            "https://api.example/v3/a%2f..%2fx",
            "https://api.example/v3//evil.example/",
            "http://api.example/v3/x",
            "https://api.example:8443/v3/x",
            "https://u@api.example/v3/x",
            "https://:p@api.example/v3/x",
            "https://evil.example/v3/x",
            "https://api.example.evil/v3/x",
            "javascript:/v3/x",
            "data:/v3/x",
        ] {
            assert_eq!(below(url), None, "{url}");
        }
    }

    #[test]
    fn s93_a_prefix_ends_at_a_segment() {
        for path in ["/users", "/user/keys", "/repos", "/reposx/a", "/USER", "/v3/user"] {
            assert_eq!(get(path), Err(Refusal::UnknownPath), "{path}");
        }
    }

    proptest! {
        #[test]
        fn s91_no_path_changes_the_host_or_the_base(path in "(/repos)?[/\\\\.@:%;a-f0-9?#]{0,30}") {
            if let Ok(url) = service().target(&Method::GET, &path, None) {
                prop_assert_eq!(url.host_str(), Some("api.example"));
                prop_assert!(url.path() == "/v3/user" || url.path().starts_with("/v3/repos/"));
            }
        }
    }
}
