//! Where configuration comes from, which keys there are, and what is said of a wrong one.

use std::fmt;

use serde_json::Value;

use crate::runtime::telemetry::Field;

/// Stands for a key that is none; the problem names it.
pub(super) const UNKNOWN: &str = "";

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
            UNKNOWN => f.write_str(&self.problem),
            key => write!(f, "{key} {}", self.problem),
        }
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

impl Field for &ConfigError {
    fn value(self) -> Value {
        self.to_string().into()
    }
}
