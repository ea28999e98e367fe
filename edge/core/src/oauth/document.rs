//! What a provider publishes for everybody (its metadata, its keys), as an isolate has it: from memory, from the copy
//! that isolates share, or from the provider, in this order. One request of an isolate fetches for all of them, and a
//! failure is remembered as well, so that an outage costs the provider no more requests than a good day.

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

use http::{Method, header};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use super::{provider::Provider, shared::Shared};
use crate::{
    flight::{Flights, Turn, Waited},
    platform::{Platform, ReadBody as _, Unavailable, within},
    telemetry::{Event, Name},
    web::Outgoing,
};

/// Its name in errors.
pub(super) const PART: &str = "identity provider";
/// How soon after a failure the provider is asked again, in milliseconds: while there is something to go on with, and
/// while there is nothing.
pub(super) const RETRY_AFTER_MS: u64 = 30 * 1000;
pub(super) const RETRY_SOON_MS: u64 = 5 * 1000;
/// How far in the future a time may be that another isolate's clock, or our own before it was set back, has written.
const SKEW_MS: u64 = 3 * 60 * 1000;
/// Largest document taken, in bytes. Entra's key set is about 20 KB.
const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long one request may have the turn: to look for a copy, and to fetch.
pub(super) const TURN: Duration = Duration::from_secs(12);

/// A kind of document, as it is stored: no more of it than is used.
pub(super) trait Document: Serialize + DeserializeOwned + 'static {
    /// Names the kind.
    const KIND: &'static str;
    /// How long it is believed without asking for a newer one, in milliseconds.
    const FRESH_MS: u64;
    /// How long it is believed while no newer one can be had, in milliseconds.
    const USABLE_MS: u64;
    /// What it says.
    type Meaning;

    /// Reads it.
    ///
    /// # Errors
    /// [`Unavailable`] if it contradicts the configuration.
    fn meaning(&self, provider: &Provider) -> Result<Self::Meaning, Unavailable>;
}

/// What a document is fetched with.
pub(super) struct Source<'a, P> {
    pub(super) platform: &'a P,
    pub(super) shared: Shared<'a>,
    pub(super) provider: &'a Provider,
    pub(super) url: &'a Url,
}

/// A document that was fetched.
pub(super) struct Known<D: Document> {
    /// When it was asked for, in Unix milliseconds. Its age counts from there, wherever it came from.
    pub(super) fetched_at_ms: u64,
    pub(super) meaning: Rc<D::Meaning>,
}

impl<D: Document> Clone for Known<D> {
    fn clone(&self) -> Self {
        Self { fetched_at_ms: self.fetched_at_ms, meaning: Rc::clone(&self.meaning) }
    }
}

impl<D: Document> Known<D> {
    pub(super) fn is_younger_than(&self, limit_ms: u64, now_ms: u64) -> bool {
        self.fetched_at_ms <= now_ms.saturating_add(SKEW_MS) && now_ms.saturating_sub(self.fetched_at_ms) < limit_ms
    }
}

/// Whether something happened in the last `span_ms`.
pub(super) fn is_recent(at_ms: u64, span_ms: u64, now_ms: u64) -> bool {
    now_ms.checked_sub(at_ms).is_some_and(|age_ms| age_ms < span_ms)
}

/// What an isolate knows of one kind of documents, by provider.
pub(super) struct Documents<D: Document> {
    entries: RefCell<HashMap<String, Entry<D>>>,
    pub(super) flights: Flights,
}

struct Entry<D: Document> {
    url: Url,
    known: Option<Known<D>>,
    failed: Option<(u64, Unavailable)>,
}

/// Why a fetch brought nothing.
enum Failure {
    /// There was no document.
    Missing(Unavailable),
    /// There was one that must not be used, nor must any that was before it.
    Refused(Unavailable),
}

impl<D: Document> Default for Documents<D> {
    fn default() -> Self {
        Self { entries: RefCell::default(), flights: Flights::default() }
    }
}

impl<D: Document> std::fmt::Debug for Documents<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct(D::KIND).field("known", &self.entries.borrow().len()).finish_non_exhaustive()
    }
}

impl<D: Document> Documents<D> {
    /// The document.
    ///
    /// # Errors
    /// [`Unavailable`] if it cannot be had, could not a moment ago, or contradicts the configuration.
    pub(super) async fn get<P: Platform>(&self, source: &Source<'_, P>) -> Result<Known<D>, Unavailable> {
        let Source { platform, provider, .. } = source;
        let look = |now_ms| self.look(source, now_ms);
        let turn = match self.flights.turn_or(*platform, PART, &provider.id, TURN, look).await? {
            Waited::Found(found) => return found,
            Waited::Turn(turn) => turn,
        };
        let now_ms = platform.now_ms();
        if let Some(copy) = source.shared.read::<D, P>(source).await
            && copy.is_younger_than(D::USABLE_MS, now_ms)
            && self.known(source, now_ms).is_none_or(|known| known.fetched_at_ms < copy.fetched_at_ms)
        {
            self.remember(source, copy);
        }
        match self.known(source, now_ms) {
            Some(known) if known.is_younger_than(D::FRESH_MS, now_ms) => Ok(known),
            usable => match self.fetch(source, turn).await {
                Ok((known, document)) => {
                    if let Some(sealed) = source.shared.seal(source, known.fetched_at_ms, &document) {
                        source.shared.write::<D, P>(source, known.fetched_at_ms, &sealed).await;
                    }
                    Ok(known)
                }
                Err(Failure::Missing(error)) => usable.ok_or(error),
                Err(Failure::Refused(error)) => {
                    source.shared.forget::<D, P>(source).await;
                    Err(error)
                }
            },
        }
    }

    /// Fetches it, whatever is known already, for all that wait for whoever has the turn. To be shared by the caller.
    ///
    /// # Errors
    /// [`Unavailable`] if there is none that may be used.
    pub(super) async fn refetch<P: Platform>(
        &self,
        source: &Source<'_, P>,
        turn: Turn<'_>,
    ) -> Result<(Known<D>, D), Unavailable> {
        self.fetch(source, turn).await.map_err(|failure| match failure {
            Failure::Missing(error) | Failure::Refused(error) => error,
        })
    }

    /// What memory says: a document to go on with, or a failure that was a moment ago.
    fn look<P>(&self, source: &Source<'_, P>, now_ms: u64) -> Option<Result<Known<D>, Unavailable>> {
        let known = self.known(source, now_ms);
        if known.as_ref().is_some_and(|known| known.is_younger_than(D::FRESH_MS, now_ms)) {
            return known.map(Ok);
        }
        let entries = self.entries.borrow();
        let failed = entries.get(&source.provider.id).filter(|it| it.url == *source.url)?.failed.as_ref();
        match known {
            Some(known) => {
                let rests = failed.is_some_and(|(at_ms, _)| is_recent(*at_ms, RETRY_AFTER_MS, now_ms));
                // What is still usable is not waited for.
                (rests || self.flights.is_under_way(&source.provider.id, now_ms)).then_some(Ok(known))
            }
            None => failed.filter(|(at_ms, _)| is_recent(*at_ms, RETRY_SOON_MS, now_ms)).map(|(_, e)| Err(e.clone())),
        }
    }

    /// The document in memory, if it may be used at all.
    pub(super) fn known<P>(&self, source: &Source<'_, P>, now_ms: u64) -> Option<Known<D>> {
        let entries = self.entries.borrow();
        let entry = entries.get(&source.provider.id).filter(|entry| entry.url == *source.url)?;
        entry.known.clone().filter(|known| known.is_younger_than(D::USABLE_MS, now_ms))
    }

    /// Keeps a document in memory; a success ends what a failure began.
    pub(super) fn remember<P>(&self, source: &Source<'_, P>, known: Known<D>) {
        let entry = Entry { url: source.url.clone(), known: Some(known), failed: None };
        self.entries.borrow_mut().insert(source.provider.id.clone(), entry);
    }

    /// With the turn ends the waiting of the others, who then find in memory what came of it.
    async fn fetch<P: Platform>(&self, source: &Source<'_, P>, _turn: Turn<'_>) -> Result<(Known<D>, D), Failure> {
        let Source { platform, provider, url, .. } = source;
        let fetched_at_ms = platform.now_ms();
        let document = fetch::<D>(*platform, url).await.map_err(Failure::Missing);
        let read = document.and_then(|document| match document.meaning(provider) {
            Ok(meaning) => Ok((Known { fetched_at_ms, meaning: Rc::new(meaning) }, document)),
            Err(error) => Err(Failure::Refused(error)),
        });
        match read {
            Ok((known, document)) => {
                self.remember(source, known.clone());
                Ok((known, document))
            }
            Err(failure) => {
                let now_ms = platform.now_ms();
                let (known, error) = match &failure {
                    Failure::Missing(error) => (self.known(source, now_ms), error),
                    Failure::Refused(error) => (None, error),
                };
                Event::warn("provider.document")
                    .with("provider", Name(&provider.id))
                    .with("kind", D::KIND)
                    .with("detail", error)
                    .write(*platform);
                let entry = Entry { url: (*url).clone(), known, failed: Some((now_ms, error.clone())) };
                self.entries.borrow_mut().insert(provider.id.clone(), entry);
                Err(failure)
            }
        }
    }
}

/// Fetches a JSON document.
async fn fetch<T: DeserializeOwned>(platform: &impl Platform, url: &Url) -> Result<T, Unavailable> {
    let request = Outgoing::new(Method::GET, url.clone(), TIMEOUT).with(header::ACCEPT, "application/json");
    let work = async {
        let response = platform.send(request).await?;
        if !response.status.is_success() {
            return Err(Unavailable::new(PART, format_args!("metadata answered {}", response.status)));
        }
        response.body.read(MAX_DOCUMENT_BYTES).await.map_err(|e| Unavailable::new(PART, e))
    };
    // As a whole: a body that drips would hold up everybody who waits for it.
    let body = within(platform, TIMEOUT, PART, work).await?;
    // The error would quote what was answered.
    serde_json::from_slice(&body).map_err(|_| Unavailable::new(PART, "metadata is not what it must be"))
}

/// How long from now a document may be used, for stores.
pub(super) fn life<D: Document>(fetched_at_ms: u64, now_ms: u64) -> Duration {
    Duration::from_millis(D::USABLE_MS.saturating_sub(now_ms.saturating_sub(fetched_at_ms)))
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
