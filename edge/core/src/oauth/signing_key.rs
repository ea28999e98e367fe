//! The keys a provider signs with: believed for an hour, and asked for out of turn when a token was signed by another.

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use jwt_compact::jwk::JsonWebKey;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::{
    document::{Document, Known, LEADER_LIMIT, PART, RETRY_SOON_MS, Source, is_recent},
    document_cache::Documents,
    jwks_refresh_lock::{COOL_DOWN_MS, Command, FAILED_MS, JwksRefreshLockMachine, LEASE_MS, Outcome, Reply},
    provider::Provider,
    shared::{Shared, name},
};
use crate::runtime::{
    clock::within,
    platform::Platform,
    single_flight::{Joined, Leader},
    unavailable::Unavailable,
};

/// Most keys looked at in a set, and the longest of them: RSA keys of 4096 bits have 700 bytes.
const MAX_KEYS: usize = 64;
const MAX_KEY_BYTES: usize = 2048;
/// What is kept of a key. Certificates, which nobody looks at, would make up most of it.
const FIELDS: [&str; 10] = ["kty", "kid", "use", "alg", "issuer", "n", "e", "crv", "x", "y"];
/// How long a token waits for newer keys: for one who was cut off, and for the next one.
const MAX_WAIT: Duration = Duration::from_millis(2 * LEASE_MS);
/// How often somebody else's fetch is asked about, and how long the coordinator may take to answer.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
const COORDINATOR_TIMEOUT: Duration = Duration::from_secs(2);

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

/// A key set (RFC 7517 §5).
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeySet {
    #[serde(deserialize_with = "plain_keys")]
    keys: Vec<Map<String, Value>>,
}

/// Keys of a reasonable size, without what nobody looks at.
fn plain_keys<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Map<String, Value>>, D::Error> {
    let keys = Vec::<Value>::deserialize(deserializer)?.into_iter().take(MAX_KEYS);
    let keys = keys.filter_map(|key| match key {
        Value::Object(key) => Some(key.into_iter().filter(|(name, _)| FIELDS.contains(&name.as_str())).collect()),
        _ => None,
    });
    Ok(keys.filter(|key| Value::Object(Map::clone(key)).to_string().len() <= MAX_KEY_BYTES).collect())
}

impl Document for KeySet {
    const KIND: &'static str = "keys";
    const FRESH_MS: u64 = 50 * 60 * 1000;
    /// A key that was withdrawn verifies no longer than that (S52).
    const USABLE_MS: u64 = 60 * 60 * 1000;
    type Meaning = Vec<SigningKey>;

    fn meaning(&self, _provider: &Provider) -> Result<Vec<SigningKey>, Unavailable> {
        // A key of a type this build does not know must not hide the ones it does.
        let keys = self.keys.iter().filter_map(|key| serde_json::from_value(Value::Object(key.clone())).ok());
        Ok(keys.collect())
    }
}

/// What an isolate knows of keys, by provider.
#[derive(Debug, Default)]
pub(super) struct KeyCache {
    pub(super) documents: Documents<KeySet>,
    asked: RefCell<HashMap<String, Asked>>,
}

/// That keys were asked for out of leader, and need not be again for some time.
#[derive(Debug, Clone)]
struct Asked {
    url: Url,
    at_ms: u64,
    span_ms: u64,
    found: Newer,
}

/// Other keys than those at hand; `None` if nobody may fetch any now.
type Newer = Result<Option<Rc<Vec<SigningKey>>>, Unavailable>;

impl KeyCache {
    /// Keys fetched out of leader, here or elsewhere.
    pub(super) async fn newer<P: Platform>(&self, source: &Source<'_, P>, at_hand: &Known<KeySet>) -> Newer {
        within(source.platform, MAX_WAIT, PART, self.ask_or_fetch(source, at_hand)).await
    }

    async fn ask_or_fetch<P: Platform>(&self, source: &Source<'_, P>, at_hand: &Known<KeySet>) -> Newer {
        let Source { platform, provider, .. } = source;
        let look = |now_ms| {
            let known = self.documents.known(source, now_ms);
            if let Some(known) = known.filter(|known| !Rc::ptr_eq(&known.meaning, &at_hand.meaning)) {
                return Some(Ok(Some(known.meaning)));
            }
            let asked = self.asked.borrow().get(&provider.id).filter(|asked| asked.url == *source.url).cloned()?;
            is_recent(asked.at_ms, asked.span_ms, now_ms).then_some(asked.found)
        };
        let leader = match self.documents.single_flight.join(*platform, PART, &provider.id, LEADER_LIMIT, look).await? {
            Joined::Follower(found) => return found,
            Joined::Leader(leader) => leader,
        };
        let machine = name::<KeySet, P>("", source);
        let (outcome, wait_ms) = loop {
            match ask(source, &machine, Command::Claim).await {
                Ok(Reply::Yours { at_ms }) => return self.fetch(source, &machine, at_ms, leader).await,
                Ok(Reply::Theirs { outcome: Some(outcome), wait_ms }) => break (outcome, wait_ms),
                // Whoever fetches answers, or is cut off at last and the claim somebody else's.
                Ok(_) => platform.sleep(LOOK_AGAIN).await,
                Err(error) => return self.note(source, RETRY_SOON_MS, Err(error)),
            }
        };
        let Outcome::Fetched(sealed) = outcome else {
            let error = Unavailable::new(PART, "could not be asked for newer keys a moment ago");
            return self.note(source, wait_ms.min(FAILED_MS), Err(error));
        };
        let theirs =
            BASE64.decode(sealed).ok().and_then(|sealed| Shared(source.ring).open::<KeySet, P>(source, &sealed));
        let theirs = theirs.filter(|theirs| theirs.is_younger_than(KeySet::USABLE_MS, platform.now_ms()));
        // Ours may be the newer ones, or their clock behind ours: then both are looked at.
        if let Some(theirs) = theirs.as_ref().filter(|theirs| theirs.fetched_at_ms > at_hand.fetched_at_ms) {
            self.documents.remember(source, theirs.clone());
        }
        self.note(source, wait_ms.min(COOL_DOWN_MS), Ok(theirs.map(|theirs| theirs.meaning)))
    }

    /// Fetches as whom the coordinator let, and leaves there what came of it.
    async fn fetch<P: Platform>(
        &self,
        source: &Source<'_, P>,
        machine: &str,
        claimed_at_ms: u64,
        leader: Leader<'_>,
    ) -> Newer {
        let fetched = self.documents.refetch(source, leader).await;
        let fetched =
            fetched.map(|(known, keys)| (Shared(source.ring).seal(source, known.fetched_at_ms, &keys), known));
        let (outcome, span_ms) = match &fetched {
            Ok((Some(sealed), _)) => (Outcome::Fetched(BASE64.encode(sealed)), COOL_DOWN_MS),
            _ => (Outcome::Failed, FAILED_MS),
        };
        let found = self.note(
            source,
            span_ms,
            fetched.as_ref().map(|(_, known)| Some(Rc::clone(&known.meaning))).map_err(Clone::clone),
        );
        // Unsettled, the claim lapses: somebody fetches once more.
        drop(ask(source, machine, Command::Settle { at_ms: claimed_at_ms, outcome }).await);
        if let Ok((Some(sealed), known)) = fetched {
            Shared(source.ring).write::<KeySet, P>(source, known.fetched_at_ms, &sealed).await;
        }
        found
    }

    /// Remembers what came of asking.
    fn note<P: Platform>(&self, source: &Source<'_, P>, span_ms: u64, found: Newer) -> Newer {
        let (url, at_ms) = (source.url.clone(), source.platform.now_ms());
        let asked = Asked { url, at_ms, span_ms, found: found.clone() };
        self.asked.borrow_mut().insert(source.provider.id.clone(), asked);
        found
    }
}

async fn ask<P: Platform>(source: &Source<'_, P>, machine: &str, command: Command) -> Result<Reply, Unavailable> {
    let work = source.platform.run::<JwksRefreshLockMachine>(machine, command);
    within(source.platform, COORDINATOR_TIMEOUT, "coordinator", work).await
}

#[cfg(test)]
mod tests;
