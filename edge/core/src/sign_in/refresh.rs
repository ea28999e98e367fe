//! Refreshing a session's tokens: once for all requests that wait, on whichever isolate.
//!
//! The coordinator has the session's record with the sealed refresh token. A refresh needs the session's write lease; the
//! coordinator counts the use of the refresh token when it grants the lease, before the token is sent. The new tokens are
//! stored before they are used. If the lease's holder dies or is cut off:
//!
//! | when | what the next holder finds |
//! |---|---|
//! | before sending | a token counted as sent that was not: it is sent once more, and works |
//! | after sending, before storing | the same count: the token is sent once more if the provider's policy allows it, and only once the provider is reachable; a provider that rotates refuses it, and the user signs in again |
//! | after storing | the new tokens |
//!
//! A session ends when its provider ends the grant of the account that began it. When the grant of another account ends,
//! or that of any account after a lost answer, the account must be connected again and the user stays signed in.

use std::{borrow::Cow, time::Duration};

use causeway_protocol::hub::EndReason;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    config::Config,
    error::Error,
    memory::Memory,
    oauth::{
        cache,
        discovery::{self, Endpoints},
        dpop::DpopKey,
        provider::Provider,
        refresh::{RefreshOutcome, refresh},
        restriction::Restriction,
        revocation::revoke,
        token_endpoint::Client,
    },
    runtime::{
        clock::{millis, within},
        platform::Platform,
        telemetry::{self, Renewal},
        unavailable::Unavailable,
    },
    session::{
        record::{Access, LinkedAccount, RestrictedToken},
        state::{Consumption, Outcome},
        store::{Session, Sessions},
        writer::{LeaseReply, WriteLease, WritePurpose},
    },
    token_set::TokenSet,
};

/// A token is refreshed this long before it ends, in milliseconds: it must still be good when the upstream gets it.
const MARGIN_MS: u64 = 30 * 1000;
/// How long to wait for another writer, before the client is asked to retry instead. Slow answers of the coordinator
/// count, too.
const MAX_WAIT: Duration = Duration::from_secs(15);
/// The shortest and the longest pause after a failure of the provider.
const PAUSE: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_secs(300);
/// How long a refresh may take as a whole. Together with [`MAX_STALL_MS`] it is well below the length of a lease,
/// [`crate::session::state::LEASE_MS`].
const TIMEOUT: Duration = Duration::from_secs(20);
/// The longest time between asking for the lease and sending the refresh token, in milliseconds. After a longer delay the
/// lease may have expired.
const MAX_STALL_MS: u64 = 10 * 1000;
/// How long a provider that denied a restriction is not asked for it again, in milliseconds.
const DENIAL_MS: u64 = 60 * 1000;

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

/// The state of a request for an account's access token.
struct Attempt<'a> {
    session: Cow<'a, Session>,
    provider_id: &'a str,
    restriction: Option<&'a Restriction>,
    /// [`Restriction::key`] of the restriction.
    key: Option<String>,
    /// Whether an upstream refused the token that the session has.
    must_renew: bool,
    /// Whether the session may come from this isolate's memory.
    is_from_memory: bool,
}

impl Attempt<'_> {
    fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    fn sign_in_needed(&self) -> Error {
        Error::ProviderSignInNeeded { provider: self.provider_id.to_owned() }
    }

    fn access_token<'s>(&self, session: &'s Session) -> Option<&'s SecretString> {
        let account = session.record.accounts.get(self.provider_id)?;
        account.access(self.key()).map(|access| access.token)
    }

    /// Continues with a newer session. Its account may have another token now, or still the one that was refused.
    fn continue_with(&mut self, newer: Session) {
        let tokens = self.access_token(&self.session).zip(self.access_token(&newer));
        self.must_renew = self.must_renew && tokens.is_some_and(|(before, after)| same(before, after));
        self.session = Cow::Owned(newer);
    }
}

/// A refresh by the holder of the write lease.
struct LeasedRefresh<'a, P> {
    lease: &'a WriteLease,
    client: Client<'a, P>,
    account: &'a LinkedAccount,
    dpop: Option<DpopKey>,
    /// Whether an earlier use may have consumed the refresh token.
    possibly_consumed: bool,
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
        let mut attempt = Attempt {
            session: Cow::Borrowed(session),
            provider_id: provider,
            restriction,
            key: restriction.map(Restriction::key),
            must_renew: refused,
            is_from_memory: true,
        };
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
            if let Some(renewed) = self.renew_or_wait(&mut attempt, account, waited).await? {
                return Ok(renewed);
            }
        }
    }

    /// The attempt's account, if its token is good or can be refreshed.
    fn usable_account<'s>(&self, attempt: &'s Attempt<'_>) -> Option<&'s LinkedAccount> {
        let account = attempt.session.record.accounts.get(attempt.provider_id);
        account.filter(|it| self.is_usable(attempt.provider_id, it, attempt.key(), attempt.must_renew))
    }

    /// Loads the session once more: the account may just have been connected on another isolate.
    async fn reload(&self, attempt: &mut Attempt<'_>) -> Result<(), Error> {
        if !attempt.is_from_memory {
            return Err(attempt.sign_in_needed());
        }
        attempt.is_from_memory = false;
        self.memory.sessions.forget(&attempt.session.handle);
        attempt.session = Cow::Owned(self.sessions().load_by_id(attempt.session.id.clone()).await?);
        Ok(())
    }

    /// Asks for the write lease and refreshes. `None`: try again, after another writer or with what it stored.
    async fn renew_or_wait(
        &self,
        attempt: &mut Attempt<'_>,
        account: LinkedAccount,
        waited: Duration,
    ) -> Result<Option<LinkedAccount>, Error> {
        let access = account.access(attempt.key());
        let is_due = self.is_expired(access);
        // A refresh starts before the token ends. While the token is good, an outage of the provider does not matter.
        let is_still_good =
            access.is_some_and(|it| it.expires_at_ms.is_none_or(|ends_ms| self.platform.now_ms() < ends_ms));
        let still_good = (!attempt.must_renew && is_still_good).then(|| account.clone());
        // Measured from before the request: the coordinator's lease began later, however long the answer took.
        let asked_ms = self.platform.now_ms();
        let refused = (!is_due).then(|| attempt.key().unwrap_or_default());
        let purpose = WritePurpose::Refresh { account: attempt.provider_id, refused };
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
                let slow = || Unavailable::new("identity provider", "renews for too long").into();
                still_good.ok_or_else(slow).map(Some)
            }
            LeaseReply::RetryLater { wait } => {
                let paused = || Unavailable::new("identity provider", format_args!("rests for {wait:?}")).into();
                still_good.ok_or_else(paused).map(Some)
            }
            LeaseReply::RefreshedRecently => Err(attempt.sign_in_needed()),
            LeaseReply::Granted(lease) => {
                // Boxed: few calls refresh a token, and all would carry the space for it on a small stack.
                let renewed = Box::pin(self.renew(&lease, attempt.provider_id, attempt.restriction, asked_ms)).await;
                match (renewed, still_good) {
                    (Err(Error::Unavailable(_)), Some(good)) => Ok(Some(good)),
                    (renewed, _) => renewed?.ok_or_else(|| attempt.sign_in_needed()).map(Some),
                }
            }
        }
    }

    /// Refreshes under the write lease. `None`: the provider no longer honours the refresh token, or not for this
    /// restriction.
    async fn renew(
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
            self.report(provider, Renewal::Exhausted);
            return self.without_refresh_token(lease, provider_id).await;
        }
        let endpoints = self.prepare(lease, provider, unanswered_sends, asked_ms).await?;
        let (platform, cache) = (self.platform, &self.memory.discovery);
        let client = Client { platform, cache, provider, endpoints: &endpoints, send_by_ms: None };
        let dpop = account.dpop_key.as_ref().and_then(DpopKey::from_jwk);
        let leased = LeasedRefresh { lease, client, account, dpop, possibly_consumed };
        let (answer, denied) = self.send(&leased, restriction).await;
        self.settle(&leased, restriction, answer, denied).await
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
            return Err(Unavailable::new("identity provider", "held up before it was asked").into());
        }
        Ok(endpoints)
    }

    /// Sends the refresh token. Returns the answer, and the key of the restriction if the provider does not grant it.
    async fn send(
        &self,
        leased: &LeasedRefresh<'_, P>,
        restriction: Option<&Restriction>,
    ) -> (RefreshOutcome, Option<String>) {
        // `within` checks the clock only after the work. The deadline stops the second request of a refresh that was
        // delayed between the two.
        let send_by_ms = Some(self.platform.now_ms().saturating_add(millis(TIMEOUT)));
        let sender = Client { send_by_ms, ..leased.client };
        let (tokens, dpop) = (&leased.account.tokens, leased.dpop.as_ref());
        let work = async {
            let answer = refresh(&sender, tokens, restriction, dpop).await;
            match (restriction, answer) {
                // The provider may have ended the grant or only denied the restriction: a refresh without it shows which.
                // A single-use refresh token is risked for that only because it would be dropped otherwise.
                (Some(restriction), RefreshOutcome::GrantEnded(reason)) => {
                    self.report(sender.provider, Renewal::Denied(reason));
                    Ok((refresh(&sender, tokens, None, dpop).await, Some(restriction.key())))
                }
                (Some(restriction), answer @ RefreshOutcome::RestrictionDenied(_)) => {
                    Ok((answer, Some(restriction.key())))
                }
                (_, answer) => Ok((answer, None)),
            }
        };
        within(self.platform, TIMEOUT, "identity provider", work).await.unwrap_or((RefreshOutcome::Unknown, None))
    }

    /// Stores what the answer means, and releases the lease.
    async fn settle(
        &self,
        leased: &LeasedRefresh<'_, P>,
        restriction: Option<&Restriction>,
        answer: RefreshOutcome,
        denied: Option<String>,
    ) -> Result<Option<LinkedAccount>, Error> {
        let (lease, provider) = (leased.lease, leased.client.provider);
        match answer {
            RefreshOutcome::Refreshed(fresh) => self.store_refreshed(leased, restriction, *fresh, denied).await,
            // The session ends with the account that began it (M10). But if an earlier use may have consumed the refresh
            // token, its refusal proves nothing about the grant.
            RefreshOutcome::GrantEnded(reason)
                if lease.session.record.provider == provider.id && !leased.possibly_consumed =>
            {
                self.end_session(lease, provider, reason).await
            }
            RefreshOutcome::GrantEnded(reason) => {
                self.report(provider, Renewal::Ended(reason));
                self.without_refresh_token(lease, &provider.id).await
            }
            RefreshOutcome::RestrictionDenied(reason) => {
                self.report(provider, Renewal::Denied(reason));
                self.store_denial(lease, provider, denied).await
            }
            RefreshOutcome::SubjectMismatch { reason, tokens } => {
                self.report(provider, Renewal::SubjectMismatch(reason));
                let ended = self.sessions().end(&lease.session.handle, EndReason::Revoked).await;
                revoke(&leased.client, &tokens, leased.dpop.as_ref()).await;
                ended?;
                Err(Error::Unauthenticated { reason: "session ended for a refresh that cannot be trusted" })
            }
            RefreshOutcome::Failed { retry_after_seconds, detail, possibly_consumed } => {
                self.report(provider, Renewal::NotNow(detail));
                let wait = retry_after_seconds.map_or(PAUSE, |seconds| Duration::from_secs(seconds.into()));
                let wait_ms = millis(wait.clamp(PAUSE, MAX_PAUSE));
                self.sessions().release(lease, Outcome::NotConsumed { wait_ms, possibly_consumed }).await?;
                Err(Unavailable::new("identity provider", detail).into())
            }
            RefreshOutcome::Unknown => {
                self.report(provider, Renewal::Lost);
                self.sessions().release(lease, Outcome::Unanswered { wait_ms: millis(PAUSE) }).await?;
                Err(Unavailable::new("identity provider", "gave no answer that could be read").into())
            }
        }
    }

    /// Stores new tokens. `None` if they came without the restriction, because the provider denied it.
    async fn store_refreshed(
        &self,
        leased: &LeasedRefresh<'_, P>,
        restriction: Option<&Restriction>,
        fresh: TokenSet,
        denied: Option<String>,
    ) -> Result<Option<LinkedAccount>, Error> {
        let mut renewed = leased.account.clone();
        // Tokens with a restriction that no service has any more are dropped.
        let restrictions = &leased.client.provider.restrictions;
        renewed.restricted.retain(|key, _| restrictions.iter().any(|it| it.key() == *key));
        match (restriction, &denied) {
            (Some(restriction), None) => renewed.renew_restricted(restriction.key(), fresh),
            _ => renewed.tokens = fresh,
        }
        let is_denied = denied.is_some();
        if let Some(key) = denied {
            renewed.restricted.insert(key, self.denial());
        }
        let stored = self.store(leased.lease, &leased.client, leased.dpop.as_ref(), renewed).await?;
        Ok((!is_denied).then_some(stored))
    }

    /// Ends the session whose own account's grant the provider ended.
    async fn end_session<T>(&self, lease: &WriteLease, provider: &Provider, reason: &'static str) -> Result<T, Error> {
        if self.sessions().end_with_lease(lease, EndReason::Revoked).await? {
            self.report(provider, Renewal::Ended(reason));
            return Err(Error::Unauthenticated { reason: "the provider ended the account's grant" });
        }
        // The lease has passed on: the account may be connected anew, and the answer was about its former tokens.
        self.report(provider, Renewal::Superseded);
        Err(Unavailable::new("session coordinator", "gave the turn to somebody else").into())
    }

    /// Stores that the provider denied a restriction.
    async fn store_denial(
        &self,
        lease: &WriteLease,
        provider: &Provider,
        denied: Option<String>,
    ) -> Result<Option<LinkedAccount>, Error> {
        let mut record = lease.session.record.clone();
        if let (Some(account), Some(key)) = (record.accounts.get_mut(&provider.id), denied) {
            account.restricted.insert(key, self.denial());
        }
        let consumption = match (provider.refresh.rotates, provider.refresh.retries_lost_answer) {
            (false, _) => Consumption::None,
            (true, true) => Consumption::Possible,
            (true, false) => Consumption::Counted,
        };
        self.sessions().store_with_consumption(lease, &record, consumption).await?;
        Ok(None)
    }

    /// Stores new tokens before they are used. Tokens of a session that ended are revoked.
    async fn store(
        &self,
        lease: &WriteLease,
        client: &Client<'_, P>,
        dpop: Option<&DpopKey>,
        renewed: LinkedAccount,
    ) -> Result<LinkedAccount, Error> {
        let mut record = lease.session.record.clone();
        record.accounts.insert(client.provider.id.clone(), renewed.clone());
        match self.sessions().store(lease, &record).await {
            Ok(Some(_)) => {
                self.report(client.provider, Renewal::Done);
                Ok(renewed)
            }
            Ok(None) => {
                // Not revoked: the next writer may have tokens of the same grant, which would be revoked with these.
                self.report(client.provider, Renewal::Superseded);
                Err(Unavailable::new("session coordinator", "gave the turn to somebody else").into())
            }
            Err(error @ Error::Unauthenticated { .. }) => {
                // The session has ended: the tokens will never be used (S114).
                self.report(client.provider, Renewal::SessionEnded);
                revoke(client, &renewed.tokens, dpop).await;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// The entry for a denied restriction.
    fn denial(&self) -> RestrictedToken {
        let now_ms = self.platform.now_ms();
        RestrictedToken::denied(now_ms, now_ms.saturating_add(DENIAL_MS))
    }

    /// Stores the record without a dead refresh token, so that it is not sent again.
    async fn without_refresh_token(
        &self,
        lease: &WriteLease,
        provider_id: &str,
    ) -> Result<Option<LinkedAccount>, Error> {
        let mut record = lease.session.record.clone();
        if let Some(account) = record.accounts.get_mut(provider_id) {
            account.tokens.refresh_token = None;
            account.tokens.expires_at_ms = Some(0);
            account.restricted.clear();
        }
        self.sessions().store(lease, &record).await?;
        Ok(None)
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
        if tokens.is_some_and(|it| it.refresh_token.is_none() && same(&it.access_token, token)) {
            self.without_refresh_token(&lease, provider_id).await?;
        } else {
            sessions.release_unused(&lease).await?;
        }
        Ok(())
    }

    /// Whether the provider that issued the account's tokens is configured, and the token is good or can be refreshed.
    fn is_usable(&self, provider: &str, account: &LinkedAccount, key: Option<&str>, must_renew: bool) -> bool {
        let is_spent = self.is_expired(account.access(key)) && account.tokens.refresh_token.is_none();
        let is_denied = key.is_some_and(|key| account.is_denied(key, self.platform.now_ms()));
        self.config.provider_of(provider, &account.issuer).is_some() && (must_renew || !is_spent) && !is_denied
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

    fn sessions(&self) -> Sessions<'_, P> {
        Sessions { platform: self.platform, settings: &self.config.sessions, cache: &self.memory.sessions }
    }

    fn report(&self, provider: &Provider, outcome: Renewal) {
        telemetry::refresh(self.platform, &provider.id, outcome);
    }
}

fn same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}
