//! Ending sessions: one, or all of an index. Every way out leads through [`Sessions::end`] or, for who may be too late,
//! [`Sessions::end_with_lease`].

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_protocol::{hub::EndReason, session::SessionHandle, subject::Subject};
use futures_util::{
    future::{join_all, ready},
    join,
    stream::{self, StreamExt as _, TryStreamExt as _},
};

use super::{
    id::SessionId,
    index::{self, Entry, IndexName, IssuedAt},
    record::SessionRecord,
    state::{Command, LastRecord, Reply},
    store::{STORE_TIMEOUT, Sessions, key},
};
use crate::{
    error::Error,
    runtime::{
        clock::{MAX_SKEW_MS, within},
        platform::Platform,
        telemetry::Event,
        unavailable::Unavailable,
    },
};

/// How many sessions are asked about or ended at once.
const PARALLEL: usize = 6;
/// For how many sessions one that begins makes room, at most: itself, and those whose makers died or that nobody took.
pub(super) const MAX_ROOM_MADE: usize = 10;
/// How long a session may take to begin, or to be taken by the page that it is for, in milliseconds, by clocks that may be
/// wrong: it is in its indexes before that.
const BEGINNING_MS: u64 = MAX_SKEW_MS + 90 * 1000;

impl<P: Platform> Sessions<'_, P> {
    /// The sessions in an index that are alive. What is over is ended for good on the way, so that it is out of the way.
    ///
    /// # Errors
    /// The coordinator did not answer.
    pub async fn list_alive(&self, name: &IndexName) -> Result<Vec<Entry>, Error> {
        let entries = self.list(name).await?;
        let looked: Vec<Result<bool, Error>> = stream::iter(&entries)
            .map(|entry| async {
                Ok(matches!(self.coordinate(&entry.session, Command::Peek).await?, Reply::Active { .. }))
            })
            .buffered(PARALLEL)
            .collect()
            .await;
        let (mut alive, mut over) = (Vec::new(), Vec::new());
        for (entry, is_alive) in entries.into_iter().zip(looked) {
            match is_alive? {
                true => alive.push(entry),
                false => over.push(entry),
            }
        }
        // One that is in the index and unknown to its coordinator may be about to begin.
        let now_ms = self.platform.now_ms();
        over.retain(|entry| now_ms.saturating_sub(entry.created_at_ms) > BEGINNING_MS);
        if let Err(error) = self.end_entries(name, &over, EndReason::Expired).await {
            Event::warn("session.tidy").with("detail", &error).write(self.platform);
        }
        Ok(alive)
    }

    /// Takes some of what is over out of an index that is full. Sessions that nobody took, or that lie idle, are in it for
    /// as long as they could have lived.
    ///
    /// # Errors
    /// The coordinator did not answer.
    pub(super) async fn make_room(&self, name: &IndexName) -> Result<(), Error> {
        let now_ms = self.platform.now_ms();
        let mut entries = self.list(name).await?;
        entries.retain(|entry| now_ms.saturating_sub(entry.created_at_ms) > BEGINNING_MS);
        let over: Vec<Entry> = stream::iter(entries)
            .map(|entry| async move {
                let looked = self.coordinate(&entry.session, Command::Peek).await?;
                Ok::<_, Unavailable>((!matches!(looked, Reply::Active { .. })).then_some(entry))
            })
            .buffered(PARALLEL)
            .try_filter_map(|over| ready(Ok(over)))
            .take(MAX_ROOM_MADE)
            .try_collect()
            .await?;
        self.end_entries(name, &over, EndReason::Expired).await
    }

    /// The sessions in an index, as far as the index knows.
    ///
    /// # Errors
    /// The coordinator did not answer.
    pub async fn list(&self, name: &IndexName) -> Result<Vec<Entry>, Error> {
        match self.ask_index(name, index::Command::List).await? {
            index::Reply::Entries(entries) => Ok(entries),
            _ => Err(Unavailable::new("session index", "answered something else").into()),
        }
    }

    /// Ends every session in an index, and every sign-in of it that the provider vouched for up to `before` and that is
    /// not yet complete. Tells how many there were.
    ///
    /// # Errors
    /// Something did not answer: do it again, it is safe to.
    pub async fn end_all(&self, name: &IndexName, before: IssuedAt, reason: EndReason) -> Result<usize, Error> {
        let index::Reply::Entries(entries) = self.ask_index(name, index::Command::End { before }).await? else {
            return Err(Unavailable::new("session index", "answered something else").into());
        };
        self.end_entries(name, &entries, reason).await?;
        Ok(entries.len())
    }

    /// Ends some sessions of an index. One that cannot be ended keeps none of the others alive.
    ///
    /// # Errors
    /// Something did not answer: do it again, it is safe to.
    pub async fn end_entries(&self, name: &IndexName, entries: &[Entry], reason: EndReason) -> Result<(), Error> {
        let ended: Vec<Result<(), Error>> = stream::iter(entries)
            .map(|entry| async {
                self.end(&entry.session, reason).await?;
                // A session that never began is in no index of its own record; this one is known to hold it.
                self.ask_index(name, index::Command::remove(&entry.session)).await?;
                Ok(())
            })
            .buffer_unordered(PARALLEL)
            .collect()
            .await;
        ended.into_iter().collect()
    }

    /// Ends a session for good, and its open streams with it.
    ///
    /// # Errors
    /// The coordinator or the hub did not answer: the session or a stream may still live, and the caller must say so.
    /// Ending it again is safe.
    pub async fn end(&self, handle: &SessionHandle, reason: EndReason) -> Result<(), Error> {
        self.end_and_take(handle, reason).await.1
    }

    /// The same for who can open the session's record: with what it had when it ended, whoever wrote it and however
    /// shortly before, if it ended just now and by this. Also if the rest of the end is not confirmed.
    pub async fn end_own(&self, id: &SessionId, reason: EndReason) -> (Option<SessionRecord>, Result<(), Error>) {
        let (last, ended) = self.end_and_take(&id.handle(), reason).await;
        let record = last
            .and_then(|LastRecord { generation, record }| self.unseal(id, generation, &BASE64.decode(record).ok()?));
        (record, ended)
    }

    async fn end_and_take(&self, handle: &SessionHandle, reason: EndReason) -> (Option<LastRecord>, Result<(), Error>) {
        self.cache.forget(handle);
        match self.coordinate(handle, Command::Revoke).await {
            Ok(Reply::Gone { subject, indexes, last }) => {
                (last, self.end_streams(handle, subject, &indexes, reason).await)
            }
            Ok(_) => (None, Err(Unavailable::new("session coordinator", "kept a session that was ended").into())),
            Err(error) => (None, Err(error.into())),
        }
    }

    pub(super) async fn end_streams(
        &self,
        handle: &SessionHandle,
        subject: Option<Subject>,
        indexes: &[IndexName],
        reason: EndReason,
    ) -> Result<(), Error> {
        if let Some(subject) = subject {
            let end = self.platform.end_session(&subject, handle, reason);
            within(self.platform, STORE_TIMEOUT, "hub", end).await?;
        }
        // What follows only tidies up: the coordinator's word is enough, and the rest expires by itself.
        let key = key(handle);
        let copy = within(self.platform, STORE_TIMEOUT, "kv", self.platform.delete(&key));
        let entries = indexes.iter().map(|name| {
            let remove = index::Command::remove(handle);
            async move { self.ask_index(name, remove).await.map(drop) }
        });
        let (copy, entries) = join!(copy, join_all(entries));
        for error in std::iter::once(copy).chain(entries).filter_map(Result::err) {
            Event::warn("session.tidy").with("detail", &error).write(self.platform);
        }
        Ok(())
    }
}
