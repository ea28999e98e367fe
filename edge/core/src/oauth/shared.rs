//! The copies of providers' documents that all isolates of a deployment share: sealed, in the key-value store. A new
//! isolate reads a copy instead of fetching. If the store is down, stale or tampered with, the isolate fetches.
//!
//! The seal is bound to the provider and the URL the document was fetched from, so a changed configuration reads no old
//! copy.

use std::{rc::Rc, time::Duration};

use causeway_protocol::signature::KeyRing;
use sha2::{Digest as _, Sha256};

use super::document::{Document, Fetched, Source, usable_for};
use crate::{
    runtime::{
        clock::within,
        dependency::Dependency,
        event_name::EventName,
        platform::Platform,
        telemetry::{Event, Name},
        unavailable::Unavailable,
    },
    seal::{self, Binding, Purpose, length_prefixed},
};

/// How long the store may take. Beyond that, fetching from the provider is as fast.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);

/// Reads and writes the copies, sealed with these keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared<'a>(pub(super) &'a KeyRing);

impl Shared<'_> {
    /// The copy, if there is one that opens and agrees with the configuration. The caller checks its age.
    pub(super) async fn read<D: Document, P: Platform>(&self, source: &Source<'_, P>) -> Option<Fetched<D>> {
        let key = kv_key::<D, P>(source);
        let read = within(source.platform, STORE_TIMEOUT, Dependency::KeyValue, source.platform.get(&key)).await;
        match read {
            Ok(sealed) => self.open(source, &sealed?),
            Err(error) => {
                report(source, &error);
                None
            }
        }
    }

    /// Opens a copy, wherever it was stored.
    pub(super) fn open<D: Document, P>(&self, source: &Source<'_, P>, sealed: &[u8]) -> Option<Fetched<D>> {
        let plain = seal::open(self.0, binding(&context::<D, P>(source)), sealed).ok()?;
        let (fetched_at_ms, document) = plain.split_first_chunk()?;
        let document: D = serde_json::from_slice(document).ok()?;
        let content = document.content(source.provider).ok()?;
        Some(Fetched { fetched_at_ms: u64::from_be_bytes(*fetched_at_ms), content: Rc::new(content) })
    }

    /// Seals a document together with the time it was fetched at. `None` without randomness.
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

    /// Stores a sealed copy. Best effort.
    pub(super) async fn write<D: Document, P: Platform>(
        &self,
        source: &Source<'_, P>,
        fetched_at_ms: u64,
        sealed: &[u8],
    ) {
        let key = kv_key::<D, P>(source);
        let ttl = usable_for::<D>(fetched_at_ms, source.platform.now_ms());
        let put = within(source.platform, STORE_TIMEOUT, Dependency::KeyValue, source.platform.put(&key, sealed, ttl));
        if let Err(error) = put.await {
            report(source, &error);
        }
    }

    /// Deletes the copy. Best effort.
    pub(super) async fn forget<D: Document, P: Platform>(&self, source: &Source<'_, P>) {
        let key = kv_key::<D, P>(source);
        let delete = within(source.platform, STORE_TIMEOUT, Dependency::KeyValue, source.platform.delete(&key));
        if let Err(error) = delete.await {
            report(source, &error);
        }
    }
}

fn kv_key<D: Document, P>(source: &Source<'_, P>) -> String {
    format!("provider:{}", digest::<D, P>(source))
}

/// Identifies a document in stores and at the coordinator: a digest of its kind, provider and URL.
pub(super) fn digest<D: Document, P>(source: &Source<'_, P>) -> String {
    hex::encode(Sha256::digest(length_prefixed(&context::<D, P>(source))))
}

fn context<'a, D: Document, P>(source: &Source<'a, P>) -> [&'a [u8]; 3] {
    [D::KIND.as_bytes(), source.provider.id.as_bytes(), source.url.as_str().as_bytes()]
}

fn binding<'a>(context: &'a [&'a [u8]]) -> Binding<'a> {
    Binding { purpose: Purpose::ProviderDocument, context, secret: b"" }
}

fn report<P: Platform>(source: &Source<'_, P>, error: &Unavailable) {
    Event::warn(EventName::ProviderNotShared)
        .with("provider", Name(&source.provider.id))
        .with("detail", error)
        .write(source.platform);
}
