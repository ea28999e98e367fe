//! Typed configuration. An invalid configuration closes every route, and every problem is reported with its
//! key.

mod deployment;
mod github_app;
mod openid;
mod provider;
mod reader;
mod secret;
mod service;
mod source;

use std::{rc::Rc, time::Duration};

use causeway_protocol::signature::KeyRing;
use http::HeaderName;
use secrecy::SecretString;
use url::Url;

use self::reader::Reader;
pub use self::source::{ConfigError, Coordination, KEYS, Source};
use crate::{
    http::origin::Origin,
    oauth::{github_app::App, provider::Provider},
    proxy::service::Service,
    runtime::rate::Rates,
    session::settings::SessionSettings,
};

/// Everything that an operator configures.
#[derive(Debug)]
pub struct Config {
    /// `PUBLIC_ORIGIN`: where browsers find the edge. Redirect URIs derive from it, never from a request's `Host`.
    pub public_origin: Origin,
    /// `HOST_ORIGINS`: origins of pages that may embed the widget.
    pub host_origins: Vec<Origin>,
    /// `HOST_UPSTREAM`: the origin of a site whose pages the edge serves on its own, with the widget's first state in them.
    pub host_upstream: Option<Url>,
    /// `CLIENT_ADDRESS_HEADER`: the header in which a proxy in front of the edge names the client's address.
    pub client_address_header: Option<HeaderName>,
    /// Keys, cookie and lifetimes of sessions.
    pub sessions: SessionSettings,
    /// `BRIDGE_URL`.
    pub bridge_url: Url,
    /// `BRIDGE_KEYS`: signs requests between edge and bridge.
    pub bridge_keys: Rc<KeyRing>,
    /// `CHANNELS`: channels the widget may post to.
    pub channels: Vec<String>,
    /// The identity providers with a client id.
    pub providers: Vec<Provider>,
    /// Upstream APIs behind `/bff/{service}`.
    pub services: Vec<Service>,
    /// `GITHUB_APP_ID` and `GITHUB_APP_KEY`: mints installation tokens. Set if any service needs one.
    pub github_app: Option<App>,
    /// How often users, browsers and providers may do what costs most.
    pub rates: Rates,
    /// `GITHUB_WEBHOOK_SECRET`: signs GitHub's webhooks.
    pub github_webhook_secret: Option<SecretString>,
}

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// All problems at once, each with its key.
    pub fn load(source: &impl Source, coordination: Coordination) -> Result<Self, Vec<ConfigError>> {
        let mut reader = Reader { source, coordination, problems: Vec::new(), http_allowed: false };
        for key in source.unreadable() {
            reader.report(key, "could not be read; it must be a text");
        }
        reader.check_for_unknown_keys();
        reader.check_dependent_keys();
        reader.http_allowed = reader.development();
        if coordination == Coordination::Redis {
            reader.check_redis_url();
            reader.check_allowed_hosts();
        }
        reader.check_outbound_hosts();
        reader.check_placement();
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

    /// The provider of an account, if the provider of that id still has the account's issuer. After a change of issuer or of
    /// allowed tenants, the provider must not receive the account's tokens (M16).
    #[must_use]
    pub fn provider_of(&self, id: &str, issuer: &str) -> Option<&Provider> {
        self.provider(id).filter(|provider| provider.is_issuer(issuer))
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
        let host_upstream = self.host_upstream(public_origin.as_ref());
        let embed = self.embed(&host_origins);
        let client_address_header = self.client_address_header();
        let session_keys = self.key_ring("SESSION_KEYS");
        let bridge_url = self.url("BRIDGE_URL", None);
        let bridge_keys = self.key_ring("BRIDGE_KEYS");
        if let (Some(session), Some(bridge)) = (&session_keys, &bridge_keys)
            && bridge.shares_a_secret_with(session)
        {
            // With that secret the bridge could open sessions.
            self.report("BRIDGE_KEYS", "shares a secret with SESSION_KEYS");
        }
        let channels = self.channels();
        // Nothing is served without an origin, but all other problems are still reported.
        let any_origin = public_origin.clone().or_else(|| Origin::parse("https://unset.invalid"));
        let mut providers = any_origin.map(|origin| self.providers(&origin)).unwrap_or_default();
        let services = self.services(&providers);
        self.restrictions(&mut providers, &services);
        let github_app = self.github_app(&services);
        let revocation_bound = Duration::from_secs(self.number("REVOCATION_BOUND_SECONDS", 10, 0..=300));
        let lifetime = Duration::from_secs(3600 * self.number("SESSION_HOURS", 12, 1..=720));
        let idle_limit = Duration::from_secs(60 * self.number("SESSION_IDLE_MINUTES", 240, 15..=43_200));
        let rates = self.rates();
        let github_webhook_secret = self.secret("GITHUB_WEBHOOK_SECRET");
        let public_origin = public_origin?;
        let sessions = SessionSettings {
            keys: Rc::new(session_keys?),
            public_origin: public_origin.clone(),
            embed,
            issuers: providers.iter().map(|provider| (provider.id.clone(), provider.issuers())).collect(),
            revocation_bound,
            lifetime,
            idle_limit,
        };
        Some(Config {
            public_origin,
            host_origins,
            host_upstream,
            client_address_header,
            sessions,
            bridge_url: bridge_url?,
            bridge_keys: Rc::new(bridge_keys?),
            channels,
            providers,
            services,
            github_app,
            rates,
            github_webhook_secret,
        })
    }
}

#[cfg(test)]
mod tests;
