//! Providers' documents in an isolate's memory: fetched once for all requests that wait, and shared between isolates.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use http::{Method, StatusCode, header};
use url::Url;

use super::{
    document::{
        Document, FETCH_TIMEOUT, Fetched, LEADER_LIMIT, MAX_DOCUMENT_BYTES, RETRY_AFTER_MS, RETRY_WITHOUT_DOCUMENT_MS,
        Source, is_recent,
    },
    fetch_json::{Expected, FetchError, fetch_json},
    shared::SharedCopy,
};
use crate::{
    http::web::Outgoing,
    runtime::{
        dependency::Dependency,
        event_name::EventName,
        platform::Platform,
        single_flight::{Joined, Leader, SingleFlight},
        telemetry::{Event, Name},
        unavailable::Unavailable,
    },
};

const EXPECTED: Expected = Expected {
    from: Dependency::IdentityProvider,
    is_status: StatusCode::is_success,
    max_bytes: MAX_DOCUMENT_BYTES,
    malformed: "metadata is not what it must be",
};

/// The documents of one kind that an isolate has, by provider.
pub(super) struct Documents<D: Document> {
    entries: RefCell<HashMap<String, Entry<D>>>,
    pub(super) single_flight: SingleFlight,
}

struct Entry<D: Document> {
    url: Url,
    document: Option<Fetched<D>>,
    /// When the last fetch failed, in Unix milliseconds, and why. A success clears it.
    failure: Option<(u64, Unavailable)>,
}

/// Why a fetch gave no document.
enum Failure {
    /// None was received; an older one stays usable.
    Missing(Unavailable),
    /// The one received contradicts the configuration; older ones must not be used either.
    Rejected(Unavailable),
}

impl<D: Document> Default for Documents<D> {
    fn default() -> Self {
        Self { entries: RefCell::default(), single_flight: SingleFlight::default() }
    }
}

impl<D: Document> std::fmt::Debug for Documents<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct(D::KIND).field("entries", &self.entries.borrow().len()).finish_non_exhaustive()
    }
}

impl<D: Document> Documents<D> {
    /// The document, from memory, from the shared copy or from the provider.
    ///
    /// # Errors
    /// [`Unavailable`] if it cannot be fetched, a fetch has just failed, or it contradicts the configuration.
    pub(super) async fn get<P: Platform>(&self, source: &Source<'_, P>) -> Result<Fetched<D>, Unavailable> {
        let Source { platform, provider, .. } = source;
        let from_memory = |now_ms| self.document_or_failure(source, now_ms);
        let joined = self
            .single_flight
            .join(*platform, Dependency::IdentityProvider, &provider.id, LEADER_LIMIT, from_memory)
            .await?;
        let leader = match joined {
            Joined::Follower(found) => return found,
            Joined::Leader(leader) => leader,
        };
        let now_ms = platform.now_ms();
        self.take_shared_copy(source, now_ms).await;
        match self.usable(source, now_ms) {
            Some(document) if document.is_younger_than(D::FRESH_MS, now_ms) => Ok(document),
            older => self.fetch_and_share(source, older, leader).await,
        }
    }

    /// Fetches the document even if a fresh one is in memory. The caller shares it.
    ///
    /// # Errors
    /// [`Unavailable`] if no usable document is received.
    pub(super) async fn fetch_again<P: Platform>(
        &self,
        source: &Source<'_, P>,
        leader: Leader<'_>,
    ) -> Result<(Fetched<D>, D), Unavailable> {
        self.fetch(source, leader).await.map_err(|failure| match failure {
            Failure::Missing(error) | Failure::Rejected(error) => error,
        })
    }

    /// The document in memory if it is usable.
    pub(super) fn usable<P>(&self, source: &Source<'_, P>, now_ms: u64) -> Option<Fetched<D>> {
        let entries = self.entries.borrow();
        let entry = entries.get(&source.provider.id).filter(|entry| entry.url == *source.url)?;
        entry.document.clone().filter(|document| document.is_younger_than(D::USABLE_MS, now_ms))
    }

    /// Keeps a document in memory.
    pub(super) fn remember<P>(&self, source: &Source<'_, P>, document: Fetched<D>) {
        let entry = Entry { url: source.url.clone(), document: Some(document), failure: None };
        self.entries.borrow_mut().insert(source.provider.id.clone(), entry);
    }

    /// What memory has for a request that should not fetch: a document, or a recent failure.
    fn document_or_failure<P>(&self, source: &Source<'_, P>, now_ms: u64) -> Option<Result<Fetched<D>, Unavailable>> {
        let document = self.usable(source, now_ms);
        if document.as_ref().is_some_and(|document| document.is_younger_than(D::FRESH_MS, now_ms)) {
            return document.map(Ok);
        }
        let failure = self.failure(source);
        let failed_within =
            |span_ms| failure.as_ref().filter(|(failed_at_ms, _)| is_recent(*failed_at_ms, span_ms, now_ms));
        match document {
            // A usable document serves while a newer one is fetched.
            Some(document) => (failed_within(RETRY_AFTER_MS).is_some()
                || self.single_flight.is_under_way(&source.provider.id, now_ms))
            .then_some(Ok(document)),
            None => failed_within(RETRY_WITHOUT_DOCUMENT_MS).map(|(_, error)| Err(error.clone())),
        }
    }

    fn failure<P>(&self, source: &Source<'_, P>) -> Option<(u64, Unavailable)> {
        let entries = self.entries.borrow();
        entries.get(&source.provider.id).filter(|entry| entry.url == *source.url)?.failure.clone()
    }

    /// Takes the shared copy into memory if it is usable and newer than what is there.
    async fn take_shared_copy<P: Platform>(&self, source: &Source<'_, P>, now_ms: u64) {
        let Some(copy) = SharedCopy::<D>::read(source).await else { return };
        let is_newer = self.usable(source, now_ms).is_none_or(|known| known.fetched_at_ms < copy.fetched_at_ms);
        if copy.is_younger_than(D::USABLE_MS, now_ms) && is_newer {
            self.remember(source, copy);
        }
    }

    /// Fetches the document and shares it. If the provider cannot be reached, an older one serves.
    async fn fetch_and_share<P: Platform>(
        &self,
        source: &Source<'_, P>,
        older: Option<Fetched<D>>,
        leader: Leader<'_>,
    ) -> Result<Fetched<D>, Unavailable> {
        match self.fetch(source, leader).await {
            Ok((fetched, document)) => {
                let fetched_at_ms = fetched.fetched_at_ms;
                if let Some(sealed) = (SharedCopy { fetched_at_ms, document }).seal(source) {
                    SharedCopy::write(source, fetched_at_ms, &sealed).await;
                }
                Ok(fetched)
            }
            Err(Failure::Missing(error)) => older.ok_or(error),
            Err(Failure::Rejected(error)) => {
                SharedCopy::<D>::delete(source).await;
                Err(error)
            }
        }
    }

    /// Fetches the document and remembers the outcome. Followers find it in memory as soon as the leader is dropped, which
    /// is when this returns.
    async fn fetch<P: Platform>(
        &self,
        source: &Source<'_, P>,
        _leader: Leader<'_>,
    ) -> Result<(Fetched<D>, D), Failure> {
        let fetched_at_ms = source.platform.now_ms();
        let result = fetch_document::<D, P>(source).await.and_then(|document| {
            let content = document.content(source.provider).map_err(Failure::Rejected)?;
            Ok((Fetched { fetched_at_ms, content: Rc::new(content) }, document))
        });
        match &result {
            Ok((fetched, _)) => self.remember(source, fetched.clone()),
            Err(failure) => self.remember_failure(source, failure),
        }
        result
    }

    fn remember_failure<P: Platform>(&self, source: &Source<'_, P>, failure: &Failure) {
        let Source { platform, provider, url, .. } = source;
        let now_ms = platform.now_ms();
        let (document, error) = match failure {
            Failure::Missing(error) => (self.usable(source, now_ms), error),
            Failure::Rejected(error) => (None, error),
        };
        Event::warn(EventName::ProviderDocument)
            .with("provider", Name(&provider.id))
            .with("kind", D::KIND)
            .with("detail", error)
            .write(*platform);
        let entry = Entry { url: (*url).clone(), document, failure: Some((now_ms, error.clone())) };
        self.entries.borrow_mut().insert(provider.id.clone(), entry);
    }
}

async fn fetch_document<D: Document, P: Platform>(source: &Source<'_, P>) -> Result<D, Failure> {
    let request =
        Outgoing::new(Method::GET, source.url.clone(), FETCH_TIMEOUT).with(header::ACCEPT, "application/json");
    fetch_json(source.platform, request, FETCH_TIMEOUT, &EXPECTED).await.map_err(|error| {
        Failure::Missing(match error {
            FetchError::Status(status, _) => {
                Unavailable::new(Dependency::IdentityProvider, format_args!("metadata answered {status}"))
            }
            FetchError::Unavailable(error) => error,
        })
    })
}

#[cfg(test)]
mod tests;
