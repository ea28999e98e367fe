//! Providers' documents in an isolate's memory: fetched once for all who wait, shared between isolates.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use http::{Method, header};
use serde::de::DeserializeOwned;
use url::Url;

use super::{
    document::{
        Document, Known, LEADER_LIMIT, MAX_DOCUMENT_BYTES, PART, RETRY_AFTER_MS, RETRY_SOON_MS, Source, TIMEOUT,
        is_recent,
    },
    shared::Shared,
};
use crate::{
    http::{body::ReadBody as _, web::Outgoing},
    runtime::{
        clock::within,
        platform::Platform,
        single_flight::{Joined, Leader, SingleFlight},
        telemetry::{Event, Name},
        unavailable::Unavailable,
    },
};

/// What an isolate knows of one kind of documents, by provider.
pub(super) struct Documents<D: Document> {
    entries: RefCell<HashMap<String, Entry<D>>>,
    pub(super) single_flight: SingleFlight,
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
        Self { entries: RefCell::default(), single_flight: SingleFlight::default() }
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
        let leader = match self.single_flight.join(*platform, PART, &provider.id, LEADER_LIMIT, look).await? {
            Joined::Follower(found) => return found,
            Joined::Leader(leader) => leader,
        };
        let now_ms = platform.now_ms();
        if let Some(copy) = Shared(source.ring).read::<D, P>(source).await
            && copy.is_younger_than(D::USABLE_MS, now_ms)
            && self.known(source, now_ms).is_none_or(|known| known.fetched_at_ms < copy.fetched_at_ms)
        {
            self.remember(source, copy);
        }
        match self.known(source, now_ms) {
            Some(known) if known.is_younger_than(D::FRESH_MS, now_ms) => Ok(known),
            usable => match self.fetch(source, leader).await {
                Ok((known, document)) => {
                    if let Some(sealed) = Shared(source.ring).seal(source, known.fetched_at_ms, &document) {
                        Shared(source.ring).write::<D, P>(source, known.fetched_at_ms, &sealed).await;
                    }
                    Ok(known)
                }
                Err(Failure::Missing(error)) => usable.ok_or(error),
                Err(Failure::Refused(error)) => {
                    Shared(source.ring).forget::<D, P>(source).await;
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
        leader: Leader<'_>,
    ) -> Result<(Known<D>, D), Unavailable> {
        self.fetch(source, leader).await.map_err(|failure| match failure {
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
                (rests || self.single_flight.is_under_way(&source.provider.id, now_ms)).then_some(Ok(known))
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
    async fn fetch<P: Platform>(&self, source: &Source<'_, P>, _leader: Leader<'_>) -> Result<(Known<D>, D), Failure> {
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

#[cfg(test)]
mod tests;
