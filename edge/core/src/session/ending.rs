//! Ending sessions: one, or all of an index. Everything that ends a session calls [`Sessions::end`] or, with a write lease
//! that may have expired, [`Sessions::end_with_lease`].

use causeway_protocol::{hub::EndReason, session::SessionHandle, subject::Subject};
use futures_util::{
    future::{join_all, ready},
    stream::{self, StreamExt as _, TryStreamExt as _},
};

use super::{
    id::SessionId,
    index::{self, Ending, Entry, IndexName},
    record::{SealedRecord, SessionRecord},
    state::{Command, LastRecord, Reply},
    store::{STORE_TIMEOUT, Sessions, key},
};
use crate::{
    error::Error,
    runtime::{
        clock::{MAX_SKEW_MS, within},
        copy::CopyChange,
        dependency::Dependency,
        event_name::EventName,
        platform::Platform,
        telemetry::Event,
        unavailable::Unavailable,
    },
};

/// How many sessions are asked about or ended at once.
const PARALLEL: usize = 6;
/// Most sessions that one creation removes from a full index: one for itself, the others for sessions whose creation
/// failed or that were never redeemed.
pub(super) const MAX_ROOM_MADE: usize = 10;
/// How long creating a session, or redeeming it, may take, in milliseconds, with skewed clocks. The session is in its
/// indexes before that.
const MAX_CREATION_MS: u64 = MAX_SKEW_MS + 90 * 1000;

impl<P: Platform> Sessions<'_, P> {
    /// The live sessions in an index. Expired ones are ended and removed on the way.
    ///
    /// # Errors
    /// The coordinator did not answer.
    pub async fn list_alive(&self, name: &IndexName) -> Result<Vec<Entry>, Error> {
        let entries = self.list(name).await?;
        let answers: Vec<Result<bool, Error>> = stream::iter(&entries)
            .map(|entry| async {
                Ok(matches!(self.coordinate(&entry.session, Command::Peek).await?, Reply::Active { .. }))
            })
            .buffered(PARALLEL)
            .collect()
            .await;
        let (mut alive, mut expired) = (Vec::new(), Vec::new());
        for (entry, is_alive) in entries.into_iter().zip(answers) {
            match is_alive? {
                true => alive.push(entry),
                false => expired.push(entry),
            }
        }
        // A session in the index that its coordinator does not know may be about to be created.
        let now_ms = self.platform.now_ms();
        expired.retain(|entry| now_ms.saturating_sub(entry.created_at_ms) > MAX_CREATION_MS);
        if let Err(error) = self.end_entries(name, &expired, EndReason::Expired).await {
            Event::warn(EventName::SessionTidy).with("detail", &error).write(self.platform);
        }
        Ok(alive)
    }

    /// Removes some expired sessions from a full index. Sessions that were never redeemed, or that are idle, would
    /// otherwise stay in it until the end of their longest possible lifetime.
    ///
    /// # Errors
    /// The coordinator did not answer.
    pub(super) async fn make_room(&self, name: &IndexName) -> Result<(), Error> {
        let now_ms = self.platform.now_ms();
        let mut entries = self.list(name).await?;
        entries.retain(|entry| now_ms.saturating_sub(entry.created_at_ms) > MAX_CREATION_MS);
        let expired: Vec<Entry> = stream::iter(entries)
            .map(|entry| async move {
                let answer = self.coordinate(&entry.session, Command::Peek).await?;
                Ok::<_, Unavailable>((!matches!(answer, Reply::Active { .. })).then_some(entry))
            })
            .buffered(PARALLEL)
            .try_filter_map(|expired| ready(Ok(expired)))
            .take(MAX_ROOM_MADE)
            .try_collect()
            .await?;
        self.end_entries(name, &expired, EndReason::Expired).await
    }

    /// The sessions in an index, as far as the index knows.
    ///
    /// # Errors
    /// The coordinator did not answer.
    pub async fn list(&self, name: &IndexName) -> Result<Vec<Entry>, Error> {
        match self.ask_index(name, index::Command::List).await? {
            index::Reply::Entries(entries) => Ok(entries),
            _ => Err(Unavailable::new(Dependency::SessionIndex, "sent an unexpected reply").into()),
        }
    }

    /// Ends the sessions in an index, and the unfinished sign-ins, that an end concerns. Returns the number of sessions.
    ///
    /// # Errors
    /// A store did not answer. Repeating the call is safe.
    pub async fn end_all(&self, name: &IndexName, ending: Ending, reason: EndReason) -> Result<usize, Error> {
        let index::Reply::Entries(entries) = self.ask_index(name, index::Command::End(ending)).await? else {
            return Err(Unavailable::new(Dependency::SessionIndex, "sent an unexpected reply").into());
        };
        self.end_entries(name, &entries, reason).await?;
        Ok(entries.len())
    }

    /// Ends some sessions of an index. A failure does not stop the others from being ended.
    ///
    /// # Errors
    /// A store did not answer. Repeating the call is safe.
    pub async fn end_entries(&self, name: &IndexName, entries: &[Entry], reason: EndReason) -> Result<(), Error> {
        let ended: Vec<Result<(), Error>> = stream::iter(entries)
            .map(|entry| async {
                self.end(&entry.session, reason).await?;
                // The record of a session names its indexes; a session that was never created has no record.
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
    /// The coordinator or the hub did not answer: the session or a stream may still be live, and the caller must say so.
    /// Ending it again is safe.
    pub async fn end(&self, handle: &SessionHandle, reason: EndReason) -> Result<(), Error> {
        self.end_and_take(handle, reason).await.1
    }

    /// The same for a caller with the session's id. Returns the record that the session ended with, which another isolate
    /// may have stored a moment before, if this call ended it; also if the rest of the end is not confirmed.
    pub async fn end_own(&self, id: &SessionId, reason: EndReason) -> (Option<SessionRecord>, Result<(), Error>) {
        let handle = id.handle();
        let (last, ended) = self.end_and_take(&handle, reason).await;
        let record = last.and_then(|LastRecord { generation, record }| {
            self.unseal(id, &handle, &SealedRecord::from_text(generation, &record)?)
        });
        (record, ended)
    }

    async fn end_and_take(&self, handle: &SessionHandle, reason: EndReason) -> (Option<LastRecord>, Result<(), Error>) {
        self.cache.forget(handle);
        let revoked = self.coordinate(handle, Command::Revoke).await;
        self.cache.forget(handle);
        match revoked {
            Ok(Reply::Gone { subject, indexes, last }) => {
                (last, self.end_streams(handle, subject, &indexes, reason).await)
            }
            Ok(_) => {
                (None, Err(Unavailable::new(Dependency::SessionCoordinator, "kept a session that was ended").into()))
            }
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
            within(self.platform, STORE_TIMEOUT, Dependency::Hub, end).await?;
        }
        // The rest is cleanup: the coordinator's answer is enough, and copy and entries expire by themselves.
        CopyChange::delete(key(handle), Event::warn(EventName::SessionTidy)).queue(self.platform).await;
        let entries = indexes.iter().map(|name| {
            let remove = index::Command::remove(handle);
            async move { self.ask_index(name, remove).await.map(drop) }
        });
        for error in join_all(entries).await.into_iter().filter_map(Result::err) {
            Event::warn(EventName::SessionTidy).with("detail", &error).write(self.platform);
        }
        Ok(())
    }
}
