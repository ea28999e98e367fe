//! What an isolate knows of providers: their endpoints and signing keys.

use std::rc::Rc;

use causeway_protocol::signature::KeyRing;
use url::Url;

use super::{
    discovery::{Endpoints, Metadata, github, metadata_url},
    document::{PART, Source},
    document_cache::Documents,
    dpop::Nonces,
    jws::{SignatureError, SignatureResult},
    provider::{Kind, Provider},
    signing_key::{KeyCache, SigningKey},
};
use crate::runtime::{platform::Platform, unavailable::Unavailable};

/// What this isolate knows of providers, and what seals the part that it shares with others.
#[derive(Debug)]
pub struct DiscoveryCache {
    ring: Rc<KeyRing>,
    metadata: Documents<Metadata>,
    pub(super) keys: KeyCache,
    /// Nonces that providers and their APIs want in proofs (RFC 9449).
    pub nonces: Nonces,
}

impl DiscoveryCache {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(ring: Rc<KeyRing>) -> Self {
        Self { ring, metadata: Documents::default(), keys: KeyCache::default(), nonces: Nonces::default() }
    }
}

/// A provider's endpoints.
///
/// # Errors
/// [`Unavailable`] if the metadata cannot be had or contradicts the configuration: the sign-in does not start.
pub async fn endpoints(
    platform: &impl Platform,
    cache: &DiscoveryCache,
    provider: &Provider,
) -> Result<Endpoints, Unavailable> {
    if let Kind::GitHub { site, .. } = &provider.kind {
        return github(site);
    }
    let url = metadata_url(provider).ok_or_else(|| Unavailable::new(PART, "has no metadata"))??;
    let source = Source { platform, ring: &cache.ring, provider, url: &url };
    Ok(cache.metadata.get(&source).await?.meaning.as_ref().clone())
}

/// Checks a token with the keys at hand, and with no others: for whoever does not get to make the edge fetch any more.
///
/// # Errors
/// [`Unavailable`] if there are none and none can be had.
pub async fn with_keys_at_hand<T, E>(
    platform: &impl Platform,
    cache: &DiscoveryCache,
    provider: &Provider,
    url: &Url,
    check: impl Fn(&[SigningKey]) -> Result<T, E>,
) -> Result<Result<T, E>, Unavailable> {
    let source = Source { platform, ring: &cache.ring, provider, url };
    Ok(check(&cache.keys.documents.get(&source).await?.meaning))
}

/// Checks a token with the keys at hand and, if it was not signed by one of them, once more with newer ones, if there
/// are (M43). What a good key signed never waits for anything but the first keys.
///
/// # Errors
/// [`Unavailable`] if the keys cannot be had.
pub async fn with_keys<T, E: SignatureResult>(
    platform: &impl Platform,
    cache: &DiscoveryCache,
    provider: &Provider,
    url: &Url,
    check: impl Fn(&[SigningKey]) -> Result<T, E>,
) -> Result<Result<T, E>, Unavailable> {
    let source = Source { platform, ring: &cache.ring, provider, url };
    let known = cache.keys.documents.get(&source).await?;
    let error = match check(&known.meaning) {
        Ok(checked) => return Ok(Ok(checked)),
        Err(error) => error,
    };
    let newer = match error.signature_error() {
        Some(SignatureError::UnknownKey) => cache.keys.newer(&source, &known).await?,
        // A provider that puts a new key into an old one's place; of one that cannot be asked nothing is known.
        Some(SignatureError::Wrong) => cache.keys.newer(&source, &known).await.unwrap_or_default(),
        _ => None,
    };
    Ok(newer.map_or(Err(error), |newer| check(&newer)))
}
