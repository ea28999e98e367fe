//! `allowed_outbound_hosts`: the schemes, hosts and ports that a guest may connect to.
//!
//! As in Spin 4.1, an entry whose variables make it empty is skipped. If an entry is invalid, every host is refused. If
//! it is invalid with the variables' defaults, the application does not load.

use http::Uri;

use crate::variable::{VariableError, Variables};

/// An entry that is not `scheme://host:port`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AllowedError {
    #[error("{0:?} has no scheme")]
    NoScheme(String),
    #[error("{0:?} has a path")]
    Path(String),
    #[error("{0:?} has a wildcard elsewhere than as the whole host or its first label")]
    Wildcard(String),
    #[error("{0:?} has no port, and its scheme has no default port")]
    NoPort(String),
    #[error("{0:?} has a port that is neither a number nor a range")]
    Port(String),
    #[error(transparent)]
    Variable(#[from] VariableError),
}

#[derive(Debug)]
enum Host {
    Any,
    /// `.example.com`
    Below(String),
    Exactly(String),
}

#[derive(Debug)]
enum Port {
    Any,
    /// From the first, up to but not including the second.
    Range(u32, u32),
}

#[derive(Debug)]
struct Entry {
    /// `None` allows any.
    scheme: Option<String>,
    host: Host,
    port: Port,
}

/// The hosts that a component may connect to.
#[derive(Debug)]
pub(crate) struct AllowedHosts(Vec<Entry>);

impl AllowedHosts {
    /// Resolves and parses the entries.
    pub(crate) fn new(templates: &[String], variables: &Variables) -> Result<Self, AllowedError> {
        templates
            .iter()
            .filter_map(|template| resolve(template, variables).transpose())
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Checks the entries that can be resolved with the variables' defaults, as Spin does when it loads the manifest.
    pub(crate) fn validate(templates: &[String], defaults: &Variables) -> Result<(), AllowedError> {
        templates.iter().try_for_each(|template| match resolve(template, defaults) {
            Ok(_) | Err(AllowedError::Variable(VariableError::Missing(..))) => Ok(()),
            Err(error) => Err(error),
        })
    }

    /// Allows nothing; used if an entry is invalid.
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    /// Whether a connection to `uri` is allowed. A URI without a scheme has the scheme `scheme`.
    pub(crate) fn allows(&self, uri: &Uri, scheme: &str) -> bool {
        let scheme = uri.scheme_str().unwrap_or(scheme);
        let (Some(host), Some(port)) = (uri.host(), uri.port_u16().or_else(|| default_port(scheme))) else {
            return false;
        };
        self.0.iter().any(|entry| entry.allows(scheme, host, port))
    }
}

/// Returns `None` for an entry that is empty because its variables are. An entry that is written empty is an error.
fn resolve(template: &str, variables: &Variables) -> Result<Option<Entry>, AllowedError> {
    let resolved = variables.resolve(template)?;
    let is_skipped = resolved != template && matches!(resolved.as_str(), "" | "http://" | "https://");
    if is_skipped { Ok(None) } else { Entry::parse(resolved.trim()).map(Some) }
}

impl Entry {
    fn parse(entry: &str) -> Result<Self, AllowedError> {
        let (scheme, rest) = entry.split_once("://").ok_or_else(|| AllowedError::NoScheme(entry.to_owned()))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('/') {
            return Err(AllowedError::Path(entry.to_owned()));
        }
        // A bracketed IPv6 address contains colons.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let host = match host {
            "*" => Host::Any,
            _ => match host.strip_prefix('*') {
                Some(domain) if domain.starts_with('.') && !domain.contains('*') => Host::Below(domain.to_owned()),
                None if !host.contains('*') => Host::Exactly(host.to_owned()),
                _ => return Err(AllowedError::Wildcard(entry.to_owned())),
            },
        };
        let number = |text: &str| text.parse::<u16>().map(u32::from).map_err(|_| AllowedError::Port(entry.to_owned()));
        let port = match port {
            None => {
                let port = default_port(scheme).ok_or_else(|| AllowedError::NoPort(entry.to_owned()))?;
                Port::Range(port.into(), u32::from(port) + 1)
            }
            Some("*") => Port::Any,
            Some(port) => match port.split_once("..") {
                Some((from, to)) => Port::Range(number(from)?, number(to)?),
                None => number(port).map(|port| Port::Range(port, port + 1))?,
            },
        };
        Ok(Self { scheme: (scheme != "*").then(|| scheme.to_owned()), host, port })
    }

    fn allows(&self, scheme: &str, host: &str, port: u16) -> bool {
        let host_allowed = match &self.host {
            Host::Any => true,
            Host::Below(suffix) => host.ends_with(suffix.as_str()),
            Host::Exactly(exactly) => host == exactly,
        };
        let port_allowed = match self.port {
            Port::Any => true,
            Port::Range(from, to) => (from..to).contains(&port.into()),
        };
        host_allowed && port_allowed && self.scheme.as_deref().is_none_or(|allowed| allowed == scheme)
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "redis" => Some(6379),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Variable;
    use std::collections::BTreeMap;

    fn allows(entry: &str, uri: &str) -> bool {
        let variables = Variables::new(&BTreeMap::new(), |_| None).unwrap();
        let allowed = AllowedHosts::new(&[entry.to_owned()], &variables).unwrap();
        allowed.allows(&uri.parse().unwrap(), "http")
    }

    #[test]
    fn scheme_host_and_port_must_match() {
        assert!(allows("https://api.github.com", "https://api.github.com/user"));
        assert!(allows("https://api.github.com/", "https://api.github.com:443/user"));
        assert!(!allows("https://api.github.com", "http://api.github.com/user"));
        assert!(!allows("https://api.github.com", "https://api.github.com:8443/user"));
        assert!(!allows("https://api.github.com", "https://github.com/"));
        assert!(allows("http://127.0.0.1:4400", "http://127.0.0.1:4400/login"));
        assert!(!allows("http://127.0.0.1:4400", "http://localhost:4400/login"));
        assert!(allows("redis://127.0.0.1", "redis://user:secret@127.0.0.1:6379"));
    }

    #[test]
    fn wildcards_and_port_ranges_match() {
        assert!(allows("*://*:*", "redis://anywhere:1"));
        assert!(allows("https://*.example.com", "https://a.b.example.com"));
        assert!(!allows("https://*.example.com", "https://example.com"));
        assert!(!allows("https://*.example.com", "https://badexample.com"));
        assert!(allows("http://[::1]:8000..8002", "http://[::1]:8001"));
        assert!(!allows("http://[::1]:8000..8002", "http://[::1]:8002"));
    }

    fn with_host(default: &str, environment: Option<&'static str>) -> Variables {
        let declared = BTreeMap::from([("host".to_owned(), Variable { default: Some(default.to_owned()) })]);
        Variables::new(&declared, |_| environment.map(str::to_owned)).unwrap()
    }

    #[test]
    fn entry_with_empty_variable_is_skipped() {
        let templates = ["{{ host }}", "https://{{ host }}", "https://b.example"].map(str::to_owned);
        let allowed = AllowedHosts::new(&templates, &with_host("", None)).unwrap();
        assert!(allowed.allows(&"https://b.example/".parse().unwrap(), "https"));
        assert!(!allowed.allows(&"https://a.example/".parse().unwrap(), "https"));
        assert!(AllowedHosts::new(&templates, &with_host("", Some(" "))).is_err());
    }

    #[test]
    fn entry_that_defaults_make_invalid_does_not_load() {
        let templates = ["https://{{ host }}".to_owned()];
        let validate = |default| AllowedHosts::validate(&templates, &with_host(default, None));
        assert!(validate("").is_ok() && validate("a.example").is_ok());
        assert!(validate("a.example/path").is_err());
        assert!(AllowedHosts::validate(&[String::new()], &with_host("", None)).is_err());
    }

    #[test]
    fn entry_needs_scheme_and_port() {
        let variables = Variables::new(&BTreeMap::new(), |_| None).unwrap();
        for entry in [
            "",
            "*",
            "example.com",
            "rediss://example.com",
            "https://example.com/path",
            "https://a*b.com",
            "http://a:x",
        ] {
            assert!(AllowedHosts::new(&[entry.to_owned()], &variables).is_err(), "{entry:?}");
        }
    }
}
