//! Writing a session's record: one writer at a time, each from what the last one left.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_protocol::{hub::EndReason, session::SessionHandle};
use secrecy::ExposeSecret as _;

use super::{
    index,
    record::SessionRecord,
    state::{Command, Consumption, LEASE_MS, Outcome, Reply},
    store::{Session, Sessions},
};
use crate::{
    error::Error,
    runtime::{platform::Platform, telemetry::Event, unavailable::Unavailable},
    seal,
};

/// How long a writer waits for its turn: longer than one who was cut off keeps the others waiting.
const MAX_WAIT: Duration = Duration::from_millis(LEASE_MS + 5000);

/// What came of asking to be a session's writer.
#[derive(Debug)]
pub enum LeaseReply {
    /// There is a newer record.
    Newer(Session),
    /// Granted.
    Granted(WriteLease),
    /// Somebody else writes; ask again after `wait`.
    Busy {
        /// How long.
        wait: Duration,
    },
    /// The provider is not to be asked before `wait` is over.
    RetryLater {
        /// How long.
        wait: Duration,
    },
    /// An upstream's refusal of this account's token has cost a refresh a moment ago.
    RefreshedRecently,
}

/// What somebody wants to write.
#[derive(Debug, Clone, Copy)]
pub enum WritePurpose<'a> {
    /// New tokens of this account for old.
    Refresh {
        /// Its provider.
        account: &'a str,
        /// What the token is restricted to (nothing, if empty) that an upstream refused though it has not ended, if it is for
        /// one.
        refused: Option<&'a str>,
    },
    /// Anything else.
    Other,
}

/// The right to write a session's record, for [`super::coordinator::LEASE_MS`].
#[derive(Debug)]
pub struct WriteLease {
    pub(super) fencing_token: u64,
    /// The session as it is now: what is written must come from this.
    pub session: Session,
    /// How often the account's refresh token was sent before without an answer that anybody has.
    pub unanswered_sends: u32,
    /// Whether an earlier use may have used it up.
    pub possibly_consumed: bool,
}

impl<P: Platform> Sessions<'_, P> {
    /// Becomes the session's writer: see [`super::coordinator`].
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if the session is over, [`Error::Unavailable`] if the coordinator did not answer.
    pub async fn begin(&self, session: &Session, purpose: WritePurpose<'_>) -> Result<LeaseReply, Error> {
        let gone = Error::Unauthenticated { reason: "session ended meanwhile" };
        let broken = Error::Unauthenticated { reason: "session record does not open" };
        let mut attempt_id = [0; 8];
        self.platform.fill(&mut attempt_id)?;
        let (account, refused) = match purpose {
            WritePurpose::Refresh { account, refused } => {
                (Some(account.to_owned()), refused.map(|restriction| format!("{account} {restriction}")))
            }
            WritePurpose::Other => (None, None),
        };
        let attempt_id = u64::from_be_bytes(attempt_id);
        let begin = Command::AcquireLease { account, refused, known_generation: session.generation, attempt_id };
        let open = |generation: u64, record: &str| {
            let sealed = BASE64.decode(record).map_err(|_| broken.clone())?;
            let record = self.unseal(&session.id, generation, &sealed).ok_or_else(|| broken.clone())?;
            let (id, handle) = (session.id.clone(), session.handle.clone());
            let is_current = seal::is_current(&self.settings.keys, &sealed);
            let newer = Session { id, handle, generation, record, is_current };
            Ok::<_, Error>((newer, sealed))
        };
        // The coordinator vouches for what it answers from when it was asked, at the latest.
        let asked_ms = self.platform.now_ms();
        match self.coordinate_with_retry(&session.handle, begin).await? {
            Reply::Active { generation, record: Some(record) } => {
                let (newer, sealed) = open(generation, &record)?;
                self.cache.put(&session.handle, asked_ms, generation, sealed);
                Ok(LeaseReply::Newer(newer))
            }
            Reply::Leased { fencing_token, generation, record, unanswered_sends, possibly_consumed } => {
                let (session, _) = open(generation, &record)?;
                Ok(LeaseReply::Granted(WriteLease { fencing_token, session, unanswered_sends, possibly_consumed }))
            }
            Reply::Busy { wait_ms } => Ok(LeaseReply::Busy { wait: Duration::from_millis(wait_ms) }),
            Reply::RetryLater { wait_ms } => Ok(LeaseReply::RetryLater { wait: Duration::from_millis(wait_ms) }),
            Reply::RefreshedRecently => Ok(LeaseReply::RefreshedRecently),
            Reply::Gone { .. } => {
                self.cache.forget(&session.handle);
                Err(gone)
            }
            Reply::Active { record: None, .. } | Reply::Superseded => {
                Err(Unavailable::new("session coordinator", "answered something else").into())
            }
        }
    }

    /// Becomes the writer for something else than a refresh, waiting for whoever writes now.
    ///
    /// # Errors
    /// As [`Sessions::begin`]; [`Error::Unavailable`] if others write for too long.
    pub async fn wait_for_lease(&self, mut session: Session) -> Result<WriteLease, Error> {
        let began_ms = self.platform.now_ms();
        loop {
            let waited = Duration::from_millis(self.platform.now_ms().saturating_sub(began_ms));
            match self.begin(&session, WritePurpose::Other).await? {
                LeaseReply::Granted(writer) => return Ok(writer),
                _ if waited > MAX_WAIT => break,
                LeaseReply::Newer(newer) => session = newer,
                // Most are done soon; who is not has probably been cut off.
                LeaseReply::Busy { wait } | LeaseReply::RetryLater { wait } => self.platform.sleep(wait.max(waited / 10)).await,
                LeaseReply::RefreshedRecently => break,
            }
        }
        Err(Unavailable::new("session coordinator", "others write for too long").into())
    }

    /// Stores what the writer made of the record. `None`: the writer was too slow, another began; nothing was stored.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if the session ended meanwhile, [`Error::Unavailable`] if nobody can tell whether it
    /// was stored.
    pub async fn store(&self, writer: &WriteLease, record: &SessionRecord) -> Result<Option<Session>, Error> {
        self.store_with_consumption(writer, record, Consumption::None).await
    }

    /// The same where the refresh token that was sent stays in the record.
    ///
    /// # Errors
    /// As [`Sessions::store`].
    pub async fn store_with_consumption(
        &self,
        writer: &WriteLease,
        record: &SessionRecord,
        consumption: Consumption,
    ) -> Result<Option<Session>, Error> {
        let Session { id, handle, generation, record: before, .. } = &writer.session;
        let now_ms = self.platform.now_ms();
        let names =
            |record: &SessionRecord| record.accounts.values().flat_map(|it| it.indexes(now_ms)).collect::<Vec<_>>();
        let (known, wanted) = (names(before), names(record));
        let added = wanted.iter().filter(|(name, _)| !known.iter().any(|(other, _)| other == name)).cloned().collect();
        let dropped = known.iter().filter(|(name, _)| !wanted.iter().any(|(other, _)| other == name));
        let generation = generation.saturating_add(1);
        let indexes = match self.index(handle, record, added, generation, String::new()).await {
            Ok(indexes) => indexes,
            Err(error) => {
                self.release_unused(writer).await?;
                return Err(error);
            }
        };
        let sealed = self.seal(id, generation, record)?;
        let replaced = replaced(before, record);
        let outcome = Outcome::Stored { record: BASE64.encode(&sealed), indexes, replaced, consumption };
        let asked_ms = self.platform.now_ms();
        match self.coordinate_with_retry(handle, Command::ReleaseLease { fencing_token: writer.fencing_token, outcome }).await? {
            Reply::Active { .. } => {
                self.cache.put(handle, asked_ms, generation, sealed.clone());
                self.keep_copy(handle, generation, &sealed, record).await;
                for (name, _) in dropped {
                    // Only tidies up: an entry too many ends a session too many, when that account's provider says so.
                    let remove = index::Command::Remove { session: handle.clone(), generation };
                    if let Err(error) = self.ask_index(name, remove).await {
                        Event::warn("session.tidy").with("detail", &error).write(self.platform);
                    }
                }
                let (id, handle, record) = (id.clone(), handle.clone(), record.clone());
                Ok(Some(Session { id, handle, generation, record, is_current: true }))
            }
            Reply::Gone { .. } => {
                self.cache.forget(handle);
                Err(Error::Unauthenticated { reason: "session ended meanwhile" })
            }
            _ => Ok(None),
        }
    }

    /// Gives the lease back without a new record, and without having sent anything.
    ///
    /// # Errors
    /// As [`Sessions::release`].
    pub async fn release_unused(&self, writer: &WriteLease) -> Result<(), Unavailable> {
        self.release(writer, Outcome::NotConsumed { wait_ms: 0, possibly_consumed: false }).await
    }

    /// Gives the lease back without a new record.
    ///
    /// # Errors
    /// The coordinator did not answer; the lease then ends by itself.
    pub async fn release(&self, writer: &WriteLease, outcome: Outcome) -> Result<(), Unavailable> {
        self.coordinate_with_retry(&writer.session.handle, Command::ReleaseLease { fencing_token: writer.fencing_token, outcome }).await.map(drop)
    }

    /// The same at the word that a writer has of the provider, unless another became the writer since: whoever was held up
    /// must not end what somebody connected anew meanwhile. Tells whether it ended.
    ///
    /// # Errors
    /// As [`Sessions::end`].
    pub async fn end_with_lease(&self, writer: &WriteLease, reason: EndReason) -> Result<bool, Error> {
        let handle = &writer.session.handle;
        self.cache.forget(handle);
        match self.coordinate_with_retry(handle, Command::EndWithLease { fencing_token: writer.fencing_token }).await? {
            Reply::Gone { subject, indexes, .. } => {
                self.end_streams(handle, subject, &indexes, reason).await.map(|()| true)
            }
            Reply::Superseded => Ok(false),
            _ => Err(Unavailable::new("session coordinator", "kept a session that was ended").into()),
        }
    }

    /// Asks once more if no answer came. For commands that do nothing when they are repeated.
    pub(super) async fn coordinate_with_retry(
        &self,
        handle: &SessionHandle,
        command: Command,
    ) -> Result<Reply, Unavailable> {
        match self.coordinate(handle, command.clone()).await {
            Err(_) => self.coordinate(handle, command).await,
            answered => answered,
        }
    }
}

/// The accounts whose refresh token changed from one record to the next.
fn replaced(before: &SessionRecord, after: &SessionRecord) -> Vec<String> {
    let token = |record: &SessionRecord, provider: &String| {
        let token = record.accounts.get(provider)?.tokens.refresh_token.as_ref()?;
        Some(token.expose_secret().to_owned())
    };
    let changed = before.accounts.keys().filter(|provider| token(before, provider) != token(after, provider));
    changed.cloned().collect()
}
