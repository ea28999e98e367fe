//! What an isolate remembers between requests.

use crate::{
    oauth::{cache::DiscoveryCache, installation_cache::InstallationCache},
    runtime::readiness::Readiness,
    session::cache::SessionCache,
};

/// What an isolate remembers. All of it can be forgotten at any time.
#[derive(Debug)]
pub struct Memory {
    /// Providers' metadata and keys.
    pub discovery: DiscoveryCache,
    /// Tokens of a GitHub App's installations.
    pub installations: InstallationCache,
    /// Sessions the coordinator vouched for a moment ago.
    pub sessions: SessionCache,
    /// Whether all that is needed was there a moment ago.
    pub readiness: Readiness,
}
