//! Loading sessions: cookie → id → sealed record → principal, and session where its tokens are needed.

use std::rc::Rc;

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

impl<P: Platform> Sessions<'_, P> {
    /// Who a request acts for. Opens the session's record only if this isolate has not done so before.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] without a valid session, [`Error::Unavailable`] if the coordinator does not answer.
    pub async fn principal(&self, headers: &HeaderMap) -> Result<Principal, Error> {
        let CookieContents { expires_at_ms, generation, id } = CookieContents::find(headers, self.settings)?;
        if self.platform.now_ms() >= expires_at_ms {
            return Err(Error::Unauthenticated { reason: Reason::SessionCookieExpired });
        }
        self.principal_from_generation(id, generation).await
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
        match self.open(&id, &handle, &stored) {
            Some(session) => Ok(session),
            None => Box::pin(self.read_and_open(&id, &handle)).await,
        }
    }

    /// The session of an id as the coordinator has it now, without a look at any copy.
    ///
    /// # Errors
    /// As [`Sessions::load`].
    pub async fn read_by_id(&self, id: SessionId) -> Result<Session, Error> {
        let handle = id.handle();
        let session = self.read_and_open(&id, &handle).await?;
        self.check_usable(&session.record.summary(), self.platform.now_ms())?;
        Ok(session)
    }

    /// The session of an id, at least in the generation that its browser knows: an account that was just connected is
    /// there on every isolate.
    async fn principal_from_generation(&self, id: SessionId, known_generation: u64) -> Result<Principal, Error> {
        let handle = id.handle();
        let stored = self.confirmed(&handle, known_generation).await?;
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
        Ok(Principal { id, handle, generation: stored.generation, is_current, summary, stored, opened })
    }

    /// Opens a record. If it is a damaged copy, the coordinator's may not be.
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
        let stored = Box::pin(self.read(handle)).await?;
        let broken = Error::Unauthenticated { reason: Reason::SessionRecordNotOpened };
        let record = self.unseal(id, handle, &stored).ok_or(broken)?;
        Ok((Rc::new(stored), record))
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

    async fn read_and_open(&self, id: &SessionId, handle: &SessionHandle) -> Result<Session, Error> {
        let stored = self.read(handle).await?;
        self.open(id, handle, &stored).ok_or(Error::Unauthenticated { reason: Reason::SessionRecordNotOpened })
    }
}
