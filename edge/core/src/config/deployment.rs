//! Checks settings that only the runtime and its adapter read. A wrong one would fail there, where nobody reports it.

use url::Url;

use super::{
    reader::Reader,
    source::{Coordination, Source},
};
use crate::http::address::{NetworkScope, network_scope};

/// URLs that are also entries of the allowed outbound hosts in `spin.toml`.
pub(super) const SPIN_ALLOWED_HOSTS: [&str; 6] =
    ["BRIDGE_URL", "ENTRA_AUTHORITY", "GRAPH_URL", "GITHUB_URL", "GITHUB_API_URL", "HOST_UPSTREAM"];

/// The key with all of `OUTBOUND_HOST_1` and so on, the free entries of that list. `spin.toml` joins them with spaces.
pub(super) const OUTBOUND_HOSTS: &str = "OUTBOUND_HOSTS";
/// The regions to which Cloudflare restricts Durable Objects.
const JURISDICTIONS: [&str; 3] = ["eu", "fedramp", "us"];
/// The regions near which Cloudflare places Durable Objects.
const LOCATION_HINTS: [&str; 9] = ["wnam", "enam", "sam", "weur", "eeur", "apac", "oc", "afr", "me"];

impl<S: Source> Reader<'_, S> {
    /// Checks the variables that are also allowed hosts. Spin drops the whole list if one entry is invalid, so the URLs of
    /// unused providers are checked, too.
    pub(super) fn check_allowed_hosts(&mut self) {
        for key in SPIN_ALLOWED_HOSTS {
            match self.source.get(key).filter(|text| !text.is_empty()).map(|text| Url::parse(text.trim())) {
                None => {}
                Some(Err(_)) => self.report(key, "is not a URL"),
                Some(Ok(url)) if url.path() != "/" => self.report(key, "must have no path here"),
                Some(Ok(url)) if network_scope(&url) == NetworkScope::Metadata => {
                    self.report(key, "must not be a link-local or metadata address");
                }
                Some(Ok(_)) => {}
            }
        }
    }

    /// Checks the free entries of the allowed hosts.
    pub(super) fn check_outbound_hosts(&mut self) {
        let Some(text) = self.optional(OUTBOUND_HOSTS) else { return };
        if self.coordination == Coordination::Objects {
            return self.report(OUTBOUND_HOSTS, "is for Spin; on Workers any public host can be reached");
        }
        for url in text.split_whitespace().map(Url::parse) {
            match url {
                Ok(url) if url.host().is_none() || url.path() != "/" => {
                    self.report(OUTBOUND_HOSTS, "must be scheme://host or scheme://host:port, without a path");
                }
                Ok(url) if network_scope(&url) == NetworkScope::Metadata => {
                    self.report(OUTBOUND_HOSTS, "must not be a link-local or metadata address");
                }
                Ok(_) => {}
                Err(_) => self.report(OUTBOUND_HOSTS, "is not a URL"),
            }
        }
    }

    /// Checks where objects are created. The adapter passes both values to the runtime as they are.
    pub(super) fn check_placement(&mut self) {
        for (key, known) in [("JURISDICTION", &JURISDICTIONS[..]), ("LOCATION_HINT", &LOCATION_HINTS[..])] {
            let Some(value) = self.optional(key) else { continue };
            if self.coordination == Coordination::Redis {
                self.report(key, "is for Workers; on Spin the data is where Redis is");
            } else if !known.contains(&value.as_str()) {
                self.report(key, format!("must be one of {}", known.join(", ")));
            }
        }
    }

    /// Checks `REDIS_URL`. It may hold a password, so problems repeat nothing of it.
    pub(super) fn check_redis_url(&mut self) {
        const KEY: &str = "REDIS_URL";
        let Some(text) = self.required(KEY) else { return };
        let url =
            Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "redis" | "rediss") && url.host().is_some());
        let Some(url) = url.filter(|url| url.port().is_some()) else {
            self.report(KEY, "must be redis://host:port or rediss://host:port");
            return;
        };
        let address =
            format!("{}://{}:{}", url.scheme(), url.host_str().unwrap_or_default(), url.port().unwrap_or_default());
        if self.optional("REDIS_ADDRESS").as_deref() != Some(address.as_str()) {
            self.report("REDIS_ADDRESS", "must be REDIS_URL's scheme, host and port, without credentials");
        }
    }
}
