//! Create, load and end sessions: cookie → id → coordinator and key-value store → record.
//!
//! The record rests sealed in the key-value store (fast, possibly stale) and in the coordinator (the truth). A session
//! is believed without asking the coordinator for as long as the revocation bound allows, and no longer.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_protocol::hub::EndReason;
use futures_util::join;
use http::HeaderMap;
use zeroize::Zeroizing;

use super::{
    coordinator::{Command, Reply},
    id::{SessionHandle, SessionId},
    record::SessionRecord,
};
use crate::{
    config::Config,
    cookie::{self, Found, SameSite},
    edge::SessionCache,
    error::Error,
    platform::{Platform, Unavailable, within},
    seal::{self, Binding, Purpose},
};

/// Name of the session cookie.
pub const SESSION_COOKIE: &str = "__Host-Http-session";

/// How long a store may take before it counts as down.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// A session that is believed: the cookie opened, the coordinator (within the bound) said it lives, the record opened.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its handle.
    pub handle: SessionHandle,
    /// Its record.
    pub record: SessionRecord,
}

/// Sessions of one deployment.
#[derive(Debug)]
pub struct Sessions<'a, P> {
    /// Where they rest.
    pub platform: &'a P,
    /// Keys and bounds.
    pub config: &'a Config,
    /// What this isolate knows already.
    pub cache: &'a SessionCache,
}

impl<P: Platform> Sessions<'_, P> {
    /// Begins a session and returns the `Set-Cookie` value that gives it to the browser.
    ///
    /// # Errors
    /// A store did not answer: no session has begun.
    pub async fn create(&self, record: &SessionRecord) -> Result<String, Error> {
        let id = SessionId::draw(self.platform)?;
        let handle = id.handle();
        let plain = Zeroizing::new(serde_json::to_vec(record).map_err(|e| Unavailable::new("session record", e))?);
        let context = [handle.as_str().as_bytes()];
        let binding = Binding { purpose: Purpose::SessionRecord, context: &context, secret: id.as_bytes() };
        let sealed = seal::seal(&self.config.session_keys, self.platform, binding, &plain)?;
        let cookie = self.cookie_of(&id, record)?;
        let create = Command::Create {
            subject: record.user.subject.clone(),
            expires_at_ms: record.expires_at_ms,
            record: BASE64.encode(&sealed),
        };
        if !matches!(self.coordinate(&handle, create).await?, Reply::Active { .. }) {
            return Err(Unavailable::new("session coordinator", "refused a new session").into());
        }
        let ttl = Duration::from_millis(record.expires_at_ms.saturating_sub(self.platform.now_ms()));
        // The coordinator has the record already: a key-value store that is down costs speed, not the sign-in.
        if let Err(error) = self.platform.put(&key(&handle), &with_generation(1, &sealed), ttl).await {
            self.platform
                .log(&serde_json::json!({"level": "warn", "event": "session.kv_put", "detail": error.to_string()}));
        }
        Ok(cookie)
    }

    fn cookie_of(&self, id: &SessionId, record: &SessionRecord) -> Result<String, Error> {
        let mut plain = Zeroizing::new(record.expires_at_ms.to_be_bytes().to_vec());
        plain.extend_from_slice(id.as_bytes());
        let context = self.cookie_context();
        let binding = Binding { purpose: Purpose::SessionCookie, context: &context, secret: b"" };
        let sealed = seal::seal(&self.config.session_keys, self.platform, binding, &plain)?;
        let lives_ms = record.expires_at_ms.saturating_sub(self.platform.now_ms());
        Ok(cookie::set(SESSION_COOKIE, &BASE64.encode(sealed), SameSite::Strict, lives_ms / 1000))
    }

    fn cookie_context(&self) -> [&[u8]; 2] {
        [SESSION_COOKIE.as_bytes(), self.config.public_origin.as_str().as_bytes()]
    }

    /// The id in a request's cookie, without asking anyone whether it still lives.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], alike for every reason.
    pub fn id(&self, headers: &HeaderMap) -> Result<SessionId, Error> {
        let value = match cookie::find(headers, SESSION_COOKIE) {
            Found::One(value) => value,
            Found::None => return Err(Error::Unauthenticated { reason: "no session cookie" }),
            Found::Several => return Err(Error::Unauthenticated { reason: "several session cookies" }),
        };
        let broken = Error::Unauthenticated { reason: "session cookie does not open" };
        let blob = BASE64.decode(value).map_err(|_| broken.clone())?;
        let context = self.cookie_context();
        let binding = Binding { purpose: Purpose::SessionCookie, context: &context, secret: b"" };
        let plain = seal::open(&self.config.session_keys, binding, &blob).map_err(|_| broken.clone())?;
        let (expires_at_ms, id) = plain.split_first_chunk().ok_or_else(|| broken.clone())?;
        if self.platform.now_ms() >= u64::from_be_bytes(*expires_at_ms) {
            return Err(Error::Unauthenticated { reason: "session cookie expired" });
        }
        SessionId::from_bytes(id).ok_or(broken)
    }

    /// The session of a request.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if there is none that is believed, [`Error::Unavailable`] if nobody can tell.
    pub async fn load(&self, headers: &HeaderMap) -> Result<Session, Error> {
        let id = self.id(headers)?;
        let handle = id.handle();
        let now_ms = self.platform.now_ms();
        let sealed = match self.cache.fresh(&handle, now_ms, self.config.revocation_bound) {
            Some(sealed) => sealed,
            None => {
                let sealed = self.fetch(&handle).await?;
                self.cache.put(&handle, now_ms, sealed.clone());
                sealed
            }
        };
        let broken = Error::Unauthenticated { reason: "session record does not open" };
        let context = [handle.as_str().as_bytes()];
        let binding = Binding { purpose: Purpose::SessionRecord, context: &context, secret: id.as_bytes() };
        let plain = match seal::open(&self.config.session_keys, binding, &sealed) {
            Ok(plain) => plain,
            // The copy is damaged; the coordinator's need not be.
            Err(_) => {
                self.cache.forget(&handle);
                let sealed = self.read(&handle).await?;
                seal::open(&self.config.session_keys, binding, &sealed).map_err(|_| broken.clone())?
            }
        };
        let record: SessionRecord = serde_json::from_slice(&plain).map_err(|_| broken)?;
        if now_ms >= record.expires_at_ms {
            return Err(Error::Unauthenticated { reason: "session expired" });
        }
        Ok(Session { handle, record })
    }

    /// The sealed record of the current generation.
    async fn fetch(&self, handle: &SessionHandle) -> Result<Vec<u8>, Error> {
        let key = key(handle);
        let stored = within(self.platform, STORE_TIMEOUT, "kv", self.platform.get(&key));
        let (status, stored) = join!(self.coordinate(handle, Command::Status), stored);
        let Reply::Active { generation, .. } = status? else {
            return Err(Error::Unauthenticated { reason: "session revoked or unknown" });
        };
        // A key-value store that fails is a slow one: the coordinator has the record, too.
        if let Some(sealed) = stored.ok().flatten().and_then(|stored| of_generation(generation, &stored)) {
            return Ok(sealed);
        }
        self.read(handle).await
    }

    /// The sealed record as the coordinator has it.
    async fn read(&self, handle: &SessionHandle) -> Result<Vec<u8>, Error> {
        let Reply::Active { record: Some(record), .. } = self.coordinate(handle, Command::Read).await? else {
            return Err(Error::Unauthenticated { reason: "session revoked or unknown" });
        };
        BASE64.decode(record).map_err(|_| Error::Unauthenticated { reason: "session record does not open" })
    }

    async fn coordinate(&self, handle: &SessionHandle, command: Command) -> Result<Reply, Unavailable> {
        within(self.platform, STORE_TIMEOUT, "session coordinator", self.platform.coordinate(handle, command)).await
    }

    /// Ends a session for good, and its open streams with it.
    ///
    /// # Errors
    /// The coordinator or the hub did not answer: the session or a stream may still live, and the caller must say so.
    /// Ending it again is safe.
    pub async fn end(&self, handle: &SessionHandle, reason: EndReason) -> Result<(), Error> {
        self.cache.forget(handle);
        let Reply::Gone { subject } = self.coordinate(handle, Command::Revoke).await? else {
            return Err(Unavailable::new("session coordinator", "kept a session that was ended").into());
        };
        if let Some(subject) = subject {
            let end = self.platform.end_session(&subject, handle, reason);
            within(self.platform, STORE_TIMEOUT, "hub", end).await?;
        }
        // The coordinator's word is enough; the stale copy opens nothing and expires by itself.
        if let Err(error) = self.platform.delete(&key(handle)).await {
            self.platform
                .log(&serde_json::json!({"level": "warn", "event": "session.kv_delete", "detail": error.to_string()}));
        }
        Ok(())
    }
}

fn key(handle: &SessionHandle) -> String {
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
