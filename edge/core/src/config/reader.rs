//! Reads and validates configuration values, and collects every problem. `deployment` has those
//! that only the runtime reads.

use causeway_protocol::{event::is_name, signature::KeyRing};
use http::{HeaderName, header};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{
    secret::weakness,
    source::{ConfigError, Coordination, KEYS, Source, UNKNOWN},
};
use crate::{
    http::{
        address::{NetworkScope, network_scope},
        cookie::Embed,
        origin::Origin,
    },
    runtime::{
        platform::Rate,
        rate::{EVENTS_RATE, LOGIN_RATE, LOGOUT_RATE, Rates},
    },
};

/// Longest unknown name that a problem shows.
const MAX_SHOWN_CHARS: usize = 64;
/// Keys that have no effect unless the first is set. URLs are left out: on Spin they are also allowed hosts.
const DEPENDENT_KEYS: [(&str, &[&str]); 2] = [
    (
        "ENTRA_CLIENT_ID",
        &[
            "ENTRA_CLIENT_SECRET",
            "ENTRA_CLIENT_KEY",
            "ENTRA_TENANT",
            "ENTRA_TENANTS",
            "ENTRA_GROUPS",
            "ENTRA_PROMPT",
            "GRAPH_ALLOW",
            "GRAPH_REQUEST_HEADERS",
        ],
    ),
    (
        "GITHUB_CLIENT_ID",
        &[
            "GITHUB_CLIENT_SECRET",
            "GITHUB_WEBHOOK_SECRET",
            "GITHUB_SCOPES",
            "GITHUB_PROMPT",
            "GITHUB_ALLOW",
            "GITHUB_REQUEST_HEADERS",
        ],
    ),
];

pub(super) struct Reader<'a, S> {
    pub(super) source: &'a S,
    pub(super) coordination: Coordination,
    pub(super) problems: Vec<ConfigError>,
    /// Whether `http://` is allowed for loopback addresses.
    pub(super) http_allowed: bool,
}

impl<S: Source> Reader<'_, S> {
    /// Adds a problem, once. The key stands before the text where it is shown.
    pub(super) fn report(&mut self, key: &'static str, problem: impl Into<String>) {
        let error = ConfigError { key, problem: problem.into() };
        if !self.problems.contains(&error) {
            self.problems.push(error);
        }
    }

    /// Adds a problem in place of the value.
    pub(super) fn reject<T>(&mut self, key: &'static str, problem: impl Into<String>) -> Option<T> {
        self.report(key, problem);
        None
    }

    pub(super) fn optional(&self, key: &str) -> Option<String> {
        self.source.get(key).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    pub(super) fn required(&mut self, key: &'static str) -> Option<String> {
        match self.optional(key) {
            Some(value) => Some(value),
            None => self.reject(key, "is not set"),
        }
    }

    pub(super) fn development(&mut self) -> bool {
        match self.optional("DEVELOPMENT").as_deref() {
            None => false,
            Some("loopback") => true,
            Some(_) => {
                self.report("DEVELOPMENT", "must be unset or `loopback`");
                false
            }
        }
    }

    /// Whether a URL is HTTPS, or HTTP to a loopback address in development.
    pub(super) fn scheme_is_safe(&self, url: &Url) -> bool {
        let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        url.scheme() == "https" || (url.scheme() == "http" && loopback && self.http_allowed)
    }

    pub(super) fn url(&mut self, key: &'static str, default: Option<&str>) -> Option<Url> {
        let text = match (self.optional(key), default) {
            (Some(text), _) => text,
            // On Spin the allowed hosts come from the variables, so a default would be unreachable.
            (None, Some(default)) if self.coordination != Coordination::Redis => default.to_owned(),
            (None, _) => return self.reject(key, "is not set"),
        };
        let Ok(url) = Url::parse(&text) else { return self.reject(key, "is not a URL") };
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return self.reject(key, "must have no user, query or fragment");
        }
        if !self.scheme_is_safe(&url) {
            return self.reject(key, "must be https:// (http:// only for loopback with DEVELOPMENT=loopback)");
        }
        // A bridge or an Enterprise Server may be on a private network, but never at a link-local or metadata address.
        if network_scope(&url) == NetworkScope::Metadata {
            return self.reject(key, "must not be a link-local or metadata address");
        }
        Some(url)
    }

    pub(super) fn origin(&mut self, key: &'static str) -> Option<Origin> {
        let text = self.required(key)?;
        self.parse_origin(key, &text)
    }

    pub(super) fn parse_origin(&mut self, key: &'static str, text: &str) -> Option<Origin> {
        let Some(origin) = Origin::parse(text) else {
            return self.reject(key, "must be an origin such as https://example.com, without a path or trailing slash");
        };
        match Url::parse(text) {
            Ok(url) if self.scheme_is_safe(&url) => Some(origin),
            _ => self.reject(key, "must be https:// (http:// only for loopback with DEVELOPMENT=loopback)"),
        }
    }

    pub(super) fn host_origins(&mut self) -> Vec<Origin> {
        let text = self.optional("HOST_ORIGINS").unwrap_or_default();
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.filter_map(|part| self.parse_origin("HOST_ORIGINS", part)).collect()
    }

    /// The site whose pages the edge serves. It is asked without any credential, so it may be on a private network.
    pub(super) fn host_upstream(&mut self, own: Option<&Origin>) -> Option<Url> {
        const KEY: &str = "HOST_UPSTREAM";
        let text = self.optional(KEY)?;
        let origin = self.parse_origin(KEY, &text)?;
        if Some(&origin) == own {
            return self.reject(KEY, "must not be PUBLIC_ORIGIN, which would ask itself");
        }
        self.url(KEY, None)
    }

    pub(super) fn embed(&mut self, host_origins: &[Origin]) -> Embed {
        match self.optional("EMBED").as_deref() {
            None => Embed::SameSite,
            Some("cross-site") if host_origins.is_empty() => {
                self.report("EMBED", "needs HOST_ORIGINS");
                Embed::SameSite
            }
            Some("cross-site") => Embed::CrossSite,
            Some(_) => {
                self.report("EMBED", "must be unset or `cross-site`");
                Embed::SameSite
            }
        }
    }

    /// The client address header. The edge trusts its value, so it must hold nothing else.
    pub(super) fn client_address_header(&mut self) -> Option<HeaderName> {
        const KEY: &str = "CLIENT_ADDRESS_HEADER";
        let text = self.optional(KEY)?;
        match HeaderName::try_from(text) {
            Ok(header::FORWARDED) => {
                self.reject(KEY, "must not be Forwarded, which has a syntax of its own (RFC 7239)")
            }
            Ok(header::HOST | header::COOKIE | header::AUTHORIZATION | header::ORIGIN | header::REFERER) | Err(_) => {
                self.reject(KEY, "must be the name of a header that holds an address, such as X-Real-IP")
            }
            Ok(name) => Some(name),
        }
    }

    pub(super) fn key_ring(&mut self, key: &'static str) -> Option<KeyRing> {
        let text = self.required(key)?;
        match KeyRing::parse(&text) {
            Ok(ring) => Some(ring),
            Err(error) => self.reject(key, error.to_string()),
        }
    }

    pub(super) fn secret(&mut self, key: &'static str) -> Option<SecretString> {
        let secret = SecretString::from(self.optional(key)?);
        self.check_strength(key, secret)
    }

    pub(super) fn required_secret(&mut self, key: &'static str) -> Option<SecretString> {
        let secret = SecretString::from(self.required(key)?);
        self.check_strength(key, secret)
    }

    /// Rejects a secret that can be guessed.
    pub(super) fn check_strength(&mut self, key: &'static str, secret: SecretString) -> Option<SecretString> {
        match weakness(secret.expose_secret()) {
            Some(problem) => self.reject(key, problem),
            None => Some(secret),
        }
    }

    /// Reports keys that are set but unknown: a mistyped key would otherwise silently leave a limit or a check at its default.
    pub(super) fn check_for_unknown_keys(&mut self) {
        for name in self.source.names() {
            if !KEYS.contains(&name.as_str()) {
                let shown: String = name.chars().filter(char::is_ascii_graphic).take(MAX_SHOWN_CHARS).collect();
                self.report(UNKNOWN, format!("{shown} is not a configuration key"));
            }
        }
    }

    /// Reports settings of a provider that is not configured: their operator expects them to be in force.
    pub(super) fn check_dependent_keys(&mut self) {
        for (key, dependent) in DEPENDENT_KEYS {
            if self.optional(key).is_none()
                && let Some(other) = dependent.iter().find(|other| self.optional(other).is_some())
            {
                self.report(key, format!("is not set, but {other} is"));
            }
        }
    }

    pub(super) fn channels(&mut self) -> Vec<String> {
        let text = self.optional("CHANNELS").unwrap_or_else(|| "chat".to_owned());
        let channels: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        if !channels.iter().all(|name| is_name(name)) {
            self.report("CHANNELS", "must be names of letters, digits, `.`, `_` and `-`, separated by commas");
        }
        channels
    }

    pub(super) fn rates(&mut self) -> Rates {
        Rates {
            events: self.rate("EVENTS_PER_MINUTE", EVENTS_RATE, 1..=60_000),
            // A sign-in takes two steps.
            login: self.rate("LOGIN_STEPS_PER_MINUTE", LOGIN_RATE, 2..=1_000_000),
            logout: self.rate("LOGOUTS_PER_MINUTE", LOGOUT_RATE, 1..=1_000_000),
        }
    }

    /// A rate with the limit that is set. Where the runtime's limiters have limits of their own, the limiter of exactly this
    /// limit must exist, or the setting would have no effect.
    fn rate(&mut self, key: &'static str, rate: Rate, range: std::ops::RangeInclusive<u64>) -> Rate {
        let limit = self.number(key, rate.default_limit.into(), range);
        let rate = rate.with_limit(u32::try_from(limit).unwrap_or(rate.default_limit));
        let limiter = rate.limiter();
        // Without the limiter of a default nothing contradicts a setting. The log reports it when it is missed.
        if rate.limit != rate.default_limit && !self.source.has_rate_limiter(&limiter) {
            let (limit, period) = (rate.limit, rate.period_seconds);
            self.report(key, format!("needs a rate limiter {limiter} with limit {limit} and period {period}"));
        }
        rate
    }

    pub(super) fn number(&mut self, key: &'static str, default: u64, range: std::ops::RangeInclusive<u64>) -> u64 {
        let Some(text) = self.optional(key) else { return default };
        match text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                self.report(key, format!("must be a whole number from {} to {}", range.start(), range.end()));
                default
            }
        }
    }
}
