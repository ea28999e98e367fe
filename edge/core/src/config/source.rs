//! The source of configuration, its keys, and the problem with one of them.

use std::fmt;

use serde_json::Value;

use crate::runtime::telemetry::Field;

/// Placeholder for unknown keys; the problem names the key.
pub(super) const UNKNOWN: &str = "";

/// A problem with one key. It never holds the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The key.
    pub key: &'static str,
    /// The problem.
    pub problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key {
            UNKNOWN => f.write_str(&self.problem),
            key => write!(f, "{key} {}", self.problem),
        }
    }
}

/// Where sessions are coordinated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coordination {
    /// In the runtime's own objects, which need no address.
    Objects,
    /// In Redis at `REDIS_URL`. The adapter reads the URL; this module checks it.
    Redis,
}

/// Every key, for runtimes that must request each by name.
pub const KEYS: [&str; 46] = [
    "PUBLIC_ORIGIN",
    "HOST_ORIGINS",
    "HOST_UPSTREAM",
    "CLIENT_ADDRESS_HEADER",
    "SESSION_KEYS",
    "REDIS_URL",
    "REDIS_ADDRESS",
    "OUTBOUND_HOSTS",
    "JURISDICTION",
    "LOCATION_HINT",
    "BRIDGE_URL",
    "BRIDGE_KEYS",
    "CHANNELS",
    "ENTRA_CLIENT_ID",
    "ENTRA_CLIENT_SECRET",
    "ENTRA_CLIENT_KEY",
    "ENTRA_TENANT",
    "ENTRA_TENANTS",
    "ENTRA_GROUPS",
    "ENTRA_PROMPT",
    "ENTRA_AUTHORITY",
    "GRAPH_URL",
    "GRAPH_ALLOW",
    "GRAPH_REQUEST_HEADERS",
    "GITHUB_CLIENT_ID",
    "GITHUB_CLIENT_SECRET",
    "GITHUB_URL",
    "GITHUB_API_URL",
    "GITHUB_SCOPES",
    "GITHUB_PROMPT",
    "GITHUB_ALLOW",
    "GITHUB_REQUEST_HEADERS",
    "GITHUB_WEBHOOK_SECRET",
    "GITHUB_APP_ID",
    "GITHUB_APP_KEY",
    "OIDC_PROVIDERS",
    "OIDC_CLIENT_SECRETS",
    "SERVICES",
    "REVOCATION_BOUND_SECONDS",
    "SESSION_HOURS",
    "SESSION_IDLE_MINUTES",
    "EVENTS_PER_MINUTE",
    "LOGIN_STEPS_PER_MINUTE",
    "LOGOUTS_PER_MINUTE",
    "EMBED",
    "DEVELOPMENT",
];

/// Provides values: a Worker's variables and secrets, a Spin component's variables, a test's table.
pub trait Source {
    /// The value of a key, if it is set.
    fn get(&self, key: &str) -> Option<String>;
    /// The names of all values that are set, known or not; empty on a runtime that cannot list them.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
    /// Keys that could not be read. They differ from keys that are not set: an outage must not silently fall back to
    /// defaults.
    fn unreadable(&self) -> Vec<&'static str> {
        Vec::new()
    }
    /// Whether the runtime has a rate limiter of this name. A runtime that counts in a store has every one.
    fn has_rate_limiter(&self, _name: &str) -> bool {
        true
    }
}

impl<F: Fn(&str) -> Option<String>> Source for F {
    fn get(&self, key: &str) -> Option<String> {
        self(key)
    }
}

impl Field for &ConfigError {
    fn value(self) -> Value {
        self.to_string().into()
    }
}
