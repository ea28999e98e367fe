//! Where sessions are stored: sealed records at the coordinator, in the key-value store and in the isolate's memory.
//!
//! The coordinator has the sealed record and is always right. The key-value store has a copy, which is fast to read and
//! may be stale. An isolate uses a session without asking the coordinator for the length of the revocation bound, and no
//! longer.

use std::{rc::Rc, time::Duration};

use causeway_protocol::session::SessionHandle;
use futures_util::join;
use http::HeaderMap;

use super::{
    cache::SessionCache,
    cookie::CookieContents,
    id::SessionId,
    index::{self, IndexMachine, IndexName},
    record::{SealedRecord, SessionRecord},
    replay_guard::{self, ReplayGuardMachine, ReplayGuardName},
    settings::SessionSettings,
    state::{Command, Reply, SessionMachine},
};
use crate::{
    error::Error,
    runtime::{
        clock::within, copy::CopyChange, dependency::Dependency, event_name::EventName, platform::Platform,
        reason::Reason, telemetry::Event, unavailable::Unavailable,
    },
    seal::Sealed,
};

/// How long a store may take before it counts as down.
pub(super) const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the copy in the key-value store may take. Beyond that, reading the record from the coordinator is as fast.
const COPY_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a request waits for the coordinator's answer to another request of its session, before it asks by itself.
/// Longer than that request waits for a copy.
const MAX_FOLLOW: Duration = Duration::from_secs(1);
/// How long the coordinator may take for an answer and, if no copy is current, for the record.
const LEADER_LIMIT: Duration = Duration::from_secs(10);

/// A valid session: its cookie opened, the coordinator confirmed it within the revocation bound, its record opened.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Its handle.
    pub handle: SessionHandle,
    /// The version of the record.
    pub generation: u64,
    /// Its record.
    pub record: SessionRecord,
    /// Whether the record is sealed under the active key.
    pub is_current: bool,
}

/// The sessions of a deployment. The methods are spread over several files, see [`super`].
#[derive(Debug)]
pub struct Sessions<'a, P> {
    /// The stores.
    pub platform: &'a P,
    /// Keys and bounds.
    pub settings: &'a SessionSettings,
    /// The records that this isolate remembers.
    pub cache: &'a SessionCache,
}

impl<P: Platform> Sessions<'_, P> {
    /// The id in a request's cookie. Neither the coordinator nor the clock is asked whether the session still lives: a
    /// sign-out must not fail because this isolate's clock is wrong.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], the same for every reason.
    pub fn id(&self, headers: &HeaderMap) -> Result<SessionId, Error> {
        CookieContents::find(headers, self.settings).map(|(contents, _)| contents.id)
    }

    /// The ids in all session cookies that open. After a change of `EMBED` there can be several: none of them
    /// authenticates (S60), but a sign-out ends them all.
    pub fn ids(&self, headers: &HeaderMap) -> Vec<SessionId> {
        let mut ids: Vec<SessionId> = Vec::new();
        for CookieContents { id, .. } in CookieContents::find_all(headers, self.settings) {
            if ids.iter().all(|known| known.handle() != id.handle()) {
                ids.push(id);
            }
        }
        ids
    }

    /// The `Set-Cookie` value with the session's present generation. No isolate answers a browser that has it from an
    /// older record.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn cookie_for(&self, session: &Session) -> Result<String, Unavailable> {
        self.cookie_of(&session.id, session.generation, session.record.expires_at_ms)
    }

    pub(super) fn cookie_of(&self, id: &SessionId, generation: u64, expires_at_ms: u64) -> Result<String, Unavailable> {
        CookieContents { expires_at_ms, generation, id: id.clone() }.set(self.platform, self.settings)
    }

    /// The sealed record, in at least this generation, of a session that the coordinator confirmed within `bound`. Of
    /// concurrent requests that need its confirmation, the first asks. The others wait for that answer for a moment; it then
    /// counts for them as for any later request, from when it was asked for.
    pub(super) async fn confirmed(
        &self,
        handle: &SessionHandle,
        known_generation: u64,
        bound: Duration,
    ) -> Result<Rc<SealedRecord>, Error> {
        let in_memory = |now_ms| {
            let fresh = self.cache.fresh(handle, now_ms, bound);
            fresh.filter(|stored| stored.generation >= known_generation)
        };
        let single_flight = &self.cache.single_flight;
        // With a bound of 0, no answer counts for another request.
        let patience = if bound.is_zero() { Duration::ZERO } else { MAX_FOLLOW };
        if let Some(stored) = single_flight.follow(self.platform, handle.as_str(), patience, in_memory).await {
            return Ok(stored);
        }
        // Boxed: most requests find the record in memory.
        Box::pin(self.ask(handle)).await
    }

    /// Asks the coordinator, and remembers the answer for others.
    async fn ask(&self, handle: &SessionHandle) -> Result<Rc<SealedRecord>, Error> {
        let single_flight = &self.cache.single_flight;
        let asked_ms = self.platform.now_ms();
        let question = self.cache.question(asked_ms);
        let _leader = single_flight.lead(handle.as_str(), asked_ms, LEADER_LIMIT);
        let fetched = self.fetch(handle).await?;
        // Also if another request leads by now: this answer spares it the wait.
        self.cache.put(handle, question, Rc::clone(&fetched));
        Ok(fetched)
    }

    /// The sealed record of the current generation: the one in memory or the copy if it is current, the coordinator's
    /// otherwise.
    async fn fetch(&self, handle: &SessionHandle) -> Result<Rc<SealedRecord>, Error> {
        let copy = async {
            match self.cache.last(handle) {
                Some(last) => Some(last),
                None => self.copy(handle).await.map(Rc::new),
            }
        };
        let (status, copy) = join!(self.coordinate(handle, Command::Status), copy);
        let Reply::Active { generation, .. } = status? else {
            return Err(Error::Unauthenticated { reason: Reason::SessionRevoked });
        };
        match copy.filter(|copy| copy.generation == generation) {
            Some(copy) => Ok(copy),
            None => self.read(handle).await.map(Rc::new),
        }
    }

    /// The copy in the key-value store. A failure costs time only: the coordinator has the record, too.
    async fn copy(&self, handle: &SessionHandle) -> Option<SealedRecord> {
        let key = key(handle);
        let copy = within(self.platform, COPY_TIMEOUT, Dependency::KeyValue, self.platform.get(&key)).await;
        decode_copy(&copy.ok()??)
    }

    /// The sealed record of the coordinator.
    pub(super) async fn read(&self, handle: &SessionHandle) -> Result<SealedRecord, Error> {
        let Reply::Active { generation, record: Some(record) } = self.coordinate(handle, Command::Read).await? else {
            return Err(Error::Unauthenticated { reason: Reason::SessionRevoked });
        };
        let broken = Error::Unauthenticated { reason: Reason::SessionRecordNotOpened };
        SealedRecord::from_text(generation, &record).ok_or(broken)
    }

    /// Writes the copy to the key-value store. A failure costs speed only: the coordinator has the record already.
    pub(super) async fn write_copy(&self, handle: &SessionHandle, stored: &SealedRecord, record: &SessionRecord) {
        let ttl = Duration::from_millis(record.expires_at_ms.saturating_sub(self.platform.now_ms()));
        let failure = Event::warn(EventName::SessionKvPut);
        CopyChange::put(key(handle), encode_copy(stored), ttl, failure).queue(self.platform).await;
    }

    pub(super) fn seal(
        &self,
        id: &SessionId,
        generation: u64,
        record: &SessionRecord,
    ) -> Result<SealedRecord, Unavailable> {
        let (handle, version) = (id.handle(), generation.to_be_bytes());
        let context = [handle.as_str().as_bytes(), &version];
        let keys = &self.settings.keys;
        let sealed = Sealed::seal_with_secret(record, keys, self.platform, &context, id.as_bytes())?;
        Ok(SealedRecord::new(generation, sealed))
    }

    /// The record of an id, whose handle the caller has at hand. With another session's handle, no record opens.
    pub(super) fn unseal(
        &self,
        id: &SessionId,
        handle: &SessionHandle,
        stored: &SealedRecord,
    ) -> Option<SessionRecord> {
        let version = stored.generation.to_be_bytes();
        let context = [handle.as_str().as_bytes(), &version];
        stored.sealed.open_with_secret(&self.settings.keys, &context, id.as_bytes()).ok()
    }

    /// The session of an id with this record. `None` if the record does not open.
    pub(super) fn open(&self, id: &SessionId, handle: &SessionHandle, stored: &SealedRecord) -> Option<Session> {
        let record = self.unseal(id, handle, stored)?;
        let is_current = stored.sealed.is_current(&self.settings.keys);
        Some(Session { id: id.clone(), handle: handle.clone(), generation: stored.generation, record, is_current })
    }

    pub(super) async fn coordinate(&self, handle: &SessionHandle, command: Command) -> Result<Reply, Unavailable> {
        let work = self.platform.run::<SessionMachine>(handle.as_str(), command);
        within(self.platform, STORE_TIMEOUT, Dependency::SessionCoordinator, work).await
    }

    /// Runs a command of the replay guard.
    ///
    /// # Errors
    /// The coordinator did not answer.
    pub async fn ask_replay_guard(
        &self,
        name: &ReplayGuardName,
        command: replay_guard::Command,
    ) -> Result<replay_guard::Reply, Unavailable> {
        let work = self.platform.run::<ReplayGuardMachine>(name.as_str(), command);
        within(self.platform, STORE_TIMEOUT, Dependency::ReplayGuard, work).await
    }

    pub(super) async fn ask_index(
        &self,
        name: &IndexName,
        command: index::Command,
    ) -> Result<index::Reply, Unavailable> {
        let work = self.platform.run::<IndexMachine>(name.as_str(), command);
        within(self.platform, STORE_TIMEOUT, Dependency::SessionIndex, work).await
    }
}

/// The key of a session's copy in the key-value store.
pub(super) fn key(handle: &SessionHandle) -> String {
    format!("session:{}", handle.as_str())
}

/// A copy in the key-value store is `generation (8) ‖ sealed record`, so a stale one shows without being opened.
fn encode_copy(stored: &SealedRecord) -> Vec<u8> {
    [&stored.generation.to_be_bytes(), stored.sealed.as_bytes()].concat()
}

fn decode_copy(copy: &[u8]) -> Option<SealedRecord> {
    let (generation, sealed) = copy.split_first_chunk()?;
    Some(SealedRecord::new(u64::from_be_bytes(*generation), Sealed::from_bytes(sealed.to_vec())))
}
