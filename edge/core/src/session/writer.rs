//! Writing a session's record. One writer at a time holds the lease, and each starts from the record that the previous
//! one stored.

use std::time::Duration;

use causeway_protocol::{hub::EndReason, session::SessionHandle};
use secrecy::ExposeSecret as _;

use super::{
    id::SessionId,
    index,
    record::{SealedRecord, SessionRecord},
    state::{Command, Consumption, LEASE_MS, Outcome, Reply},
    store::{Session, Sessions},
};
use crate::{
    error::Error,
    runtime::{
        dependency::Dependency, event_name::EventName, platform::Platform, reason::Reason, telemetry::Event,
        unavailable::Unavailable,
    },
};

/// How long a writer waits for the lease: longer than a writer that was cut off can hold it.
const MAX_WAIT: Duration = Duration::from_millis(LEASE_MS + 5000);

/// The answer to a request for the write lease.
#[derive(Debug)]
pub enum LeaseReply {
    /// There is a newer record.
    Newer(Session),
    /// The lease is granted.
    Granted(WriteLease),
    /// Another writer holds the lease; ask again after `wait`.
    Busy {
        /// How long.
        wait: Duration,
    },
    /// The provider must not be asked before `wait` has passed.
    RetryLater {
        /// How long.
        wait: Duration,
    },
    /// A refused token of this account was refreshed recently; another refresh would not help.
    RefreshedRecently,
}

/// What the lease is for.
#[derive(Debug, Clone, Copy)]
pub enum WritePurpose<'a> {
    /// Refreshing the tokens of an account.
    Refresh {
        /// Its provider.
        account: &'a str,
        /// If an upstream refused a token that has not ended: the token's restriction, empty for the account's own token.
        refused: Option<&'a str>,
    },
    /// Anything else.
    Other,
}

/// The right to write a session's record, for [`LEASE_MS`].
#[derive(Debug)]
pub struct WriteLease {
    pub(super) fencing_token: u64,
    /// The present session; the new record must be derived from it.
    pub session: Session,
    /// How often the account's refresh token was sent before without a stored answer.
    pub unanswered_sends: u32,
    /// Whether an earlier use may have consumed it.
    pub possibly_consumed: bool,
}

impl<P: Platform> Sessions<'_, P> {
    /// Asks for the session's write lease, see [`super::state`].
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if the session has ended, [`Error::Unavailable`] if the coordinator did not answer.
    pub async fn acquire_lease(&self, session: &Session, purpose: WritePurpose<'_>) -> Result<LeaseReply, Error> {
        self.acquire(&session.id, &session.handle, session.generation, purpose).await
    }

    /// The same for the session of an id, whose record the caller need not have opened.
    pub(super) async fn acquire(
        &self,
        id: &SessionId,
        handle: &SessionHandle,
        known_generation: u64,
        purpose: WritePurpose<'_>,
    ) -> Result<LeaseReply, Error> {
        let gone = Error::Unauthenticated { reason: Reason::SessionEndedMeanwhile };
        let mut attempt_id = [0; 8];
        self.platform.fill(&mut attempt_id)?;
        let (account, refused) = match purpose {
            WritePurpose::Refresh { account, refused } => {
                (Some(account.to_owned()), refused.map(|restriction| format!("{account} {restriction}")))
            }
            WritePurpose::Other => (None, None),
        };
        let attempt_id = u64::from_be_bytes(attempt_id);
        let acquire = Command::AcquireLease { account, refused, known_generation, attempt_id };
        let open = |generation, record: &str| {
            let stored = SealedRecord::from_text(generation, record)?;
            Some((self.open(id, handle, &stored)?, stored))
        };
        let broken = Error::Unauthenticated { reason: Reason::SessionRecordNotOpened };
        let question = self.cache.question(self.platform.now_ms());
        match self.coordinate_with_retry(handle, acquire).await? {
            Reply::Active { generation, record: Some(record) } => {
                let (newer, stored) = open(generation, &record).ok_or(broken)?;
                self.cache.put(handle, question, stored.into());
                Ok(LeaseReply::Newer(newer))
            }
            Reply::Leased { fencing_token, generation, record, unanswered_sends, possibly_consumed } => {
                let (session, _) = open(generation, &record).ok_or(broken)?;
                Ok(LeaseReply::Granted(WriteLease { fencing_token, session, unanswered_sends, possibly_consumed }))
            }
            Reply::Busy { wait_ms } => Ok(LeaseReply::Busy { wait: Duration::from_millis(wait_ms) }),
            Reply::RetryLater { wait_ms } => Ok(LeaseReply::RetryLater { wait: Duration::from_millis(wait_ms) }),
            Reply::RefreshedRecently => Ok(LeaseReply::RefreshedRecently),
            Reply::Gone { .. } => {
                self.cache.forget(handle);
                Err(gone)
            }
            Reply::Active { record: None, .. } | Reply::Superseded => {
                Err(Unavailable::new(Dependency::SessionCoordinator, "sent an unexpected reply").into())
            }
        }
    }

    /// Acquires the lease for something other than a refresh, waiting while another writer holds it.
    ///
    /// # Errors
    /// As [`Sessions::acquire_lease`]; [`Error::Unavailable`] if others write for too long.
    pub async fn wait_for_lease(&self, mut session: Session) -> Result<WriteLease, Error> {
        let began_ms = self.platform.now_ms();
        loop {
            let waited = Duration::from_millis(self.platform.now_ms().saturating_sub(began_ms));
            match self.acquire_lease(&session, WritePurpose::Other).await? {
                LeaseReply::Granted(lease) => return Ok(lease),
                _ if waited > MAX_WAIT => break,
                LeaseReply::Newer(newer) => session = newer,
                // Most writers are done soon; one that is not has probably been cut off.
                LeaseReply::Busy { wait } | LeaseReply::RetryLater { wait } => {
                    self.platform.sleep(wait.max(waited / 10)).await
                }
                LeaseReply::RefreshedRecently => break,
            }
        }
        Err(Unavailable::new(Dependency::SessionCoordinator, "others write for too long").into())
    }

    /// Stores a new record and releases the lease. `None`: another writer has the lease by now, and nothing was stored.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if the session ended meanwhile, [`Error::Unavailable`] if it is unknown whether the
    /// record was stored.
    pub async fn store(&self, lease: &WriteLease, record: &SessionRecord) -> Result<Option<Session>, Error> {
        self.store_with_consumption(lease, record, Consumption::None).await
    }

    /// The same for a record that keeps the refresh token that was sent.
    ///
    /// # Errors
    /// As [`Sessions::store`].
    pub async fn store_with_consumption(
        &self,
        lease: &WriteLease,
        record: &SessionRecord,
        consumption: Consumption,
    ) -> Result<Option<Session>, Error> {
        let Session { id, handle, generation, record: before, .. } = &lease.session;
        let now_ms = self.platform.now_ms();
        let (known, wanted) = (before.indexes(now_ms), record.indexes(now_ms));
        // Including those of an account that signed in again: its index keeps when.
        let added: Vec<_> = wanted.iter().filter(|index| !known.contains(index)).cloned().collect();
        let to_index = added.iter().map(|(name, signed_in)| (name.clone(), Some(*signed_in))).collect();
        let dropped = known.iter().filter(|(name, _)| !wanted.iter().any(|(other, _)| other == name));
        let generation = generation.saturating_add(1);
        let indexes = match self.index(handle, record, to_index, generation, String::new()).await {
            Ok(indexes) => indexes,
            Err(error) => {
                self.release_unused(lease).await?;
                return Err(error);
            }
        };
        let stored = self.seal(id, generation, record)?;
        let replaced = replaced(before, record);
        let outcome = Outcome::Stored { record: stored.sealed.to_text(), indexes, replaced, consumption };
        let question = self.cache.question(self.platform.now_ms());
        match self
            .coordinate_with_retry(handle, Command::ReleaseLease { fencing_token: lease.fencing_token, outcome })
            .await?
        {
            Reply::Active { .. } => {
                self.write_copy(handle, &stored, record).await;
                self.cache.put(handle, question, stored.into());
                // Cleanup: an entry left behind would end this session when that account's provider ends its own, and one
                // with the time of a former sign-in would end it by an older logout.
                let confirmed = added.into_iter().map(|(name, signed_in)| {
                    (name, index::Command::Confirm { session: handle.clone(), generation, signed_in })
                });
                let dropped = dropped
                    .map(|(name, _)| (name.clone(), index::Command::Remove { session: handle.clone(), generation }));
                for (name, command) in confirmed.chain(dropped) {
                    if let Err(error) = self.ask_index(&name, command).await {
                        Event::warn(EventName::SessionTidy).with("detail", &error).write(self.platform);
                    }
                }
                let (id, handle, record) = (id.clone(), handle.clone(), record.clone());
                Ok(Some(Session { id, handle, generation, record, is_current: true }))
            }
            Reply::Gone { .. } => {
                self.cache.forget(handle);
                Err(Error::Unauthenticated { reason: Reason::SessionEndedMeanwhile })
            }
            _ => Ok(None),
        }
    }

    /// Releases the lease without a new record and without having sent the refresh token.
    ///
    /// # Errors
    /// As [`Sessions::release`].
    pub async fn release_unused(&self, lease: &WriteLease) -> Result<(), Unavailable> {
        self.release(lease, Outcome::NotConsumed { wait_ms: 0, possibly_consumed: false }).await
    }

    /// Releases the lease without a new record.
    ///
    /// # Errors
    /// The coordinator did not answer; the lease then ends by itself.
    pub async fn release(&self, lease: &WriteLease, outcome: Outcome) -> Result<(), Unavailable> {
        self.coordinate_with_retry(
            &lease.session.handle,
            Command::ReleaseLease { fencing_token: lease.fencing_token, outcome },
        )
        .await
        .map(drop)
    }

    /// Ends the session because its provider ended the grant. Returns whether it did: not if another writer has the lease
    /// by now, who may have connected the account again.
    ///
    /// # Errors
    /// As [`Sessions::end`].
    pub async fn end_with_lease(&self, lease: &WriteLease, reason: EndReason) -> Result<bool, Error> {
        let handle = &lease.session.handle;
        self.cache.forget(handle);
        let ended =
            self.coordinate_with_retry(handle, Command::EndWithLease { fencing_token: lease.fencing_token }).await;
        self.cache.forget(handle);
        match ended? {
            Reply::Gone { subject, indexes, .. } => {
                self.end_streams(handle, subject, &indexes, reason).await.map(|()| true)
            }
            Reply::Superseded => Ok(false),
            _ => Err(Unavailable::new(Dependency::SessionCoordinator, "kept a session that was ended").into()),
        }
    }

    /// Asks once more if no answer came. For idempotent commands.
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
