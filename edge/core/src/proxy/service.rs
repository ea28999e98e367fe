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
    /// Its address; the paths of requests are appended. `/` alone is the address itself, as it is written.
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
        *method == Method::GET && AllowedPath::below_service(path).is_some_and(|path| self.is_path_navigable(&path))
    }

    /// Whether a link or an image of a page may get a path.
    pub(super) fn is_path_navigable(&self, path: &AllowedPath) -> bool {
        self.rules.iter().any(|rule| rule.is_navigable() && rule.covers(path))
    }

    /// The upstream URL of a request. The query is copied and chooses nothing (S92).
    ///
    /// # Errors
    /// [`Refusal`]: the request must not be sent.
    pub fn target(&self, method: &Method, path: &str, query: Option<&str>) -> Result<Url, Refusal> {
        let path = AllowedPath::below_service(path).ok_or(Refusal::BadPath)?;
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
        if path.is_root() {
            let mut url = self.base.clone();
            url.set_query(query);
            return Ok(url);
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

    /// The part of a URL's path below the service's own URL, or that of the URL itself if a rule covers it. `None`: the URL
    /// leads elsewhere, or some server could read it as a different one.
    pub(super) fn path_below(&self, url: &Url) -> Option<AllowedPath> {
        let is_own_origin = url.origin() == self.base.origin() && url.username().is_empty() && url.password().is_none();
        let below = url.path().strip_prefix(self.base.path().trim_end_matches('/')).filter(|_| is_own_origin)?;
        let root = Some(AllowedPath::root()).filter(|root| self.rules.iter().any(|rule| rule.covers(root)));
        if url.path() == self.base.path() { root } else { AllowedPath::parse(below) }
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
mod tests;
