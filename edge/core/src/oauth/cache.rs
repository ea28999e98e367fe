//! The providers' endpoints, signing keys and nonces that an isolate remembers.

use std::rc::Rc;

use causeway_protocol::signature::KeyRing;
use url::Url;

use super::{
    discovery::{Endpoints, Metadata, github_endpoints, metadata_url},
    document::Source,
    document_cache::Documents,
    dpop::Nonces,
    jws::{SignatureError, TokenValidationError},
    provider::{Kind, Provider},
    signing_key::{KeyCache, SigningKey},
};
use crate::runtime::{dependency::Dependency, platform::Platform, unavailable::Unavailable};

/// What this isolate remembers of providers, and the keys that seal the part it shares with other isolates.
#[derive(Debug)]
pub struct DiscoveryCache {
    ring: Rc<KeyRing>,
    metadata: Documents<Metadata>,
    pub(super) keys: KeyCache,
    /// Nonces that providers and their APIs require in DPoP proofs (RFC 9449).
    pub nonces: Nonces,
}

impl DiscoveryCache {
    /// An empty cache.
    #[must_use]
    pub fn new(ring: Rc<KeyRing>) -> Self {
        Self { ring, metadata: Documents::default(), keys: KeyCache::default(), nonces: Nonces::default() }
    }
}

/// A provider's endpoints.
///
/// # Errors
/// [`Unavailable`] if the metadata cannot be fetched or contradicts the configuration: the sign-in does not start.
pub async fn endpoints(
    platform: &impl Platform,
    cache: &DiscoveryCache,
    provider: &Provider,
) -> Result<Endpoints, Unavailable> {
    if let Kind::GitHub { site, .. } = &provider.kind {
        return github_endpoints(site);
    }
    let url =
        metadata_url(provider).ok_or_else(|| Unavailable::new(Dependency::IdentityProvider, "has no metadata"))??;
    let source = Source { platform, ring: &cache.ring, provider, url: &url };
    Ok(cache.metadata.get(&source).await?.content.as_ref().clone())
}

/// Checks a token with the cached keys only: for a caller that must not cause early refreshes of the keys.
///
/// # Errors
/// [`Unavailable`] if no keys are cached and none can be fetched.
pub async fn with_cached_keys<T, E>(
    platform: &impl Platform,
    cache: &DiscoveryCache,
    provider: &Provider,
    url: &Url,
    check: impl Fn(&[SigningKey]) -> Result<T, E>,
) -> Result<Result<T, E>, Unavailable> {
    let source = Source { platform, ring: &cache.ring, provider, url };
    Ok(check(&cache.keys.documents.get(&source).await?.content))
}

/// Checks a token with the cached keys. If none of them signed it, checks it once more with newer keys, if there are any
/// (M43). A token signed by a known key waits for the first fetch only.
///
/// # Errors
/// [`Unavailable`] if the keys cannot be fetched.
pub async fn with_keys<T, E: TokenValidationError>(
    platform: &impl Platform,
    cache: &DiscoveryCache,
    provider: &Provider,
    url: &Url,
    check: impl Fn(&[SigningKey]) -> Result<T, E>,
) -> Result<Result<T, E>, Unavailable> {
    let source = Source { platform, ring: &cache.ring, provider, url };
    let cached = cache.keys.documents.get(&source).await?;
    let error = match check(&cached.content) {
        Ok(checked) => return Ok(Ok(checked)),
        Err(error) => error,
    };
    let newer = match error.signature_error() {
        Some(SignatureError::UnknownKey) => cache.keys.newer(&source, &cached).await?,
        // The provider may have replaced a key under the same id. If it cannot be reached, the signature counts as wrong.
        Some(SignatureError::Wrong) => cache.keys.newer(&source, &cached).await.unwrap_or_default(),
        _ => None,
    };
    Ok(newer.map_or(Err(error), |newer| check(&newer)))
}
