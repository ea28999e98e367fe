//! Typed configuration. Wrong means closed: every problem is collected with its key, and nothing is served.

mod github_app;
mod given;
mod openid;
mod provider;
mod reader;
mod secret;
mod service;
mod unrepeated;

use std::{fmt, rc::Rc, time::Duration};

use causeway_protocol::signature::KeyRing;
use http::HeaderName;
use secrecy::SecretString;
use url::Url;

pub(crate) use self::provider::is_guid;
use self::reader::Reader;
use crate::{
    oauth::{github_app::App, provider::Provider},
    origin::Origin,
    proxy::service::Service,
    session::record::Connection,
};

/// Everything an operator decides.
#[derive(Debug)]
pub struct Config {
    /// `PUBLIC_ORIGIN`: where browsers find the edge. Redirect URIs derive from it, never from a request's `Host`.
    pub public_origin: Origin,
    /// `HOST_ORIGINS`: origins of pages that may embed the widget.
    pub host_origins: Vec<Origin>,
    /// `EMBED`: on which sites the host pages are.
    pub embed: Embed,
    /// `CLIENT_ADDRESS_HEADER`: the header in which whatever is in front of the edge says where a request comes from.
    pub client_address_header: Option<HeaderName>,
    /// `SESSION_KEYS`: seals cookies and records.
    pub session_keys: Rc<KeyRing>,
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
    /// `GITHUB_APP_ID` and `GITHUB_APP_KEY`: who mints tokens of installations. Set if any service needs one.
    pub github_app: Option<App>,
    /// `REVOCATION_BOUND_SECONDS`: how long a revoked session can still act, at most. 0 asks every time.
    pub revocation_bound: Duration,
    /// `SESSION_HOURS`: how long a session lives, whatever happens.
    pub session_lifetime: Duration,
    /// `SESSION_IDLE_MINUTES`: how long a session may lie unused.
    pub session_idle_limit: Duration,
    /// `GITHUB_WEBHOOK_SECRET`: signs what GitHub tells unasked.
    pub github_webhook_secret: Option<SecretString>,
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
        match self.key {
            reader::UNKNOWN => f.write_str(&self.problem),
            key => write!(f, "{key} {}", self.problem),
        }
    }
}

/// On which sites the pages are that embed the widget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Embed {
    /// On the edge's own: the session cookie never travels from another one.
    SameSite,
    /// On others, too: what kept their requests out must be done by headers alone (S155).
    CrossSite,
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
pub const KEYS: [&str; 35] = [
    "PUBLIC_ORIGIN",
    "HOST_ORIGINS",
    "CLIENT_ADDRESS_HEADER",
    "SESSION_KEYS",
    "REDIS_URL",
    "REDIS_ADDRESS",
    "BRIDGE_URL",
    "BRIDGE_KEYS",
    "CHANNELS",
    "ENTRA_CLIENT_ID",
    "ENTRA_CLIENT_SECRET",
    "ENTRA_CLIENT_KEY",
    "ENTRA_TENANT",
    "ENTRA_TENANTS",
    "ENTRA_GROUPS",
    "ENTRA_AUTHORITY",
    "GRAPH_URL",
    "GRAPH_ALLOW",
    "GITHUB_CLIENT_ID",
    "GITHUB_CLIENT_SECRET",
    "GITHUB_URL",
    "GITHUB_API_URL",
    "GITHUB_SCOPES",
    "GITHUB_ALLOW",
    "GITHUB_WEBHOOK_SECRET",
    "GITHUB_APP_ID",
    "GITHUB_APP_KEY",
    "OIDC_PROVIDERS",
    "OIDC_CLIENT_SECRETS",
    "SERVICES",
    "REVOCATION_BOUND_SECONDS",
    "SESSION_HOURS",
    "SESSION_IDLE_MINUTES",
    "EMBED",
    "DEVELOPMENT",
];

/// Where values come from: a Worker's variables and secrets, a Spin component's variables, a test's table.
pub trait Source {
    /// The value of a key, if it is set.
    fn get(&self, key: &str) -> Option<String>;
    /// Names of all texts that are set, also of those that nobody asks for; empty where a runtime cannot tell.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
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
            reader.problem::<()>(key, "could not be read; it must be a text");
        }
        reader.unknown_keys();
        reader.half_configured();
        reader.http_allowed = reader.development();
        if coordination == Coordination::Redis {
            reader.redis_url();
            reader.listed_hosts();
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

    /// The provider of an account, if the one of that id still is the one that vouched for it. After a change of its issuer,
    /// or of the tenants that are let in, the account's tokens are nothing that it should see (M16).
    #[must_use]
    pub fn provider_of(&self, id: &str, connection: &Connection) -> Option<&Provider> {
        self.provider(id).filter(|provider| provider.is_issuer(&connection.issuer))
    }

    /// A service by its name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }
}

impl<S: Source> Reader<'_, S> {
    fn config(&mut self) -> Option<Config> {
        let public_origin = self.origin("PUBLIC_ORIGIN");
        let host_origins = self.host_origins();
        let embed = self.embed(&host_origins);
        let client_address_header = self.client_address_header();
        let session_keys = self.key_ring("SESSION_KEYS");
        let bridge_url = self.url("BRIDGE_URL", None);
        let bridge_keys = self.key_ring("BRIDGE_KEYS");
        if let (Some(session), Some(bridge)) = (&session_keys, &bridge_keys)
            && bridge.shares_a_secret_with(session)
        {
            // The bridge could open sessions with it.
            self.problem::<()>("BRIDGE_KEYS", "shares a secret with SESSION_KEYS");
        }
        let channels = self.channels();
        // Without an origin nothing is served, but what else is wrong is told all the same.
        let any_origin = public_origin.clone().or_else(|| Origin::parse("https://unset.invalid"));
        let mut providers = any_origin.map(|origin| self.providers(&origin)).unwrap_or_default();
        let services = self.services(&providers);
        self.restrictions(&mut providers, &services);
        let github_app = self.github_app(&services);
        let revocation_bound = Duration::from_secs(self.number("REVOCATION_BOUND_SECONDS", 10, 0..=300));
        let session_lifetime = Duration::from_secs(3600 * self.number("SESSION_HOURS", 12, 1..=720));
        let session_idle_limit = Duration::from_secs(60 * self.number("SESSION_IDLE_MINUTES", 240, 15..=43_200));
        let github_webhook_secret = self.secret("GITHUB_WEBHOOK_SECRET");
        Some(Config {
            public_origin: public_origin?,
            host_origins,
            embed,
            client_address_header,
            session_keys: Rc::new(session_keys?),
            bridge_url: bridge_url?,
            bridge_keys: bridge_keys?,
            channels,
            providers,
            services,
            github_app,
            revocation_bound,
            session_lifetime,
            session_idle_limit,
            github_webhook_secret,
        })
    }
}

#[cfg(test)]
mod tests;
