//! What an isolate remembers between requests.

use crate::{
    oauth::{cache::DiscoveryCache, installation_cache::InstallationCache},
    runtime::readiness::Readiness,
    session::cache::SessionCache,
    stream::hole::Holes,
};

/// The caches of an isolate. All of them can be lost at any time.
#[derive(Debug)]
pub struct Memory {
    /// Providers' metadata and keys.
    pub discovery: DiscoveryCache,
    /// Installation tokens of GitHub Apps.
    pub installations: InstallationCache,
    /// Sessions that the coordinator confirmed recently.
    pub sessions: SessionCache,
    /// Whether the edge's dependencies were ready recently.
    pub readiness: Readiness,
    /// What nobody received of each partition.
    pub holes: Holes,
}
