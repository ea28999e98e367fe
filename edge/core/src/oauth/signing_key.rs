//! The keys a provider signs with. They are used for an hour, and refreshed early when a token names an unknown key.

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

use jwt_compact::jwk::JsonWebKey;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::{
    document::{Document, Fetched, LEADER_LIMIT, RETRY_WITHOUT_DOCUMENT_MS, Source, is_recent},
    document_cache::Documents,
    jwks_refresh_lock::{COOL_DOWN_MS, Command, FAILED_MS, JwksRefreshLockMachine, LEASE_MS, Outcome, Reply},
    provider::Provider,
    shared::{SharedCopy, digest},
};
use crate::{
    runtime::{
        clock::within,
        dependency::Dependency,
        platform::Platform,
        single_flight::{Joined, Leader},
        unavailable::Unavailable,
    },
    seal::Sealed,
};

/// Most keys read of a set. A key that is there twice counts once.
const MAX_KEYS: usize = 64;
/// Longest key read, in bytes. RSA keys of 4096 bits have 700.
const MAX_KEY_BYTES: usize = 2048;
/// The fields kept of a key. Certificates, which are not used, would make up most of it.
const FIELDS: [&str; 10] = ["kty", "kid", "use", "alg", "issuer", "n", "e", "crv", "x", "y"];
/// How long a token waits for newer keys: for one lease whose holder was cut off, and for the next one.
const REFRESH_TIMEOUT: Duration = Duration::from_millis(2 * LEASE_MS);
/// How often the coordinator is asked for the outcome of another isolate's fetch.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
const COORDINATOR_TIMEOUT: Duration = Duration::from_secs(2);

/// One signing key. `kid`, `use` and `issuer` are here because `jwt-compact` does not read them.
#[derive(Debug, Clone, Deserialize)]
pub struct SigningKey {
    /// Its id.
    pub kid: Option<String>,
    /// `sig` or absent; encryption keys verify nothing.
    #[serde(rename = "use")]
    pub usage: Option<String>,
    /// The only algorithm the key is for.
    pub alg: Option<String>,
    /// Entra ties some keys to one issuer (M73).
    pub issuer: Option<String>,
    /// The key itself.
    #[serde(flatten)]
    pub key: JsonWebKey<'static>,
}

/// A key set (RFC 7517 §5).
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeySet {
    #[serde(deserialize_with = "bounded_keys")]
    keys: Vec<Map<String, Value>>,
}

/// Reads keys of a reasonable size, without unused fields.
fn bounded_keys<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Map<String, Value>>, D::Error> {
    let mut keys: Vec<Map<String, Value>> = Vec::new();
    for key in Vec::<Value>::deserialize(deserializer)? {
        if keys.len() >= MAX_KEYS {
            break;
        }
        let Value::Object(key) = key else { continue };
        let key: Map<_, _> = key.into_iter().filter(|(name, _)| FIELDS.contains(&name.as_str())).collect();
        let is_bounded = Value::Object(key.clone()).to_string().len() <= MAX_KEY_BYTES;
        if is_bounded && !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

impl Document for KeySet {
    const KIND: &'static str = "keys";
    const FRESH_MS: u64 = 50 * 60 * 1000;
    /// A withdrawn key verifies no longer than this (S52).
    const USABLE_MS: u64 = 60 * 60 * 1000;
    type Content = Vec<SigningKey>;

    fn content(&self, _provider: &Provider) -> Result<Vec<SigningKey>, Unavailable> {
        // A key of an unknown type must not hide the known ones.
        let keys = self.keys.iter().filter_map(|key| serde_json::from_value(Value::Object(key.clone())).ok());
        Ok(keys.collect())
    }
}

/// The signing keys that an isolate has, by provider.
#[derive(Debug, Default)]
pub(super) struct KeyCache {
    pub(super) documents: Documents<KeySet>,
    refreshes: RefCell<HashMap<String, EarlyRefresh>>,
}

/// The last early refresh of a provider's keys. Its outcome serves until the next one is allowed.
#[derive(Debug, Clone)]
struct EarlyRefresh {
    url: Url,
    at_ms: u64,
    cool_down_ms: u64,
    outcome: Newer,
}

/// Other keys than the cached ones; `None` if a refresh gave none and the next one is not allowed yet.
type Newer = Result<Option<Rc<Vec<SigningKey>>>, Unavailable>;

impl KeyCache {
    /// Newer keys than the cached ones, from an early refresh by this isolate or another.
    pub(super) async fn newer<P: Platform>(&self, source: &Source<'_, P>, cached: &Fetched<KeySet>) -> Newer {
        within(source.platform, REFRESH_TIMEOUT, Dependency::IdentityProvider, self.refresh(source, cached)).await
    }

    /// One request of the isolate goes to the coordinator. Of all isolates, the coordinator lets one fetch; the others take
    /// its outcome.
    async fn refresh<P: Platform>(&self, source: &Source<'_, P>, cached: &Fetched<KeySet>) -> Newer {
        let Source { platform, provider, .. } = source;
        let from_memory = |now_ms| self.remembered(source, cached, now_ms);
        let flight = &self.documents.single_flight;
        let leader = match flight
            .join(*platform, Dependency::IdentityProvider, &provider.id, LEADER_LIMIT, from_memory)
            .await?
        {
            Joined::Follower(newer) => return newer,
            Joined::Leader(leader) => leader,
        };
        let lock = digest::<KeySet, P>(source);
        match claim(source, &lock).await {
            Ok(Claim::Granted { at_ms }) => self.fetch(source, &lock, at_ms, leader).await,
            Ok(Claim::Settled { outcome, wait_ms }) => self.accept(source, cached, outcome, wait_ms),
            Err(error) => self.remember(source, RETRY_WITHOUT_DOCUMENT_MS, Err(error)),
        }
    }

    /// What memory has: other keys than the cached ones, or the outcome of a recent refresh.
    fn remembered<P>(&self, source: &Source<'_, P>, cached: &Fetched<KeySet>, now_ms: u64) -> Option<Newer> {
        let keys = self.documents.usable(source, now_ms);
        if let Some(keys) = keys.filter(|keys| !Rc::ptr_eq(&keys.content, &cached.content)) {
            return Some(Ok(Some(keys.content)));
        }
        let refreshes = self.refreshes.borrow();
        let last = refreshes.get(&source.provider.id).filter(|last| last.url == *source.url)?;
        is_recent(last.at_ms, last.cool_down_ms, now_ms).then(|| last.outcome.clone())
    }

    /// Takes the keys that another isolate fetched.
    fn accept<P: Platform>(
        &self,
        source: &Source<'_, P>,
        cached: &Fetched<KeySet>,
        outcome: Outcome,
        wait_ms: u64,
    ) -> Newer {
        let Outcome::Fetched(sealed) = outcome else {
            let error =
                Unavailable::new(Dependency::IdentityProvider, "could not be asked for newer keys a moment ago");
            return self.remember(source, wait_ms.min(FAILED_MS), Err(error));
        };
        let copy = Sealed::from_text(&sealed).and_then(|sealed| SharedCopy::open(source, &sealed));
        let copy = copy.filter(|copy| copy.is_younger_than(KeySet::USABLE_MS, source.platform.now_ms()));
        // The cached keys may be newer than the copy, or the other isolate's clock may be behind. Then they stay in memory,
        // and only this token is checked with the copy.
        if let Some(copy) = copy.as_ref().filter(|copy| copy.fetched_at_ms > cached.fetched_at_ms) {
            self.documents.remember(source, copy.clone());
        }
        self.remember(source, wait_ms.min(COOL_DOWN_MS), Ok(copy.map(|copy| copy.content)))
    }

    /// Fetches under a granted claim, and leaves the outcome at the coordinator.
    async fn fetch<P: Platform>(
        &self,
        source: &Source<'_, P>,
        lock: &str,
        claimed_at_ms: u64,
        leader: Leader<'_>,
    ) -> Newer {
        let fetched = self.documents.fetch_again(source, leader).await.map(|(fetched, document)| {
            let copy = SharedCopy { fetched_at_ms: fetched.fetched_at_ms, document };
            (copy.seal(source), fetched)
        });
        let (outcome, cool_down_ms) = match &fetched {
            Ok((Some(sealed), _)) => (Outcome::Fetched(sealed.to_text()), COOL_DOWN_MS),
            _ => (Outcome::Failed, FAILED_MS),
        };
        let newer = fetched.as_ref().map(|(_, fetched)| Some(Rc::clone(&fetched.content))).map_err(Clone::clone);
        let newer = self.remember(source, cool_down_ms, newer);
        // If this fails the claim lapses, and another isolate fetches once more.
        drop(ask_coordinator(source, lock, Command::Settle { at_ms: claimed_at_ms, outcome }).await);
        if let Ok((Some(sealed), fetched)) = fetched {
            SharedCopy::write(source, fetched.fetched_at_ms, &sealed).await;
        }
        newer
    }

    fn remember<P: Platform>(&self, source: &Source<'_, P>, cool_down_ms: u64, outcome: Newer) -> Newer {
        let (url, at_ms) = (source.url.clone(), source.platform.now_ms());
        let refresh = EarlyRefresh { url, at_ms, cool_down_ms, outcome: outcome.clone() };
        self.refreshes.borrow_mut().insert(source.provider.id.clone(), refresh);
        outcome
    }
}

/// What the coordinator decided.
enum Claim {
    /// This isolate fetches.
    Granted { at_ms: u64 },
    /// Another isolate has fetched; the next claim is possible in `wait_ms`.
    Settled { outcome: Outcome, wait_ms: u64 },
}

/// Claims the fetch. While another isolate fetches, waits for its outcome or until its claim lapses.
async fn claim<P: Platform>(source: &Source<'_, P>, lock: &str) -> Result<Claim, Unavailable> {
    loop {
        match ask_coordinator(source, lock, Command::Claim).await? {
            Reply::Granted { at_ms } => return Ok(Claim::Granted { at_ms }),
            Reply::Held { outcome: Some(outcome), wait_ms } => return Ok(Claim::Settled { outcome, wait_ms }),
            Reply::Held { outcome: None, .. } | Reply::Settled => source.platform.sleep(POLL_INTERVAL).await,
        }
    }
}

async fn ask_coordinator<P: Platform>(
    source: &Source<'_, P>,
    lock: &str,
    command: Command,
) -> Result<Reply, Unavailable> {
    let work = source.platform.run::<JwksRefreshLockMachine>(lock, command);
    within(source.platform, COORDINATOR_TIMEOUT, Dependency::Coordinator, work).await
}

#[cfg(test)]
mod tests;
