//! Providers' documents where all isolates of a deployment find them: sealed, in the key-value store. A copy costs an
//! isolate that begins nothing but a look; a store that is down, stale or tampered with costs it a fetch.
//!
//! The seal says whose document it is and where it was fetched: what was configured otherwise reads nothing of it.

use std::{rc::Rc, time::Duration};

use causeway_protocol::signature::KeyRing;
use sha2::{Digest as _, Sha256};

use super::document::{Document, Known, Source, life};
use crate::{
    runtime::{
        clock::within,
        platform::Platform,
        telemetry::{Event, Name},
        unavailable::Unavailable,
    },
    seal::{self, Binding, Purpose, length_prefixed},
};

/// How long the store may take; the provider is as near.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);

/// The keys that seal what is shared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared<'a>(pub(super) &'a KeyRing);

impl Shared<'_> {
    /// The copy, if there is one that opens and agrees with the configuration. How old it is, is for the caller to see.
    pub(super) async fn read<D: Document, P: Platform>(&self, source: &Source<'_, P>) -> Option<Known<D>> {
        let key = name::<D, P>("provider:", source);
        let read = within(source.platform, STORE_TIMEOUT, "kv", source.platform.get(&key)).await;
        match read {
            Ok(sealed) => self.open(source, &sealed?),
            Err(error) => {
                report(source, &error);
                None
            }
        }
    }

    /// Opens a copy from wherever it was kept.
    pub(super) fn open<D: Document, P>(&self, source: &Source<'_, P>, sealed: &[u8]) -> Option<Known<D>> {
        let plain = seal::open(self.0, binding(&context::<D, P>(source)), sealed).ok()?;
        let (fetched_at_ms, document) = plain.split_first_chunk()?;
        let document: D = serde_json::from_slice(document).ok()?;
        let meaning = document.meaning(source.provider).ok()?;
        Some(Known { fetched_at_ms: u64::from_be_bytes(*fetched_at_ms), meaning: Rc::new(meaning) })
    }

    /// Seals a document with the time it was fetched at. `None` without randomness.
    pub(super) fn seal<D: Document, P: Platform>(
        &self,
        source: &Source<'_, P>,
        fetched_at_ms: u64,
        document: &D,
    ) -> Option<Vec<u8>> {
        let mut plain = fetched_at_ms.to_be_bytes().to_vec();
        serde_json::to_writer(&mut plain, document).ok()?;
        seal::seal(self.0, source.platform, binding(&context::<D, P>(source)), &plain).ok()
    }

    /// Leaves a sealed copy for the others, best effort.
    pub(super) async fn write<D: Document, P: Platform>(
        &self,
        source: &Source<'_, P>,
        fetched_at_ms: u64,
        sealed: &[u8],
    ) {
        let key = name::<D, P>("provider:", source);
        let ttl = life::<D>(fetched_at_ms, source.platform.now_ms());
        let put = within(source.platform, STORE_TIMEOUT, "kv", source.platform.put(&key, sealed, ttl));
        if let Err(error) = put.await {
            report(source, &error);
        }
    }

    /// Takes the copy away, best effort.
    pub(super) async fn forget<D: Document, P: Platform>(&self, source: &Source<'_, P>) {
        let key = name::<D, P>("provider:", source);
        let delete = within(source.platform, STORE_TIMEOUT, "kv", source.platform.delete(&key));
        if let Err(error) = delete.await {
            report(source, &error);
        }
    }
}

/// What is of one document, for stores.
pub(super) fn name<D: Document, P>(prefix: &str, source: &Source<'_, P>) -> String {
    let digest = Sha256::digest(length_prefixed(&context::<D, P>(source)));
    format!("{prefix}{}", hex::encode(digest))
}

fn context<'a, D: Document, P>(source: &Source<'a, P>) -> [&'a [u8]; 3] {
    [D::KIND.as_bytes(), source.provider.id.as_bytes(), source.url.as_str().as_bytes()]
}

fn binding<'a>(context: &'a [&'a [u8]]) -> Binding<'a> {
    Binding { purpose: Purpose::ProviderDocument, context, secret: b"" }
}

fn report<P: Platform>(source: &Source<'_, P>, error: &Unavailable) {
    Event::warn("provider.not-shared")
        .with("provider", Name(&source.provider.id))
        .with("detail", error)
        .write(source.platform);
}
