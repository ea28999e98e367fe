//! A session's tokens, renewed when they are over: once, for all who wait, wherever they wait.
//!
//! Where things rest: the refresh token lies sealed in the session's record at the coordinator. Whoever renews becomes
//! the session's writer first; that is where the use of the token is counted, before it is sent. The new tokens are
//! stored before anybody uses them. What can happen in between:
//!
//! | the writer dies or is cut off | the next one finds |
//! |---|---|
//! | before sending | a token counted as sent though it was not: sent again once, and works |
//! | after sending, before storing | the same count: sent again once if the provider's policy allows it, and not before the provider answers something harmless; a provider that rotates refuses, and the user signs in again |
//! | after storing | the new tokens |
//!
//! A session ends with the account that began it, by its provider's word. When another account's grant is over, or that
//! of any after a lost answer, the account must be connected again and the user stays signed in.

use std::{borrow::Cow, time::Duration};

use causeway_protocol::hub::EndReason;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    config::Config,
    error::Error,
    memory::Memory,
    oauth::{
        cache, discovery,
        dpop::DpopKey,
        provider::Provider,
        refresh::{Refresh, refresh},
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
};

/// A token is renewed this much before it ends: it must still be good when it arrives.
const MARGIN_MS: u64 = 30 * 1000;
/// How long to wait for somebody else's refresh, before the client is asked to wait instead. A coordinator that takes
/// its time to say that it is not our turn counts, too.
const MAX_WAIT: Duration = Duration::from_secs(15);
/// How long a provider that failed is left alone, at least and at most.
const PAUSE: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_secs(300);
/// How long a refresh may take as a whole. With [`STALL_MS`] well below a lease,
/// [`crate::session::state::LEASE_MS`].
const TIMEOUT: Duration = Duration::from_secs(20);
/// Longer than anything between asking for the turn and sending should take; whoever was held up for longer than this
/// might no longer be the writer.
const STALL_MS: u64 = 10 * 1000;
/// How long a provider's refusal to restrict a token is believed, in milliseconds, before it is asked again.
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

impl<P: Platform> Refresher<'_, P> {
    /// The session's account with a provider, with an access token, restricted so, that has not ended. `refused` says
    /// that an upstream would not take the one in `session`: then there is a newer one, or it is renewed.
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
        let key = restriction.map(Restriction::key);
        let key = key.as_deref();
        let mut session = Cow::Borrowed(session);
        let mut must_renew = refused;
        let mut is_from_memory = true;
        let began_ms = self.platform.now_ms();
        loop {
            let waited = Duration::from_millis(self.platform.now_ms().saturating_sub(began_ms));
            let needed = || Error::ProviderSignInNeeded { provider: provider.to_owned() };
            let Some(account) =
                session.record.accounts.get(provider).filter(|it| self.is_usable(provider, it, key, must_renew))
            else {
                // The account may have been connected, a moment ago and somewhere else.
                if !is_from_memory {
                    return Err(needed());
                }
                is_from_memory = false;
                self.memory.sessions.forget(&session.handle);
                session = Cow::Owned(self.sessions().load_by_id(session.id.clone()).await?);
                continue;
            };
            let access = account.access(key);
            if !must_renew && !self.is_expired(access) {
                return Ok(account.clone());
            }
            if account.tokens.refresh_token.is_none() {
                return Err(needed());
            }
            // It was to be renewed in time, and there still is some: an outage of the provider is none of the user's yet.
            let lasts =
                access.is_some_and(|it| it.expires_at_ms.is_none_or(|ends_ms| self.platform.now_ms() < ends_ms));
            let good = Some(account).filter(|_| !must_renew && lasts).cloned();
            // Reckoned from before the turn was asked for: the coordinator's lease began later, whatever held us up since.
            let asked_ms = self.platform.now_ms();
            let refused = (!self.is_expired(access)).then(|| key.unwrap_or_default());
            let purpose = WritePurpose::Refresh { account: provider, refused };
            match self.sessions().acquire_lease(&session, purpose).await? {
                LeaseReply::Newer(newer) => {
                    let before = access.map(|it| it.token);
                    let after = newer.record.accounts.get(provider).and_then(|it| it.access(key)).map(|it| it.token);
                    // What is newer may be another account's tokens; these are as refused as before.
                    must_renew = must_renew && before.zip(after).is_some_and(|(before, after)| same(before, after));
                    session = Cow::Owned(newer);
                }
                LeaseReply::Busy { wait } if waited < MAX_WAIT => {
                    self.platform.sleep(wait).await;
                }
                LeaseReply::Busy { .. } => {
                    return good.ok_or_else(|| Unavailable::new("identity provider", "renews for too long").into());
                }
                LeaseReply::RetryLater { wait } => {
                    let rests = || Unavailable::new("identity provider", format_args!("rests for {wait:?}")).into();
                    return good.ok_or_else(rests);
                }
                LeaseReply::RefreshedRecently => return Err(needed()),
                LeaseReply::Granted(writer) => {
                    return match (self.renew(&writer, provider, restriction, asked_ms).await, good) {
                        (Err(Error::Unavailable(_)), Some(good)) => Ok(good),
                        (renewed, _) => renewed?.ok_or_else(needed),
                    };
                }
            }
        }
    }

    /// Renews as the session's writer. `None`: the provider no longer honours the refresh token, or not for this.
    async fn renew(
        &self,
        writer: &WriteLease,
        provider_id: &str,
        restriction: Option<&Restriction>,
        asked_ms: u64,
    ) -> Result<Option<LinkedAccount>, Error> {
        let sessions = self.sessions();
        let kept = |wait: Duration| Outcome::NotConsumed { wait_ms: millis(wait), possibly_consumed: false };
        let account = writer.session.record.accounts.get(provider_id);
        let (Some(provider), Some(account)) =
            (account.and_then(|it| self.config.provider_of(provider_id, &it.issuer)), account)
        else {
            sessions.release_unused(writer).await?;
            return Ok(None);
        };
        // What may have been used up: a token that does not rotate never is, and leaves no doubt (M78).
        let (unanswered_sends, possibly_consumed) =
            if provider.refresh.rotates { (writer.unanswered_sends, writer.possibly_consumed) } else { (0, false) };
        if unanswered_sends > u32::from(provider.refresh.retries_lost_answer) {
            self.report(provider, Renewal::Exhausted);
            return self.without_refresh_token(writer, provider_id).await;
        }
        let endpoints = match cache::endpoints(self.platform, &self.memory.discovery, provider).await {
            Ok(endpoints) => endpoints,
            Err(error) => {
                sessions.release(writer, kept(PAUSE)).await?;
                return Err(error.into());
            }
        };
        // The last time that it may be sent: not into an outage that goes on.
        if unanswered_sends > 0
            && let Err(error) = discovery::reach(self.platform, provider).await
        {
            sessions.release(writer, kept(PAUSE)).await?;
            return Err(error.into());
        }
        if self.platform.now_ms().saturating_sub(asked_ms) > STALL_MS {
            sessions.release_unused(writer).await?;
            return Err(Unavailable::new("identity provider", "held up before it was asked").into());
        }
        let (platform, cache, endpoints) = (self.platform, &self.memory.discovery, &endpoints);
        let client = Client { platform, cache, provider, endpoints, send_by_ms: None };
        // `within` looks at the clock after the work: whoever is held up between two sendings would do the second first.
        let send_by_ms = Some(platform.now_ms().saturating_add(millis(TIMEOUT)));
        let sender = Client { send_by_ms, ..client };
        let dpop = account.dpop_key.as_ref().and_then(DpopKey::from_jwk);
        let work = async {
            let answer = refresh(&sender, &account.tokens, restriction, dpop.as_ref()).await;
            match (restriction, answer) {
                // Is all over, or only this not granted? It shows without the restriction. A refresh token that works once
                // is risked for that only if it would be lost otherwise.
                (Some(restriction), Refresh::Ended(reason)) => {
                    self.report(provider, Renewal::Denied(reason));
                    Ok((refresh(&sender, &account.tokens, None, dpop.as_ref()).await, Some(restriction.key())))
                }
                (Some(restriction), answer @ Refresh::Denied(_)) => Ok((answer, Some(restriction.key()))),
                (_, answer) => Ok((answer, None)),
            }
        };
        let worked = within(self.platform, TIMEOUT, "identity provider", work).await;
        let (answer, denied) = worked.unwrap_or((Refresh::Lost, None));
        match answer {
            Refresh::Refreshed(fresh) => {
                let mut renewed = account.clone();
                // What no service asks for any more goes.
                renewed.restricted.retain(|key, _| provider.restrictions.iter().any(|it| it.key() == *key));
                match (restriction, &denied) {
                    (Some(restriction), None) => renewed.renew_restricted(restriction.key(), *fresh),
                    _ => renewed.tokens = *fresh,
                }
                let is_denied = denied.is_some();
                if let Some(key) = denied {
                    renewed.restricted.insert(key, self.denial());
                }
                let stored = self.store(writer, &client, dpop.as_ref(), renewed).await?;
                Ok((!is_denied).then_some(stored))
            }
            // The account that makes the session its user's is over: so is the session (M10). Unless an earlier use may
            // have been one although nobody had its tokens, which looks the same.
            Refresh::Ended(reason) if writer.session.record.provider == provider.id && !possibly_consumed => {
                if sessions.end_with_lease(writer, EndReason::Revoked).await? {
                    self.report(provider, Renewal::Ended(reason));
                    return Err(Error::Unauthenticated { reason: "the provider ended the account's grant" });
                }
                // Held up meanwhile: the account may be connected anew, and this was said of what it had before.
                self.report(provider, Renewal::Superseded);
                Err(Unavailable::new("session coordinator", "gave the turn to somebody else").into())
            }
            Refresh::Denied(reason) => {
                self.report(provider, Renewal::Denied(reason));
                let mut record = writer.session.record.clone();
                if let (Some(account), Some(key)) = (record.accounts.get_mut(provider_id), denied) {
                    account.restricted.insert(key, self.denial());
                }
                let consumption = match (provider.refresh.rotates, provider.refresh.retries_lost_answer) {
                    (false, _) => Consumption::None,
                    (true, true) => Consumption::Possible,
                    (true, false) => Consumption::Counted,
                };
                sessions.store_with_consumption(writer, &record, consumption).await?;
                Ok(None)
            }
            Refresh::Ended(reason) => {
                self.report(provider, Renewal::Ended(reason));
                self.without_refresh_token(writer, provider_id).await
            }
            Refresh::SubjectMismatch { reason, tokens } => {
                self.report(provider, Renewal::SubjectMismatch(reason));
                let ended = sessions.end(&writer.session.handle, EndReason::Revoked).await;
                revoke(&client, &tokens, dpop.as_ref()).await;
                ended?;
                Err(Error::Unauthenticated { reason: "session ended for a refresh that cannot be trusted" })
            }
            Refresh::Answered { retry_after_seconds, detail, possibly_consumed } => {
                self.report(provider, Renewal::NotNow(detail));
                let wait = retry_after_seconds.map_or(PAUSE, |seconds| Duration::from_secs(seconds.into()));
                let wait_ms = millis(wait.clamp(PAUSE, MAX_PAUSE));
                sessions.release(writer, Outcome::NotConsumed { wait_ms, possibly_consumed }).await?;
                Err(Unavailable::new("identity provider", detail).into())
            }
            Refresh::Lost => {
                self.report(provider, Renewal::Lost);
                sessions.release(writer, Outcome::Unanswered { wait_ms: millis(PAUSE) }).await?;
                Err(Unavailable::new("identity provider", "gave no answer that could be read").into())
            }
        }
    }

    /// Stores new tokens before anybody uses them; what cannot be stored is revoked.
    async fn store(
        &self,
        writer: &WriteLease,
        client: &Client<'_, P>,
        dpop: Option<&DpopKey>,
        renewed: LinkedAccount,
    ) -> Result<LinkedAccount, Error> {
        let mut record = writer.session.record.clone();
        record.accounts.insert(client.provider.id.clone(), renewed.clone());
        match self.sessions().store(writer, &record).await {
            Ok(Some(_)) => {
                self.report(client.provider, Renewal::Done);
                Ok(renewed)
            }
            Ok(None) => {
                // Not revoked: whoever came between has tokens of the same grant, which would die with these.
                self.report(client.provider, Renewal::Superseded);
                Err(Unavailable::new("session coordinator", "gave the turn to somebody else").into())
            }
            Err(error @ Error::Unauthenticated { .. }) => {
                // The session is over, and nobody will ever use these (S114).
                self.report(client.provider, Renewal::SessionEnded);
                revoke(client, &renewed.tokens, dpop).await;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// What stands where a token was refused.
    fn denial(&self) -> RestrictedToken {
        let now_ms = self.platform.now_ms();
        RestrictedToken::denied(now_ms, now_ms.saturating_add(DENIAL_MS))
    }

    /// Stores the record without a refresh token that is worth nothing any more, so that nobody sends it again.
    async fn without_refresh_token(
        &self,
        writer: &WriteLease,
        provider_id: &str,
    ) -> Result<Option<LinkedAccount>, Error> {
        let mut record = writer.session.record.clone();
        if let Some(account) = record.accounts.get_mut(provider_id) {
            account.tokens.refresh_token = None;
            account.tokens.expires_at_ms = Some(0);
            account.restricted.clear();
        }
        self.sessions().store(writer, &record).await?;
        Ok(None)
    }

    /// Stores that an access token which nothing renews is worth nothing any more, by its provider's own word: the account must
    /// be connected again. Does nothing if another one has taken its place, or while somebody else writes.
    ///
    /// # Errors
    /// The session is over, or the coordinator did not answer.
    pub async fn note_dead(&self, session: &Session, provider_id: &str, token: &SecretString) -> Result<(), Error> {
        let sessions = self.sessions();
        let begun = match sessions.acquire_lease(session, WritePurpose::Other).await? {
            LeaseReply::Newer(newer) => sessions.acquire_lease(&newer, WritePurpose::Other).await?,
            begun => begun,
        };
        let LeaseReply::Granted(writer) = begun else { return Ok(()) };
        let tokens = writer.session.record.accounts.get(provider_id).map(|account| &account.tokens);
        if tokens.is_some_and(|it| it.refresh_token.is_none() && same(&it.access_token, token)) {
            self.without_refresh_token(&writer, provider_id).await?;
        } else {
            sessions.release_unused(&writer).await?;
        }
        Ok(())
    }

    /// Whether its token is good or something renews it, at the provider that issued it.
    fn is_usable(&self, provider: &str, account: &LinkedAccount, key: Option<&str>, must_renew: bool) -> bool {
        let is_spent = self.is_expired(account.access(key)) && account.tokens.refresh_token.is_none();
        let is_denied = key.is_some_and(|key| account.is_denied(key, self.platform.now_ms()));
        self.config.provider_of(provider, &account.issuer).is_some() && (must_renew || !is_spent) && !is_denied
    }

    /// Whether a token is over, or about to be; or was never asked for.
    fn is_expired(&self, access: Option<Access<'_>>) -> bool {
        let Some(Access { obtained_at_ms, expires_at_ms, .. }) = access else { return true };
        expires_at_ms.is_some_and(|expires_at_ms| {
            // A tenth of its life at most, or a short-lived token would be renewed at each request.
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
