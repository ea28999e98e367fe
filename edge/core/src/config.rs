//! Typed configuration. Wrong means closed: every problem is collected with its key, and nothing is served.

use std::{fmt, time::Duration};

use causeway_protocol::{event::is_name, signature::KeyRing};
use secrecy::SecretString;
use url::Url;

use crate::{
    oauth::provider::{Kind, Provider},
    origin::Origin,
    proxy::{Rule, Service},
};

/// Everything an operator decides.
#[derive(Debug)]
pub struct Config {
    /// `PUBLIC_ORIGIN`: where browsers find the edge. Redirect URIs derive from it, never from a request's `Host`.
    pub public_origin: Origin,
    /// `HOST_ORIGINS`: origins of pages that may embed the widget.
    pub host_origins: Vec<Origin>,
    /// `SESSION_KEYS`: seals cookies and records.
    pub session_keys: KeyRing,
    /// `BRIDGE_URL`.
    pub bridge_url: Url,
    /// `BRIDGE_KEYS`: signs requests between edge and bridge.
    pub bridge_keys: KeyRing,
    /// `CHANNELS`: channels the widget may post to.
    pub channels: Vec<String>,
    /// Identity providers, those whose client id is set.
    pub providers: Vec<Provider>,
    /// Upstream APIs behind `/bff/{service}`.
    pub services: Vec<Service>,
    /// `REVOCATION_BOUND_SECONDS`: how long a revoked session can still act, at most. 0 asks every time.
    pub revocation_bound: Duration,
    /// `SESSION_HOURS`: how long a session lives, whatever happens.
    pub session_lifetime: Duration,
}

/// What is wrong with one key. Never holds the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The key.
    pub key: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.problem)
    }
}

/// What coordinates sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coordination {
    /// Objects of the runtime, which need no address.
    Objects,
    /// Redis, at `REDIS_URL`. The adapter reads it; it is checked here.
    Redis,
}

/// Every key that is read, for runtimes that must ask for each by name.
pub const KEYS: [&str; 22] = [
    "PUBLIC_ORIGIN",
    "HOST_ORIGINS",
    "SESSION_KEYS",
    "REDIS_URL",
    "REDIS_ADDRESS",
    "BRIDGE_URL",
    "BRIDGE_KEYS",
    "CHANNELS",
    "ENTRA_CLIENT_ID",
    "ENTRA_CLIENT_SECRET",
    "ENTRA_TENANT",
    "ENTRA_AUTHORITY",
    "GRAPH_URL",
    "GRAPH_ALLOW",
    "GITHUB_CLIENT_ID",
    "GITHUB_CLIENT_SECRET",
    "GITHUB_URL",
    "GITHUB_API_URL",
    "GITHUB_ALLOW",
    "REVOCATION_BOUND_SECONDS",
    "SESSION_HOURS",
    "DEVELOPMENT",
];

/// Where values come from: a Worker's variables and secrets, a Spin component's variables, a test's table.
pub trait Source {
    /// The value of a key, if it is set.
    fn get(&self, key: &str) -> Option<String>;
    /// Keys whose values could not be had: not the same as not set, or an outage would quietly fall back to defaults.
    fn unreadable(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

impl<F: Fn(&str) -> Option<String>> Source for F {
    fn get(&self, key: &str) -> Option<String> {
        self(key)
    }
}

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// All problems at once, each with its key.
    pub fn load(source: &impl Source, coordination: Coordination) -> Result<Self, Vec<ConfigError>> {
        let mut reader = Reader { source, coordination, problems: Vec::new(), http_allowed: false };
        for key in source.unreadable() {
            reader.problem::<()>(key, "could not be read");
        }
        reader.http_allowed = reader.development();
        if coordination == Coordination::Redis {
            reader.redis_url();
        }
        let config = reader.config();
        match config {
            Some(config) if reader.problems.is_empty() => Ok(config),
            _ => Err(reader.problems),
        }
    }

    /// Whether a host page of this origin may talk to the edge.
    #[must_use]
    pub fn allows_origin(&self, origin: &str) -> bool {
        self.public_origin.as_str() == origin || self.host_origins.iter().any(|host| host.as_str() == origin)
    }

    /// A provider by its id.
    #[must_use]
    pub fn provider(&self, id: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.id == id)
    }

    /// A service by its name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }
}

struct Reader<'a, S> {
    source: &'a S,
    coordination: Coordination,
    problems: Vec<ConfigError>,
    /// Whether `http://` is good enough for loopback addresses.
    http_allowed: bool,
}

impl<S: Source> Reader<'_, S> {
    fn config(&mut self) -> Option<Config> {
        let public_origin = self.origin("PUBLIC_ORIGIN");
        let host_origins = self.host_origins();
        let session_keys = self.key_ring("SESSION_KEYS");
        let bridge_url = self.url("BRIDGE_URL", None);
        let bridge_keys = self.key_ring("BRIDGE_KEYS");
        let channels = self.channels();
        let providers = public_origin.as_ref().map(|origin| self.providers(origin)).unwrap_or_default();
        let services = self.services(&providers);
        let revocation_bound = Duration::from_secs(self.number("REVOCATION_BOUND_SECONDS", 10, 0..=300));
        let session_lifetime = Duration::from_secs(3600 * self.number("SESSION_HOURS", 12, 1..=720));
        Some(Config {
            public_origin: public_origin?,
            host_origins,
            session_keys: session_keys?,
            bridge_url: bridge_url?,
            bridge_keys: bridge_keys?,
            channels,
            providers,
            services,
            revocation_bound,
            session_lifetime,
        })
    }

    fn problem<T>(&mut self, key: &'static str, problem: impl Into<String>) -> Option<T> {
        self.problems.push(ConfigError { key, problem: problem.into() });
        None
    }

    fn optional(&self, key: &str) -> Option<String> {
        self.source.get(key).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn required(&mut self, key: &'static str) -> Option<String> {
        match self.optional(key) {
            Some(value) => Some(value),
            None => self.problem(key, "is not set"),
        }
    }

    fn development(&mut self) -> bool {
        match self.optional("DEVELOPMENT").as_deref() {
            None => false,
            Some("loopback") => true,
            Some(_) => self.problem::<()>("DEVELOPMENT", "must be unset or `loopback`").is_some(),
        }
    }

    /// HTTPS, or HTTP to this very machine in development.
    fn scheme_is_safe(&self, url: &Url) -> bool {
        let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        url.scheme() == "https" || (url.scheme() == "http" && loopback && self.http_allowed)
    }

    fn url(&mut self, key: &'static str, default: Option<&str>) -> Option<Url> {
        let text = match (self.optional(key), default) {
            (Some(text), _) => text,
            (None, Some(default)) => default.to_owned(),
            (None, None) => return self.problem(key, "is not set"),
        };
        let Ok(url) = Url::parse(&text) else { return self.problem(key, "is not a URL") };
        // There these variables are also what outbound hosts are allowed by, and a path or an empty one voids the list.
        let listed = self.coordination == Coordination::Redis;
        let is_empty = self.source.get(key).is_some_and(|text| text.trim().is_empty());
        if listed && (url.path() != "/" || is_empty) {
            return self.problem(key, "must have no path here, and must be left out rather than empty");
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return self.problem(key, "must have no user, query or fragment");
        }
        if !self.scheme_is_safe(&url) {
            return self.problem(key, "must be https:// (http:// only for loopback with DEVELOPMENT=loopback)");
        }
        Some(url)
    }

    /// It may hold a password, so nothing of it is ever repeated.
    fn redis_url(&mut self) {
        const KEY: &str = "REDIS_URL";
        let Some(text) = self.required(KEY) else { return };
        let url =
            Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "redis" | "rediss") && url.host().is_some());
        let Some(url) = url.filter(|url| url.port().is_some()) else {
            self.problem::<()>(KEY, "must be redis://host:port or rediss://host:port");
            return;
        };
        let place =
            format!("{}://{}:{}", url.scheme(), url.host_str().unwrap_or_default(), url.port().unwrap_or_default());
        if self.optional("REDIS_ADDRESS").as_deref() != Some(place.as_str()) {
            self.problem::<()>("REDIS_ADDRESS", "must be REDIS_URL's scheme, host and port, without credentials");
        }
    }

    fn origin(&mut self, key: &'static str) -> Option<Origin> {
        let text = self.required(key)?;
        self.parse_origin(key, &text)
    }

    fn parse_origin(&mut self, key: &'static str, text: &str) -> Option<Origin> {
        let Some(origin) = Origin::parse(text) else {
            return self
                .problem(key, "must be an origin such as https://example.com, without a path or trailing slash");
        };
        match Url::parse(text) {
            Ok(url) if self.scheme_is_safe(&url) => Some(origin),
            _ => self.problem(key, "must be https:// (http:// only for loopback with DEVELOPMENT=loopback)"),
        }
    }

    fn host_origins(&mut self) -> Vec<Origin> {
        let text = self.optional("HOST_ORIGINS").unwrap_or_default();
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.filter_map(|part| self.parse_origin("HOST_ORIGINS", part)).collect()
    }

    fn key_ring(&mut self, key: &'static str) -> Option<KeyRing> {
        let text = self.required(key)?;
        match KeyRing::parse(&text) {
            Ok(ring) => Some(ring),
            Err(error) => self.problem(key, error.to_string()),
        }
    }

    fn channels(&mut self) -> Vec<String> {
        let text = self.optional("CHANNELS").unwrap_or_else(|| "chat".to_owned());
        let channels: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        if !channels.iter().all(|name| is_name(name)) {
            self.problem::<()>("CHANNELS", "must be names of letters, digits, `.`, `_` and `-`, separated by commas");
        }
        channels
    }

    fn number(&mut self, key: &'static str, default: u64, range: std::ops::RangeInclusive<u64>) -> u64 {
        let Some(text) = self.optional(key) else { return default };
        match text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let problem = format!("must be a whole number from {} to {}", range.start(), range.end());
                self.problem::<u64>(key, problem).unwrap_or(default)
            }
        }
    }

    fn providers(&mut self, public_origin: &Origin) -> Vec<Provider> {
        let mut providers = Vec::new();
        if let Some(client_id) = self.optional("ENTRA_CLIENT_ID") {
            providers.extend(self.entra(client_id, public_origin));
        }
        if let Some(client_id) = self.optional("GITHUB_CLIENT_ID") {
            providers.extend(self.github(client_id, public_origin));
        }
        if providers.is_empty() && self.problems.is_empty() {
            self.problem::<()>("ENTRA_CLIENT_ID", "or GITHUB_CLIENT_ID must be set: nobody could sign in");
        }
        providers
    }

    fn entra(&mut self, client_id: String, public_origin: &Origin) -> Option<Provider> {
        let client_secret = self.required("ENTRA_CLIENT_SECRET").map(SecretString::from);
        let tenant = self.required("ENTRA_TENANT")?;
        if !is_guid(&tenant) {
            return self.problem("ENTRA_TENANT", "must be the tenant's id, a lower-case GUID");
        }
        let authority = self.url("ENTRA_AUTHORITY", Some("https://login.microsoftonline.com"))?;
        Some(Provider {
            id: "entra",
            name: "Microsoft",
            client_id,
            client_secret: client_secret?,
            redirect_uri: format!("{public_origin}/auth/entra/callback"),
            scopes: ["openid", "profile", "email", "offline_access", "User.Read"].map(str::to_owned).to_vec(),
            kind: Kind::Entra { tenant, authority },
        })
    }

    fn github(&mut self, client_id: String, public_origin: &Origin) -> Option<Provider> {
        let client_secret = self.required("GITHUB_CLIENT_SECRET").map(SecretString::from);
        let site = self.url("GITHUB_URL", Some("https://github.com"));
        let api = self.url("GITHUB_API_URL", Some("https://api.github.com"))?;
        Some(Provider {
            id: "github",
            name: "GitHub",
            client_id,
            client_secret: client_secret?,
            redirect_uri: format!("{public_origin}/auth/github/callback"),
            scopes: ["read:user", "user:email"].map(str::to_owned).to_vec(),
            kind: Kind::GitHub { site: site?, api },
        })
    }

    fn services(&mut self, providers: &[Provider]) -> Vec<Service> {
        let mut services = Vec::new();
        for provider in providers {
            let (name, base, key, default) = match &provider.kind {
                Kind::GitHub { api, .. } => ("github", Some(api.clone()), "GITHUB_ALLOW", "GET /user"),
                Kind::Entra { .. } => {
                    ("graph", self.url("GRAPH_URL", Some("https://graph.microsoft.com")), "GRAPH_ALLOW", "GET /v1.0/me")
                }
            };
            let rules = Rule::parse_list(&self.optional(key).unwrap_or_else(|| default.to_owned()));
            let Some(rules) = rules else {
                self.problem::<()>(key, "must be rules such as `GET /user, GET /repos/*`");
                continue;
            };
            services.extend(base.map(|base| Service { name, provider: provider.id, base, rules }));
        }
        services
    }
}

/// Whether a text is a GUID in the lower-case form that Entra writes.
#[must_use]
pub(crate) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(n, b)| match n {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated::settings;

    fn keys_of(change: &[(&str, Option<&str>)]) -> Vec<&'static str> {
        let mut table = settings();
        for (key, value) in change {
            match value {
                Some(value) => table.insert((*key).to_owned(), (*value).to_owned()),
                None => table.remove(*key),
            };
        }
        match Config::load(&|key: &str| table.get(key).cloned(), Coordination::Redis) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.into_iter().map(|problem| problem.key).collect(),
        }
    }

    #[test]
    fn a_complete_configuration_loads() {
        assert_eq!(keys_of(&[]), Vec::<&str>::new());
    }

    #[test]
    fn every_missing_or_malformed_key_is_named() {
        for (key, value) in [
            ("PUBLIC_ORIGIN", None),
            ("PUBLIC_ORIGIN", Some("https://edge.example/")),
            ("PUBLIC_ORIGIN", Some("http://edge.example")),
            ("HOST_ORIGINS", Some("https://host.example, *")),
            ("SESSION_KEYS", None),
            ("SESSION_KEYS", Some("a:AAAA")),
            ("BRIDGE_URL", Some("http://bridge.example")),
            ("BRIDGE_KEYS", Some("")),
            ("REDIS_URL", None),
            ("REDIS_URL", Some("localhost:6379")),
            ("REDIS_URL", Some("redis://redis.example")),
            ("REDIS_ADDRESS", None),
            ("REDIS_ADDRESS", Some("redis://redis.example:6380")),
            ("GITHUB_API_URL", Some("https://ghe.example/api/v3")),
            ("GRAPH_URL", Some("")),
            ("CHANNELS", Some("chat,")),
            ("ENTRA_CLIENT_SECRET", None),
            ("ENTRA_TENANT", Some("common")),
            ("GITHUB_CLIENT_SECRET", None),
            ("GITHUB_API_URL", Some("ftp://api.github.com")),
            ("GITHUB_ALLOW", Some("everything")),
            ("REVOCATION_BOUND_SECONDS", Some("-1")),
            ("SESSION_HOURS", Some("0")),
            ("DEVELOPMENT", Some("true")),
        ] {
            assert!(keys_of(&[(key, value)]).contains(&key), "{key}={value:?}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_read_is_not_taken_for_one_that_is_not_set() {
        struct Outage(std::collections::BTreeMap<String, String>);
        impl Source for Outage {
            fn get(&self, key: &str) -> Option<String> {
                self.0.get(key).cloned()
            }
            fn unreadable(&self) -> Vec<&'static str> {
                vec!["REVOCATION_BOUND_SECONDS"]
            }
        }
        let problems = Config::load(&Outage(settings()), Coordination::Redis).unwrap_err();
        assert_eq!(problems[0].to_string(), "REVOCATION_BOUND_SECONDS could not be read");
    }

    #[test]
    fn every_key_that_is_read_is_listed() {
        let (table, asked) = (settings(), std::cell::RefCell::new(Vec::new()));
        let source = |key: &str| {
            asked.borrow_mut().push(key.to_owned());
            table.get(key).cloned()
        };
        assert!(Config::load(&source, Coordination::Redis).is_ok());
        assert!(asked.borrow().iter().all(|key| KEYS.contains(&key.as_str())), "{asked:?}");
        assert!(KEYS.iter().all(|key| asked.borrow().iter().any(|asked| asked == key)), "{asked:?}");
    }

    #[test]
    fn all_problems_are_told_at_once() {
        assert_eq!(keys_of(&[("SESSION_KEYS", None), ("BRIDGE_KEYS", None), ("BRIDGE_URL", None)]).len(), 3);
    }

    #[test]
    fn plain_http_is_for_loopback_in_development_only() {
        let loopback = ("BRIDGE_URL", Some("http://127.0.0.1:8790"));
        assert_eq!(keys_of(&[loopback]), ["BRIDGE_URL"]);
        assert_eq!(keys_of(&[loopback, ("DEVELOPMENT", Some("loopback"))]), Vec::<&str>::new());
        let foreign = ("BRIDGE_URL", Some("http://localhost.example"));
        assert_eq!(keys_of(&[foreign, ("DEVELOPMENT", Some("loopback"))]), ["BRIDGE_URL"]);
    }
}
