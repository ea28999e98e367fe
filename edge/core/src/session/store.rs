//! Create and load sessions: cookie → id → coordinator and key-value store → record.
//!
//! The record rests sealed in the key-value store (fast, possibly stale) and in the coordinator (the truth). A session
//! is believed without asking the coordinator for as long as the revocation bound allows, and no longer.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_protocol::session::SessionHandle;
use futures_util::join;
use http::HeaderMap;
use zeroize::Zeroizing;

use super::{
    cache::SessionCache,
    id::SessionId,
    index::{self, IndexMachine, IndexName},
    record::SessionRecord,
    replay_guard::{self, ReplayGuardMachine, ReplayGuardName},
    settings::SessionSettings,
    state::{Command, Reply, SessionMachine},
};
use crate::{
    error::Error,
    http::cookie::{self, Found, SESSION_COOKIE, SameSite},
    runtime::{clock::within, platform::Platform, telemetry::Event, unavailable::Unavailable},
    seal::{self, Binding, Purpose},
};

/// How long a store may take before it counts as down.
pub(super) const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// A session that is believed: the cookie opened, the coordinator (within the bound) said it lives, the record opened.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Its handle.
    pub handle: SessionHandle,
    /// Which version of the record this is.
    pub generation: u64,
    /// Its record.
    pub record: SessionRecord,
    /// Whether the record is sealed under the active key.
    pub is_current: bool,
}

/// What a session cookie says.
struct CookieContents {
    ends_at_ms: u64,
    /// Which version of the record its browser has seen.
    generation: u64,
    id: SessionId,
}

impl CookieContents {
    fn parse(plain: &[u8]) -> Option<Self> {
        let (ends_at_ms, rest) = plain.split_first_chunk()?;
        let (generation, id) = rest.split_first_chunk()?;
        let (ends_at_ms, generation) = (u64::from_be_bytes(*ends_at_ms), u64::from_be_bytes(*generation));
        Some(Self { ends_at_ms, generation, id: SessionId::from_bytes(id)? })
    }
}

/// Sessions of one deployment.
#[derive(Debug)]
pub struct Sessions<'a, P> {
    /// Where they rest.
    pub platform: &'a P,
    /// Keys and bounds.
    pub settings: &'a SessionSettings,
    /// What this isolate knows already.
    pub cache: &'a SessionCache,
}

impl<P: Platform> Sessions<'_, P> {
    pub(super) fn seal(&self, id: &SessionId, generation: u64, record: &SessionRecord) -> Result<Vec<u8>, Error> {
        let plain = Zeroizing::new(serde_json::to_vec(record).map_err(|e| Unavailable::new("session record", e))?);
        let (handle, generation) = (id.handle(), generation.to_be_bytes());
        let context = [handle.as_str().as_bytes(), &generation];
        let binding = Binding { purpose: Purpose::SessionRecord, context: &context, secret: id.as_bytes() };
        Ok(seal::seal(&self.settings.keys, self.platform, binding, &plain)?)
    }

    pub(super) fn unseal(&self, id: &SessionId, generation: u64, sealed: &[u8]) -> Option<SessionRecord> {
        let (handle, generation) = (id.handle(), generation.to_be_bytes());
        let context = [handle.as_str().as_bytes(), &generation];
        let binding = Binding { purpose: Purpose::SessionRecord, context: &context, secret: id.as_bytes() };
        let plain = seal::open(&self.settings.keys, binding, sealed).ok()?;
        serde_json::from_slice(&plain).ok()
    }

    /// Puts a copy where it is read fast. The coordinator has the record already: a store that is down costs speed only.
    pub(super) async fn keep_copy(
        &self,
        handle: &SessionHandle,
        generation: u64,
        sealed: &[u8],
        record: &SessionRecord,
    ) {
        let ttl = Duration::from_millis(record.expires_at_ms.saturating_sub(self.platform.now_ms()));
        let (key, value) = (key(handle), with_generation(generation, sealed));
        let put = within(self.platform, STORE_TIMEOUT, "kv", self.platform.put(&key, &value, ttl));
        if let Err(error) = put.await {
            Event::warn("session.kv-put").with("detail", &error).write(self.platform);
        }
    }

    /// The `Set-Cookie` value that tells the browser of a session in its present generation: from then on no isolate
    /// answers it from an older one.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn cookie_for(&self, session: &Session) -> Result<String, Unavailable> {
        self.cookie_of(&session.id, session.generation, session.record.expires_at_ms)
    }

    /// The `Set-Cookie` value for a session whose record its browser has seen in this generation.
    pub(super) fn cookie_of(&self, id: &SessionId, generation: u64, expires_at_ms: u64) -> Result<String, Unavailable> {
        let mut plain = Zeroizing::new(expires_at_ms.to_be_bytes().to_vec());
        plain.extend_from_slice(&generation.to_be_bytes());
        plain.extend_from_slice(id.as_bytes());
        let context = self.cookie_context();
        let binding = Binding { purpose: Purpose::SessionCookie, context: &context, secret: b"" };
        let sealed = seal::seal(&self.settings.keys, self.platform, binding, &plain)?;
        let lives_ms = expires_at_ms.saturating_sub(self.platform.now_ms());
        let same_site = SameSite::of_session(self.settings.embed);
        Ok(cookie::set(SESSION_COOKIE, &BASE64.encode(sealed), same_site, lives_ms / 1000))
    }

    fn cookie_context(&self) -> [&[u8]; 2] {
        [SESSION_COOKIE.as_bytes(), self.settings.public_origin.as_str().as_bytes()]
    }

    /// What a request's cookie says, if it has not ended by its own word.
    fn living(&self, headers: &HeaderMap) -> Result<CookieContents, Error> {
        let shown = self.cookie(headers)?;
        if self.platform.now_ms() >= shown.ends_at_ms {
            return Err(Error::Unauthenticated { reason: "session cookie expired" });
        }
        Ok(shown)
    }

    /// The id in a request's cookie, without asking anyone whether it still lives. Whoever wants it ended is not told by
    /// a clock that may be wrong that it has ended already.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], alike for every reason.
    pub fn id(&self, headers: &HeaderMap) -> Result<SessionId, Error> {
        self.cookie(headers).map(|shown| shown.id)
    }

    /// The ids in all session cookies that open. There are several where `EMBED` was changed: none of them is believed
    /// (S60), but whoever signs out is signed out of each.
    pub fn ids(&self, headers: &HeaderMap) -> Vec<SessionId> {
        let values = cookie::all(headers).filter(|(name, _)| *name == SESSION_COOKIE).map(|(_, value)| value);
        let mut ids: Vec<SessionId> = Vec::new();
        for CookieContents { id, .. } in values.filter_map(|value| self.open_cookie(value)) {
            if ids.iter().all(|known| known.handle() != id.handle()) {
                ids.push(id);
            }
        }
        ids
    }

    fn cookie(&self, headers: &HeaderMap) -> Result<CookieContents, Error> {
        let value = match cookie::find(headers, SESSION_COOKIE) {
            Found::One(value) => value,
            Found::None => return Err(Error::Unauthenticated { reason: "no session cookie" }),
            Found::Several => return Err(Error::Unauthenticated { reason: "several session cookies" }),
        };
        self.open_cookie(value).ok_or(Error::Unauthenticated { reason: "session cookie does not open" })
    }

    fn open_cookie(&self, value: &str) -> Option<CookieContents> {
        let blob = BASE64.decode(value).ok()?;
        let context = self.cookie_context();
        let binding = Binding { purpose: Purpose::SessionCookie, context: &context, secret: b"" };
        CookieContents::parse(&seal::open(&self.settings.keys, binding, &blob).ok()?)
    }

    /// The session of a request.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if there is none that is believed, [`Error::Unavailable`] if nobody can tell.
    pub async fn load(&self, headers: &HeaderMap) -> Result<Session, Error> {
        let CookieContents { id, generation, .. } = self.living(headers)?;
        self.load_since(id, generation).await
    }

    /// The session of an id.
    ///
    /// # Errors
    /// As [`Sessions::load`].
    pub async fn load_by_id(&self, id: SessionId) -> Result<Session, Error> {
        self.load_since(id, 0).await
    }

    /// The session of an id, not older than a generation that its browser has seen: whoever connects an account and
    /// then asks elsewhere finds it.
    async fn load_since(&self, id: SessionId, generation: u64) -> Result<Session, Error> {
        let handle = id.handle();
        let now_ms = self.platform.now_ms();
        let known = self.cache.fresh(&handle, now_ms, self.settings.revocation_bound);
        let (generation, sealed) = match known.filter(|(known, _)| *known >= generation) {
            Some(known) => known,
            None => {
                let (generation, sealed) = self.fetch(&handle).await?;
                self.cache.put(&handle, now_ms, generation, sealed.clone());
                (generation, sealed)
            }
        };
        let (generation, record, sealed) = match self.unseal(&id, generation, &sealed) {
            Some(record) => (generation, record, sealed),
            // The copy is damaged; the coordinator's need not be.
            None => {
                self.cache.forget(&handle);
                let (generation, sealed) = self.read(&handle).await?;
                let broken = Error::Unauthenticated { reason: "session record does not open" };
                (generation, self.unseal(&id, generation, &sealed).ok_or(broken)?, sealed)
            }
        };
        if now_ms >= record.expires_at_ms {
            return Err(Error::Unauthenticated { reason: "session expired" });
        }
        // Whoever vouched for the user may be believed no more: a provider or a tenant was taken out (M74).
        let own = record.accounts.get(&record.provider);
        if own.is_none_or(|own| !self.settings.trusts(&record.provider, &own.issuer)) {
            return Err(Error::Unauthenticated { reason: "session of a provider or tenant that is not configured" });
        }
        let is_current = seal::is_current(&self.settings.keys, &sealed);
        Ok(Session { id, handle, generation, record, is_current })
    }

    /// The sealed record of the current generation.
    async fn fetch(&self, handle: &SessionHandle) -> Result<(u64, Vec<u8>), Error> {
        let key = key(handle);
        let stored = within(self.platform, STORE_TIMEOUT, "kv", self.platform.get(&key));
        let (status, stored) = join!(self.coordinate(handle, Command::Status), stored);
        let Reply::Active { generation, .. } = status? else {
            return Err(Error::Unauthenticated { reason: "session revoked or unknown" });
        };
        // A key-value store that fails is a slow one: the coordinator has the record, too.
        if let Some(sealed) = stored.ok().flatten().and_then(|stored| of_generation(generation, &stored)) {
            return Ok((generation, sealed));
        }
        self.read(handle).await
    }

    /// The sealed record as the coordinator has it.
    async fn read(&self, handle: &SessionHandle) -> Result<(u64, Vec<u8>), Error> {
        let Reply::Active { generation, record: Some(record) } = self.coordinate(handle, Command::Read).await? else {
            return Err(Error::Unauthenticated { reason: "session revoked or unknown" });
        };
        let broken = Error::Unauthenticated { reason: "session record does not open" };
        Ok((generation, BASE64.decode(record).map_err(|_| broken)?))
    }

    pub(super) async fn coordinate(&self, handle: &SessionHandle, command: Command) -> Result<Reply, Unavailable> {
        let work = self.platform.run::<SessionMachine>(handle.as_str(), command);
        within(self.platform, STORE_TIMEOUT, "session coordinator", work).await
    }

    /// Asks whether something is used for the first time.
    ///
    /// # Errors
    /// The coordinator did not answer.
    pub async fn ask_replay_guard(
        &self,
        name: &ReplayGuardName,
        command: replay_guard::Command,
    ) -> Result<replay_guard::Reply, Unavailable> {
        let work = self.platform.run::<ReplayGuardMachine>(name.as_str(), command);
        within(self.platform, STORE_TIMEOUT, "once-only tokens", work).await
    }

    pub(super) async fn ask_index(
        &self,
        name: &IndexName,
        command: index::Command,
    ) -> Result<index::Reply, Unavailable> {
        let work = self.platform.run::<IndexMachine>(name.as_str(), command);
        within(self.platform, STORE_TIMEOUT, "session index", work).await
    }
}

pub(super) fn key(handle: &SessionHandle) -> String {
    format!("session:{}", handle.as_str())
}

/// How copies in the key-value store are told apart by age: `generation (8) ‖ sealed record`.
fn with_generation(generation: u64, sealed: &[u8]) -> Vec<u8> {
    [&generation.to_be_bytes(), sealed].concat()
}

fn of_generation(wanted: u64, stored: &[u8]) -> Option<Vec<u8>> {
    let (generation, sealed) = stored.split_first_chunk()?;
    (u64::from_be_bytes(*generation) == wanted).then(|| sealed.to_vec())
}
