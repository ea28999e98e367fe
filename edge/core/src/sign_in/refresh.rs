//! Refreshing a session's tokens: once for all requests that wait, on whichever isolate.
//!
//! The coordinator has the session's record with the sealed refresh token. A refresh needs the session's write lease; the
//! coordinator counts the use of the refresh token when it grants the lease, before the token is sent. The new tokens are
//! stored before they are used. If the lease's holder fails or is cut off:
//!
//! | when | what the next holder finds |
//! |---|---|
//! | before sending | a token counted as sent that was not: it is sent once more, and works |
//! | after sending, before storing | the same count: the token is sent once more if the provider's policy allows it, and only once the provider is reachable; a provider that rotates refuses it, and the user signs in again |
//! | after storing | the new tokens |
//!
//! `attempt` is a request that needs a token, `leased` the request to the provider under the lease, and `settle` what its
//! answer changes.
//!
//! A session ends when its provider ends the grant of the account that began it. When the grant of another account ends,
//! or that of any account after a lost answer, the account must be connected again and the user stays signed in.

mod attempt;
mod leased;
mod settle;

use std::{borrow::Cow, time::Duration};

use secrecy::SecretString;

use self::{
    attempt::{Attempt, is_same},
    leased::LeasedRefresh,
    settle::{PAUSE, remove_refresh_token},
};
use crate::{
    config::Config,
    error::Error,
    memory::Memory,
    oauth::{
        cache,
        discovery::{self, Endpoints},
        dpop::DpopKey,
        provider::Provider,
        restriction::Restriction,
        token_endpoint::Client,
    },
    runtime::{
        clock::millis,
        dependency::Dependency,
        platform::Platform,
        telemetry::outcome::{self, Renewal},
        unavailable::Unavailable,
    },
    session::{
        record::{Access, LinkedAccount},
        state::Outcome,
        store::{Session, Sessions},
        writer::{LeaseReply, WriteLease, WritePurpose},
    },
};

/// A token is refreshed this long before it ends, in milliseconds: it must still be good when the upstream gets it.
const MARGIN_MS: u64 = 30 * 1000;
/// How long to wait for another writer, before the client is asked to retry instead. Slow answers of the coordinator
/// count, too.
const MAX_WAIT: Duration = Duration::from_secs(15);
/// The longest time between asking for the lease and sending the refresh token, in milliseconds. After a longer delay the
/// lease may have expired.
const MAX_STALL_MS: u64 = 10 * 1000;

/// What a refresh works with.
#[derive(Debug)]
pub struct Refresher<'a, P> {
    /// The runtime.
    pub platform: &'a P,
    /// The deployment.
    pub config: &'a Config,
    /// What the isolate remembers.
    pub memory: &'a Memory,
}

impl<P: Platform> Refresher<'_, P> {
    /// The session's account with a provider. Its access token, with this restriction, has not ended. `refused` says that
    /// an upstream refused the token in `session`: then a newer one is used, or the token is refreshed.
    ///
    /// # Errors
    /// [`Error::ProviderSignInNeeded`] if the user must connect the account again, [`Error::Unavailable`] if the
    /// provider does not answer now, [`Error::Unauthenticated`] if the session ended meanwhile.
    pub async fn account(
        &self,
        session: &Session,
        provider: &str,
        restriction: Option<&Restriction>,
        refused: bool,
    ) -> Result<LinkedAccount, Error> {
        let mut attempt = Attempt::new(session, provider, restriction, refused);
        let began_ms = self.platform.now_ms();
        loop {
            let waited = Duration::from_millis(self.platform.now_ms().saturating_sub(began_ms));
            let Some(account) = self.usable_account(&attempt).cloned() else {
                self.reload(&mut attempt).await?;
                continue;
            };
            if !attempt.must_renew && !self.is_expired(account.access(attempt.key())) {
                return Ok(account);
            }
            if account.tokens.refresh_token.is_none() {
                return Err(attempt.sign_in_needed());
            }
            if let Some(refreshed) = self.refresh_or_wait(&mut attempt, account, waited).await? {
                return Ok(refreshed);
            }
        }
    }

    /// The attempt's account, if its token is good or can be refreshed.
    fn usable_account<'s>(&self, attempt: &'s Attempt<'_>) -> Option<&'s LinkedAccount> {
        attempt.account().filter(|it| self.is_usable(attempt.provider_id, it, attempt.key(), attempt.must_renew))
    }

    /// Continues with a newer record of the session, if there is one: the account may just have been connected on another
    /// isolate.
    async fn reload(&self, attempt: &mut Attempt<'_>) -> Result<(), Error> {
        if !attempt.is_from_memory {
            return Err(attempt.sign_in_needed());
        }
        attempt.is_from_memory = false;
        let newer = self.sessions().newer(&attempt.session).await?;
        attempt.session = Cow::Owned(newer.ok_or_else(|| attempt.sign_in_needed())?);
        Ok(())
    }

    /// Asks for the write lease and refreshes. `None`: try again, after another writer or with what it stored.
    async fn refresh_or_wait(
        &self,
        attempt: &mut Attempt<'_>,
        account: LinkedAccount,
        waited: Duration,
    ) -> Result<Option<LinkedAccount>, Error> {
        // Measured from before the request: the coordinator's lease began later, however long the answer took.
        let asked_ms = self.platform.now_ms();
        let is_due = self.is_expired(account.access(attempt.key()));
        let refused = (!is_due).then(|| attempt.key().unwrap_or_default());
        let purpose = WritePurpose::Refresh { account: attempt.provider_id, refused };
        let usable_until_refreshed = self.is_usable_until_refreshed(attempt, &account).then_some(account);
        match self.sessions().acquire_lease(&attempt.session, purpose).await? {
            LeaseReply::Newer(newer) => {
                attempt.continue_with(newer);
                Ok(None)
            }
            LeaseReply::Busy { wait } if waited < MAX_WAIT => {
                self.platform.sleep(wait).await;
                Ok(None)
            }
            LeaseReply::Busy { .. } => {
                let slow = || {
                    Unavailable::new(Dependency::IdentityProvider, "another request has been refreshing for too long")
                        .into()
                };
                usable_until_refreshed.ok_or_else(slow).map(Some)
            }
            LeaseReply::RetryLater { wait } => {
                let paused = || {
                    Unavailable::new(Dependency::IdentityProvider, format_args!("is not asked again for {wait:?}"))
                        .into()
                };
                usable_until_refreshed.ok_or_else(paused).map(Some)
            }
            LeaseReply::RefreshedRecently => Err(attempt.sign_in_needed()),
            LeaseReply::Granted(lease) => {
                // Boxed: few calls refresh a token, and all would carry the space for it on a small stack.
                let refreshed =
                    Box::pin(self.refresh(&lease, attempt.provider_id, attempt.restriction, asked_ms)).await;
                match (refreshed, usable_until_refreshed) {
                    (Err(Error::Unavailable(_)), Some(account)) => Ok(Some(account)),
                    (refreshed, _) => refreshed?.ok_or_else(|| attempt.sign_in_needed()).map(Some),
                }
            }
        }
    }

    /// Whether the access token is still good and no upstream refused it. A refresh starts before the token ends. Until
    /// then, an outage of the provider does not matter.
    fn is_usable_until_refreshed(&self, attempt: &Attempt<'_>, account: &LinkedAccount) -> bool {
        let has_not_ended = |ends_ms| self.platform.now_ms() < ends_ms;
        let access = account.access(attempt.key());
        !attempt.must_renew && access.is_some_and(|it| it.expires_at_ms.is_none_or(has_not_ended))
    }

    /// Refreshes under the write lease. `None`: the provider no longer honours the refresh token, or not for this
    /// restriction.
    async fn refresh(
        &self,
        lease: &WriteLease,
        provider_id: &str,
        restriction: Option<&Restriction>,
        asked_ms: u64,
    ) -> Result<Option<LinkedAccount>, Error> {
        let account = lease.session.record.accounts.get(provider_id);
        let provider = account.and_then(|it| self.config.provider_of(provider_id, &it.issuer));
        let (Some(account), Some(provider)) = (account, provider) else {
            self.sessions().release_unused(lease).await?;
            return Ok(None);
        };
        // A refresh token that does not rotate is never consumed (M78).
        let (unanswered_sends, possibly_consumed) =
            if provider.refresh.rotates { (lease.unanswered_sends, lease.possibly_consumed) } else { (0, false) };
        if unanswered_sends > u32::from(provider.refresh.retries_lost_answer) {
            outcome::refresh(self.platform, &provider.id, Renewal::Exhausted);
            remove_refresh_token(&self.sessions(), lease, provider_id).await?;
            return Ok(None);
        }
        let endpoints = self.prepare(lease, provider, unanswered_sends, asked_ms).await?;
        let (platform, cache) = (self.platform, &self.memory.discovery);
        let client = Client { platform, cache, provider, endpoints: &endpoints, send_by_ms: None };
        let dpop = account.dpop_key.as_ref().and_then(DpopKey::from_jwk);
        let leased = LeasedRefresh { sessions: self.sessions(), lease, client, account, dpop, possibly_consumed };
        let answer = leased.send(restriction).await;
        leased.settle(restriction, answer).await
    }

    /// What must hold before the refresh token is sent: the provider's endpoints are known, it is reachable if this is the
    /// last time that the token may be sent, and the lease is still young. Releases the lease otherwise.
    async fn prepare(
        &self,
        lease: &WriteLease,
        provider: &Provider,
        unanswered_sends: u32,
        asked_ms: u64,
    ) -> Result<Endpoints, Error> {
        let sessions = self.sessions();
        let unsent = Outcome::NotConsumed { wait_ms: millis(PAUSE), possibly_consumed: false };
        let endpoints = match cache::endpoints(self.platform, &self.memory.discovery, provider).await {
            Ok(endpoints) => endpoints,
            Err(error) => {
                sessions.release(lease, unsent).await?;
                return Err(error.into());
            }
        };
        if unanswered_sends > 0
            && let Err(error) = discovery::check_reachable(self.platform, provider).await
        {
            sessions.release(lease, unsent).await?;
            return Err(error.into());
        }
        if self.platform.now_ms().saturating_sub(asked_ms) > MAX_STALL_MS {
            sessions.release_unused(lease).await?;
            return Err(Unavailable::new(Dependency::IdentityProvider, "held up before it was asked").into());
        }
        Ok(endpoints)
    }

    /// Stores that the provider rejected an access token that has no refresh token: the account must be connected again.
    /// Does nothing if the account has another token by now, or while another writer has the lease.
    ///
    /// # Errors
    /// The session has ended, or the coordinator did not answer.
    pub async fn mark_token_rejected(
        &self,
        session: &Session,
        provider_id: &str,
        token: &SecretString,
    ) -> Result<(), Error> {
        let sessions = self.sessions();
        let reply = match sessions.acquire_lease(session, WritePurpose::Other).await? {
            LeaseReply::Newer(newer) => sessions.acquire_lease(&newer, WritePurpose::Other).await?,
            reply => reply,
        };
        let LeaseReply::Granted(lease) = reply else { return Ok(()) };
        let tokens = lease.session.record.accounts.get(provider_id).map(|account| &account.tokens);
        if tokens.is_some_and(|it| it.refresh_token.is_none() && is_same(&it.access_token, token)) {
            remove_refresh_token(&sessions, &lease, provider_id).await?;
        } else {
            sessions.release_unused(&lease).await?;
        }
        Ok(())
    }

    /// Whether the provider that issued the account's tokens is configured, and the token is good or can be refreshed.
    fn is_usable(&self, provider: &str, account: &LinkedAccount, key: Option<&str>, must_renew: bool) -> bool {
        let is_used_up = self.is_expired(account.access(key)) && account.tokens.refresh_token.is_none();
        let is_denied = key.is_some_and(|key| account.is_denied(key, self.platform.now_ms()));
        self.config.provider_of(provider, &account.issuer).is_some() && (must_renew || !is_used_up) && !is_denied
    }

    /// Whether a token has ended, is about to, or was never requested.
    fn is_expired(&self, access: Option<Access<'_>>) -> bool {
        let Some(Access { obtained_at_ms, expires_at_ms, .. }) = access else { return true };
        expires_at_ms.is_some_and(|expires_at_ms| {
            // At most a tenth of its lifetime: a short-lived token would be refreshed at each request otherwise.
            let margin_ms = MARGIN_MS.min(expires_at_ms.saturating_sub(obtained_at_ms) / 10);
            expires_at_ms <= self.platform.now_ms().saturating_add(margin_ms)
        })
    }

    /// The sessions whose tokens it renews.
    pub fn sessions(&self) -> Sessions<'_, P> {
        Sessions { platform: self.platform, settings: &self.config.sessions, cache: &self.memory.sessions }
    }
}
