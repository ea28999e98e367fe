//! The keys a provider signs with, fetched and cached for the isolate's life.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use jwt_compact::jwk::JsonWebKey;
use serde::Deserialize;
use url::Url;

use super::{
    discovery::{DiscoveryCache, fetch},
    provider::Provider,
};
use crate::platform::{Platform, Unavailable};

/// How long keys are believed; a key that was withdrawn verifies no longer than that (S52).
const FRESH_MS: u64 = 60 * 60 * 1000;
/// How soon an unknown key id may cause another fetch (M43, S42).
const REFETCH_AFTER_MS: u64 = 60 * 1000;
/// Most keys looked at in a set.
const MAX_KEYS: usize = 64;

/// One signing key. `kid`, `use` and `issuer` stand beside what `jwt-compact` reads.
#[derive(Debug, Clone, Deserialize)]
pub struct SigningKey {
    /// Its id.
    pub kid: Option<String>,
    /// `sig` or nothing; encryption keys verify nothing.
    #[serde(rename = "use")]
    pub usage: Option<String>,
    /// The only algorithm it is for.
    pub alg: Option<String>,
    /// Entra ties some keys to one issuer (M73).
    pub issuer: Option<String>,
    /// The key itself.
    #[serde(flatten)]
    pub key: JsonWebKey<'static>,
}

/// What this isolate has fetched already, by provider.
#[derive(Debug, Default)]
pub(super) struct KeyCache(RefCell<HashMap<String, Cached>>);

#[derive(Debug, Clone, Default)]
struct Cached {
    fetched_at_ms: Option<u64>,
    /// When a token's unknown key id last caused a fetch, whatever came of it.
    forced_at_ms: Option<u64>,
    keys: Rc<Vec<SigningKey>>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

/// The provider's signing keys. `missing` says that a token named a key which the last answer did not hold; that is
/// worth one more fetch, but not one for every forged token.
///
/// # Errors
/// [`Unavailable`] if they cannot be fetched.
pub async fn signing_keys(
    platform: &impl Platform,
    cache: &DiscoveryCache,
    provider: &Provider,
    url: &Url,
    missing: bool,
) -> Result<Rc<Vec<SigningKey>>, Unavailable> {
    let now_ms = platform.now_ms();
    let lately = |at_ms: Option<u64>, span_ms| at_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) < span_ms);
    {
        let mut entries = cache.keys.0.borrow_mut();
        let entry = entries.entry(provider.id.clone()).or_default();
        if lately(entry.fetched_at_ms, FRESH_MS) && (!missing || lately(entry.forced_at_ms, REFETCH_AFTER_MS)) {
            return Ok(Rc::clone(&entry.keys));
        }
        if missing {
            entry.forced_at_ms = Some(now_ms);
        }
    }
    let set: KeySet = fetch(platform, url.clone()).await?;
    // A key of a type this build does not know must not hide the ones it does.
    let keys = set.keys.into_iter().take(MAX_KEYS).filter_map(|key| serde_json::from_value(key).ok()).collect();
    let keys: Rc<Vec<SigningKey>> = Rc::new(keys);
    let mut entries = cache.keys.0.borrow_mut();
    let entry = entries.entry(provider.id.clone()).or_default();
    entry.fetched_at_ms = Some(now_ms);
    entry.keys = Rc::clone(&keys);
    Ok(keys)
}
