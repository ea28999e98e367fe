//! Loading sessions: cookie → id → sealed record → principal, and session where its tokens are needed.

use std::{rc::Rc, time::Duration};

use causeway_protocol::session::SessionHandle;
use http::HeaderMap;

use super::{
    cookie::CookieContents,
    id::SessionId,
    principal::Principal,
    record::{SealedRecord, SessionRecord},
    store::{Session, Sessions},
    summary::Summary,
};
use crate::{
    error::Error,
    runtime::{platform::Platform, reason::Reason},
};

/// How long after the coordinator's last answer a session has no newer record. A request whose cookie is from before a
/// change may miss the change for this long.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);

impl<P: Platform> Sessions<'_, P> {
    /// Who a request acts for. Opens the session's record only if this isolate has not done so before.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] without a valid session, [`Error::Unavailable`] if the coordinator does not answer.
    pub async fn principal(&self, headers: &HeaderMap) -> Result<Principal, Error> {
        let (contents, is_cookie_current) = CookieContents::find(headers, self.settings)?;
        let CookieContents { expires_at_ms, generation, id } = contents;
        if self.platform.now_ms() >= expires_at_ms {
            return Err(Error::Unauthenticated { reason: Reason::SessionCookieExpired });
        }
        let principal = self.principal_from_generation(id, generation).await?;
        Ok(Principal { is_cookie_current, ..principal })
    }

    /// The session of a request.
    ///
    /// # Errors
    /// As [`Sessions::principal`].
    pub async fn load(&self, headers: &HeaderMap) -> Result<Session, Error> {
        let principal = self.principal(headers).await?;
        self.session_of(principal).await
    }

    /// The session of an id.
    ///
    /// # Errors
    /// As [`Sessions::principal`].
    pub async fn load_by_id(&self, id: SessionId) -> Result<Session, Error> {
        let principal = self.principal_from_generation(id, 0).await?;
        self.session_of(principal).await
    }

    /// The session of a principal.
    ///
    /// # Errors
    /// As [`Sessions::principal`].
    pub async fn session_of(&self, principal: Principal) -> Result<Session, Error> {
        let Principal { id, handle, generation, is_current, stored, opened, .. } = principal;
        if let Some(record) = opened {
            return Ok(Session { id, handle, generation, record: *record, is_current });
        }
        // It was opened before, so it opens now.
        let broken = Error::Unauthenticated { reason: Reason::SessionRecordNotOpened };
        self.open(&id, &handle, &stored).ok_or(broken)
    }

    /// A session in a later generation than the caller's, if there is one. The coordinator is asked unless it answered a
    /// moment ago. What this isolate remembers of the session stays: it is as good as before, and other requests use it.
    ///
    /// # Errors
    /// As [`Sessions::principal`].
    pub async fn newer(&self, session: &Session) -> Result<Option<Session>, Error> {
        let Session { id, handle, generation, .. } = session;
        let stored = self.confirmed(handle, 0, self.settings.revocation_bound.min(RELOAD_PAUSE)).await?;
        if stored.generation <= *generation {
            return Ok(None);
        }
        let principal = self.principal_of(id.clone(), handle.clone(), stored).await?;
        self.session_of(principal).await.map(Some)
    }

    /// The session of an id as the coordinator has it now, without a look at any copy.
    ///
    /// # Errors
    /// As [`Sessions::load`].
    pub async fn read_by_id(&self, id: SessionId) -> Result<Session, Error> {
        let handle = id.handle();
        let stored = self.read(&handle).await?;
        let broken = Error::Unauthenticated { reason: Reason::SessionRecordNotOpened };
        let session = self.open(&id, &handle, &stored).ok_or(broken)?;
        self.check_usable(&session.record.summary(), self.platform.now_ms())?;
        Ok(session)
    }

    /// The session of an id, at least in the generation that its browser knows: an account that was just connected is
    /// there on every isolate.
    async fn principal_from_generation(&self, id: SessionId, known_generation: u64) -> Result<Principal, Error> {
        let handle = id.handle();
        let stored = self.confirmed(&handle, known_generation, self.settings.revocation_bound).await?;
        self.principal_of(id, handle, stored).await
    }

    /// The principal of a session whose record was confirmed.
    async fn principal_of(
        &self,
        id: SessionId,
        handle: SessionHandle,
        stored: Rc<SealedRecord>,
    ) -> Result<Principal, Error> {
        // Whoever knows the id can open the record, so they may know what it says.
        let (stored, summary, opened) = match stored.summary.get().map(Rc::clone) {
            Some(summary) => (stored, summary, None),
            None => {
                let (stored, record) = self.open_or_read(&id, &handle, stored).await?;
                let summary = Rc::clone(stored.summary.get_or_init(|| Rc::new(record.summary())));
                (stored, summary, Some(Box::new(record)))
            }
        };
        let is_current = stored.sealed.is_current(&self.settings.keys);
        self.check_usable(&summary, self.platform.now_ms())?;
        let generation = stored.generation;
        Ok(Principal { id, handle, generation, is_current, is_cookie_current: true, summary, stored, opened })
    }

    /// Opens a record. If it is a damaged copy, the coordinator's may not be; that one then takes its place.
    async fn open_or_read(
        &self,
        id: &SessionId,
        handle: &SessionHandle,
        stored: Rc<SealedRecord>,
    ) -> Result<(Rc<SealedRecord>, SessionRecord), Error> {
        if let Some(record) = self.unseal(id, handle, &stored) {
            return Ok((stored, record));
        }
        self.cache.forget(handle);
        Box::pin(self.repair(id, handle)).await
    }

    /// Opens the coordinator's record, and replaces damaged copies of it here and in the key-value store.
    async fn repair(&self, id: &SessionId, handle: &SessionHandle) -> Result<(Rc<SealedRecord>, SessionRecord), Error> {
        let question = self.cache.question(self.platform.now_ms());
        let stored = Rc::new(self.read(handle).await?);
        let broken = Error::Unauthenticated { reason: Reason::SessionRecordNotOpened };
        let record = self.unseal(id, handle, &stored).ok_or(broken)?;
        self.cache.put(handle, question, Rc::clone(&stored));
        self.write_copy(handle, &stored, &record).await;
        Ok((stored, record))
    }

    fn check_usable(&self, summary: &Summary, now_ms: u64) -> Result<(), Error> {
        if now_ms >= summary.expires_at_ms {
            return Err(Error::Unauthenticated { reason: Reason::SessionExpired });
        }
        // The provider or the tenant may have been removed from the configuration since the sign-in (M74).
        let own = summary.accounts.get(&summary.provider);
        if own.is_none_or(|own| !self.settings.trusts(&summary.provider, &own.issuer)) {
            return Err(Error::Unauthenticated { reason: Reason::ProviderNotConfigured });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::header;
    use serde_json::json;

    use super::*;
    use crate::{
        config::{Config, Coordination},
        session::cache::SessionCache,
        testing::{platform::InMemoryPlatform, run::run, settings::settings},
    };

    /// A record is opened by the first request that needs who it acts for, and by each that needs its tokens.
    #[test]
    fn a_record_is_opened_once_per_generation() {
        let (table, cache) = (settings(), SessionCache::default());
        let config = Config::load(&|key: &str| table.get(key).cloned(), Coordination::Objects).unwrap();
        let platform = InMemoryPlatform::new(|_| None);
        let sessions = Sessions { platform: &platform, settings: &config.sessions, cache: &cache };
        let user = json!({"subject": "github:7", "name": "Ada", "email": null});
        let record: SessionRecord = serde_json::from_value(json!({
            "user": user, "provider": "github", "created_at_ms": platform.now_ms.get(),
            "expires_at_ms": platform.now_ms.get() + 3_600_000,
            "accounts": {"github": {
                "user": user, "issuer": "https://github.com/login/oauth", "sub": "7", "sid": null, "signed_in_at_ms": 0,
                "tokens": {"access_token": "t", "obtained_at_ms": 0, "scopes": []},
            }},
        }))
        .unwrap();
        let cookie = run(sessions.create(&record, "")).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookie.split(';').next().unwrap().parse().unwrap());
        let is_opened = || run(sessions.principal(&headers)).unwrap().opened.is_some();
        assert_eq!([is_opened(), is_opened(), is_opened()], [true, false, false]);
        // Confirming it again changes nothing.
        platform.now_ms.set(platform.now_ms.get() + 3_000_000);
        assert!(!is_opened());
        let summary = || run(sessions.principal(&headers)).unwrap().summary;
        assert!(Rc::ptr_eq(&summary(), &summary()));
        // The next generation is another record.
        let session = run(sessions.load(&headers)).unwrap();
        let lease = run(sessions.wait_for_lease(session)).unwrap();
        run(sessions.store(&lease, &record)).unwrap().unwrap();
        assert_eq!([is_opened(), is_opened()], [true, false]);
    }
}
