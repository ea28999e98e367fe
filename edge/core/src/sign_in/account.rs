//! The accounts of a session: connecting another one and disconnecting one.
//!
//! The account that the user signed in with decides whose session it is. The other accounts only provide their tokens.

use super::step_up;
use crate::{
    error::Error,
    oauth::{
        cache::{self, DiscoveryCache},
        dpop::DpopKey,
        provider::Provider,
        revocation::{MAX_WAIT, revoke},
        token_endpoint::Client,
    },
    runtime::{
        clock::within,
        dependency::Dependency,
        event_name::EventName,
        platform::Platform,
        telemetry::{Event, Name},
        unavailable::Unavailable,
    },
    session::{
        id::SessionId,
        record::{LinkedAccount, SessionRecord},
        store::{Session, Sessions},
    },
};

/// How often a change is tried. An attempt fails if it takes longer than its lease.
const MAX_ATTEMPTS: usize = 3;

/// Why a change of a session's record failed.
#[derive(Debug)]
pub enum ChangeError {
    /// Nothing was stored.
    NotStored(Error),
    /// The change may have been stored.
    Unknown(Error),
}

impl From<Error> for ChangeError {
    fn from(error: Error) -> Self {
        Self::NotStored(error)
    }
}

impl From<Unavailable> for ChangeError {
    fn from(error: Unavailable) -> Self {
        Self::NotStored(error.into())
    }
}

impl From<ChangeError> for Error {
    fn from((ChangeError::NotStored(error) | ChangeError::Unknown(error)): ChangeError) -> Self {
        error
    }
}

/// Changes which accounts a session has.
#[derive(Debug)]
pub struct Accounts<'a, P> {
    /// Where the sessions are.
    pub sessions: Sessions<'a, P>,
    /// What the isolate knows of providers.
    pub discovery: &'a DiscoveryCache,
}

impl<P: Platform> Accounts<'_, P> {
    /// Connects an account whose user has just signed in at its provider. If an upstream demanded the sign-in, the account
    /// must be the one that is connected already. Returns the `Set-Cookie` value of the session.
    ///
    /// # Errors
    /// [`ChangeError`], with [`Error::OtherAccount`] for another user of the session's own provider, or another user than
    /// an upstream demanded.
    pub async fn connect(
        &self,
        id: SessionId,
        provider: &Provider,
        account: LinkedAccount,
    ) -> Result<String, ChangeError> {
        let session = self.sessions.load_by_id(id).await?;
        let insert = |record: &mut SessionRecord| {
            if record.provider == provider.id && record.user.subject != account.user.subject {
                return Err(Error::OtherAccount);
            }
            let mut account = account.clone();
            if let Some(answered) = &mut account.step_up {
                let former = record.accounts.get(&provider.id);
                let former = former.filter(|former| former.user.subject == account.user.subject);
                step_up::follow(answered, former.ok_or(Error::OtherAccount)?.step_up.as_ref());
            }
            Ok(record.accounts.insert(provider.id.clone(), account))
        };
        let (replaced, session) = self.change(session, insert).await?;
        // Only if another account of the provider took its place.
        if let Some(replaced) = replaced.filter(|replaced| replaced.sub != account.sub) {
            self.revoke_tokens(provider, &replaced).await;
        }
        self.sessions.cookie_for(&session).map_err(|error| ChangeError::Unknown(error.into()))
    }

    /// Disconnects an account and revokes its tokens. Returns the `Set-Cookie` value of the session.
    ///
    /// # Errors
    /// [`Error`] if the account may still be connected.
    pub async fn disconnect(&self, session: Session, provider: &Provider) -> Result<String, Error> {
        let remove = |record: &mut SessionRecord| Ok(record.accounts.remove(&provider.id));
        let (removed, session) = self.change(session, remove).await?;
        let cookie = self.sessions.cookie_for(&session)?;
        if let Some(removed) = removed {
            self.revoke_tokens(provider, &removed).await;
        }
        Ok(cookie)
    }

    /// Changes a session's record. Returns the account that the change removed, and the changed session.
    async fn change(
        &self,
        mut session: Session,
        mut change: impl FnMut(&mut SessionRecord) -> Result<Option<LinkedAccount>, Error>,
    ) -> Result<(Option<LinkedAccount>, Session), ChangeError> {
        let sessions = &self.sessions;
        for _ in 0..MAX_ATTEMPTS {
            let lease = sessions.wait_for_lease(session.clone()).await?;
            let mut record = lease.session.record.clone();
            let removed = match change(&mut record) {
                Ok(removed) => removed,
                Err(error) => {
                    sessions.release_unused(&lease).await?;
                    return Err(error.into());
                }
            };
            let stored = sessions.store(&lease, &record).await.map_err(|error| match error {
                error @ Error::Unavailable(_) => ChangeError::Unknown(error),
                error => ChangeError::NotStored(error),
            });
            if let Some(changed) = stored? {
                return Ok((removed, changed));
            }
            session = lease.session;
        }
        Err(Unavailable::new(Dependency::SessionCoordinator, "others write for too long").into())
    }

    /// Has the provider that issued an account's tokens revoke them. A failure only leaves a line in the log: the account
    /// is forgotten here anyway, and the user waits no longer than [`MAX_WAIT`] (S128).
    pub async fn revoke_tokens(&self, provider: &Provider, account: &LinkedAccount) {
        if !provider.is_issuer(&account.issuer) {
            return;
        }
        let (platform, cache) = (self.sessions.platform, self.discovery);
        let work = async {
            let endpoints = cache::endpoints(platform, cache, provider).await?;
            let dpop = account.dpop_key.as_ref().and_then(DpopKey::from_jwk);
            let client = Client { platform, cache, provider, endpoints: &endpoints, send_by_ms: None };
            revoke(&client, &account.tokens, dpop.as_ref()).await;
            Ok(())
        };
        if let Err(error) = within(platform, MAX_WAIT, Dependency::IdentityProvider, work).await {
            Event::warn(EventName::RevocationFailed)
                .with("provider", Name(&provider.id))
                .with("detail", &error)
                .write(platform);
        }
    }
}
