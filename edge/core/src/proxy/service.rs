//! Upstream APIs: where they are, what may be asked of them, and within which limits.

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use url::Url;

use super::{path::AllowedPath, rule::Rule};
use crate::{http::web::without_slash, oauth::restriction::Restriction};

/// Largest request body a service may be configured to take: what Workers take themselves.
pub const MAX_BODY_LIMIT_BYTES: usize = 100 * 1024 * 1024;
/// The same unless it is configured.
pub const DEFAULT_BODY_LIMIT_BYTES: usize = 256 * 1024;
/// [`Service::timeout`] unless it is configured.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// An upstream API.
#[derive(Debug)]
pub struct Service {
    /// Its name in `/bff/{name}/…`.
    pub name: String,
    /// What it is called with, and nothing else ever (S101).
    pub credential: Credential,
    /// The providers, by id, whose users it serves: those whose session began there, whatever they connected since. `None`:
    /// everybody who is signed in.
    pub users_of: Option<Vec<String>>,
    /// Where it is.
    pub base: Url,
    /// What may be asked of it.
    pub rules: Vec<Rule>,
    /// Largest request body it is sent.
    pub body_limit_bytes: usize,
    /// How long the head of its answer may take, the sending of the request included; and how long it may be silent
    /// within the answer's body.
    pub timeout: Duration,
    /// Whether it learns the client's address. Third parties that have no use for it do not.
    pub told_client_address: bool,
}

/// What a service is called with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// The user's token of a provider.
    Provider {
        /// The provider's id.
        id: String,
        /// What the token is restricted to; `None` gets the one of all services that name nothing.
        restriction: Option<Restriction>,
    },
    /// A token of a GitHub App's installation: the same for every user.
    Installation(Installation),
}

/// What an installation's token may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The installation's number.
    pub id: u64,
    /// Level by permission: `contents` → `read`. Never empty.
    pub permissions: BTreeMap<String, String>,
    /// Names of repositories; none stands for all that the app was given.
    pub repositories: Vec<String>,
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

impl Service {
    /// The upstream URL of a request. The query goes along; nothing is decided by it (S92).
    ///
    /// # Errors
    /// [`Refusal`]: nothing is sent.
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
        let mut url =
            Url::parse(&format!("{}{}", without_slash(&self.base), path.as_str())).map_err(|_| Refusal::BadPath)?;
        url.set_query(query);
        // The last word has the parser that will be used to connect.
        let wanted = format!("{}{}", self.base.path().trim_end_matches('/'), path.as_str());
        if url.origin() != self.base.origin() || url.path() != wanted {
            return Err(Refusal::BadPath);
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn service() -> Service {
        Service {
            name: "api".to_owned(),
            credential: Credential::Provider { id: "github".to_owned(), restriction: None },
            users_of: None,
            base: Url::parse("https://api.example/v3").unwrap(),
            rules: Rule::parse_list("GET /user, PATCH /user, GET /repos/*").unwrap(),
            body_limit_bytes: 1024,
            timeout: Duration::from_secs(1),
            told_client_address: false,
        }
    }

    fn get(path: &str) -> Result<String, Refusal> {
        service().target(&Method::GET, path, Some("q=1")).map(String::from)
    }

    #[test]
    fn an_allowed_path_goes_to_the_configured_host() {
        assert_eq!(get("/user"), Ok("https://api.example/v3/user?q=1".to_owned()));
        assert_eq!(get("/repos/a/caf%C3%A9%20x"), Ok("https://api.example/v3/repos/a/caf%C3%A9%20x?q=1".to_owned()));
        // What the URL parser would rewrite is refused rather than rewritten.
        assert!(get("/repos/a'b").is_ok());
    }

    #[test]
    fn s83_a_method_without_a_rule_is_refused_and_the_others_are_named() {
        for method in [Method::DELETE, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::CONNECT, Method::POST] {
            let refusal = service().target(&method, "/user", None).unwrap_err();
            assert_eq!(refusal, Refusal::Method { allow: "GET, PATCH".to_owned() });
        }
    }

    #[test]
    fn s91_no_path_is_another_host() {
        for path in
            ["@evil/user", "//evil/user", "https://evil/user", ":8080/user", "\\\\evil/user", ".evil.example/user", ""]
        {
            assert_eq!(get(path), Err(Refusal::BadPath), "{path:?}");
        }
    }

    #[test]
    fn s92_query_and_fragment_do_not_take_part_in_the_choice() {
        let url = service().target(&Method::GET, "/user", Some("x=/../../admin#f&path=/repos/a")).unwrap();
        assert_eq!((url.path(), url.fragment()), ("/v3/user", None));
        assert_eq!(url.query(), Some("x=/../../admin%23f&path=/repos/a"));
        assert_eq!(service().target(&Method::GET, "/nope", Some("/user")), Err(Refusal::UnknownPath));
    }

    #[test]
    fn s93_a_prefix_ends_at_a_segment() {
        for path in ["/users", "/user/keys", "/repos", "/reposx/a", "/USER", "/v3/user"] {
            assert_eq!(get(path), Err(Refusal::UnknownPath), "{path}");
        }
    }

    proptest! {
        #[test]
        fn s91_whatever_the_path_the_host_and_base_stay(path in "(/repos)?[/\\\\.@:%;a-f0-9?#]{0,30}") {
            if let Ok(url) = service().target(&Method::GET, &path, None) {
                prop_assert_eq!(url.host_str(), Some("api.example"));
                prop_assert!(url.path() == "/v3/user" || url.path().starts_with("/v3/repos/"));
            }
        }
    }
}
