//! What the answer to a refresh changes: the session's record is stored or the session ends, and the lease is released.

use std::time::Duration;

use causeway_protocol::hub::EndReason;

use super::leased::{Answer, LeasedRefresh};
use crate::{
    error::Error,
    oauth::{provider::RefreshPolicy, refresh::RefreshOutcome, restriction::Restriction, revocation::revoke},
    runtime::{
        clock::millis, dependency::Dependency, platform::Platform, reason::Reason, telemetry::outcome::Renewal,
        unavailable::Unavailable,
    },
    session::{
        record::{LinkedAccount, RestrictedToken},
        state::{Consumption, Outcome},
        store::Sessions,
        writer::WriteLease,
    },
    token_set::TokenSet,
};

/// The shortest and the longest pause after a failure of the provider.
pub(super) const PAUSE: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_secs(300);
/// How long a provider that denied a restriction is not asked for it again, in milliseconds.
const DENIAL_MS: u64 = 60 * 1000;

impl<P: Platform> LeasedRefresh<'_, P> {
    /// Stores what the answer means, and releases the lease. Returns the account with its new tokens; `None` if there are
    /// none for this restriction.
    pub(super) async fn settle(
        &self,
        restriction: Option<&Restriction>,
        answer: Answer,
    ) -> Result<Option<LinkedAccount>, Error> {
        let Answer { outcome, denied } = answer;
        match outcome {
            RefreshOutcome::Refreshed(tokens) => self.store_tokens(restriction, *tokens, denied).await,
            RefreshOutcome::GrantEnded(reason) if self.proves_end_of_session() => self.end_session(reason).await,
            RefreshOutcome::GrantEnded(reason) => {
                self.report(Renewal::Ended(reason));
                remove_refresh_token(&self.sessions, self.lease, &self.client.provider.id).await?;
                Ok(None)
            }
            RefreshOutcome::RestrictionDenied(reason) => {
                self.report(Renewal::Denied(reason));
                self.store_denial(denied).await?;
                Ok(None)
            }
            RefreshOutcome::SubjectMismatch { reason, tokens } => self.end_mistrusted_session(reason, &tokens).await,
            RefreshOutcome::Failed { retry_after_seconds, detail, possibly_consumed } => {
                self.report(Renewal::NotNow(detail));
                let wait = retry_after_seconds.map_or(PAUSE, |seconds| Duration::from_secs(seconds.into()));
                let wait_ms = millis(wait.clamp(PAUSE, MAX_PAUSE));
                self.sessions.release(self.lease, Outcome::NotConsumed { wait_ms, possibly_consumed }).await?;
                Err(Unavailable::new(Dependency::IdentityProvider, detail).into())
            }
            RefreshOutcome::Unknown => {
                self.report(Renewal::Lost);
                self.sessions.release(self.lease, Outcome::Unanswered { wait_ms: millis(PAUSE) }).await?;
                Err(Unavailable::new(Dependency::IdentityProvider, "gave no answer that could be read").into())
            }
        }
    }

    /// Whether the end of the grant ends the session: it is that of the account that began the session (M10). But if an
    /// earlier use may have consumed the refresh token, its refusal proves nothing about the grant.
    fn proves_end_of_session(&self) -> bool {
        self.lease.session.record.provider == self.client.provider.id && !self.possibly_consumed
    }

    /// Stores new tokens before they are used. `None` if they came without the restriction, because the provider denied
    /// it.
    async fn store_tokens(
        &self,
        restriction: Option<&Restriction>,
        tokens: TokenSet,
        denied: Option<String>,
    ) -> Result<Option<LinkedAccount>, Error> {
        let mut account = self.account.clone();
        // Tokens with a restriction that no service has any more are dropped.
        let restrictions = &self.client.provider.restrictions;
        account.restricted.retain(|key, _| restrictions.iter().any(|it| it.key() == *key));
        match (restriction, &denied) {
            (Some(restriction), None) => account.renew_restricted(restriction.key(), tokens),
            _ => account.tokens = tokens,
        }
        let is_denied = denied.is_some();
        if let Some(key) = denied {
            account.restricted.insert(key, self.denial());
        }
        let stored = self.store_account(account).await?;
        Ok((!is_denied).then_some(stored))
    }

    /// Stores the account with its new tokens. Tokens of a session that ended are revoked.
    async fn store_account(&self, account: LinkedAccount) -> Result<LinkedAccount, Error> {
        let mut record = self.lease.session.record.clone();
        record.accounts.insert(self.client.provider.id.clone(), account.clone());
        match self.sessions.store(self.lease, &record).await {
            Ok(Some(_)) => {
                self.report(Renewal::Done);
                Ok(account)
            }
            Ok(None) => {
                // Not revoked: the next writer may have tokens of the same grant, which would be revoked with these.
                self.report(Renewal::Superseded);
                Err(lease_lost())
            }
            Err(error @ Error::Unauthenticated { .. }) => {
                // The session has ended: the tokens will never be used (S114).
                self.report(Renewal::SessionEnded);
                revoke(&self.client, &account.tokens, self.dpop.as_ref()).await;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Stores that the provider denied a restriction.
    async fn store_denial(&self, denied: Option<String>) -> Result<(), Error> {
        let provider = self.client.provider;
        let mut record = self.lease.session.record.clone();
        if let (Some(account), Some(key)) = (record.accounts.get_mut(&provider.id), denied) {
            account.restricted.insert(key, self.denial());
        }
        let consumption = consumption_by_denial(provider.refresh);
        self.sessions.store_with_consumption(self.lease, &record, consumption).await?;
        Ok(())
    }

    /// Ends the session whose own account's grant the provider ended.
    async fn end_session<T>(&self, reason: Reason) -> Result<T, Error> {
        if self.sessions.end_with_lease(self.lease, EndReason::Revoked).await? {
            self.report(Renewal::Ended(reason));
            return Err(Error::Unauthenticated { reason: Reason::GrantEnded });
        }
        // The lease has passed on: the account may be connected anew, and the answer was about its former tokens.
        self.report(Renewal::Superseded);
        Err(lease_lost())
    }

    /// Ends the session for which the provider sent tokens of another subject, and revokes these.
    async fn end_mistrusted_session<T>(&self, reason: Reason, tokens: &TokenSet) -> Result<T, Error> {
        self.report(Renewal::SubjectMismatch(reason));
        let ended = self.sessions.end(&self.lease.session.handle, EndReason::Revoked).await;
        revoke(&self.client, tokens, self.dpop.as_ref()).await;
        ended?;
        Err(Error::Unauthenticated { reason: Reason::RefreshSubjectMismatch })
    }

    /// The entry for a denied restriction.
    fn denial(&self) -> RestrictedToken {
        let now_ms = self.client.platform.now_ms();
        RestrictedToken::denied(now_ms, now_ms.saturating_add(DENIAL_MS))
    }
}

/// Whether a denial of the restriction consumed the refresh token.
fn consumption_by_denial(policy: RefreshPolicy) -> Consumption {
    match (policy.rotates, policy.retries_lost_answer) {
        (false, _) => Consumption::None,
        (true, true) => Consumption::Possible,
        (true, false) => Consumption::Counted,
    }
}

fn lease_lost() -> Error {
    Unavailable::new(Dependency::SessionCoordinator, "gave the lease to another request").into()
}

/// Stores the record without a refresh token that no longer works, so that it is not sent again.
pub(super) async fn remove_refresh_token<P: Platform>(
    sessions: &Sessions<'_, P>,
    lease: &WriteLease,
    provider_id: &str,
) -> Result<(), Error> {
    let mut record = lease.session.record.clone();
    if let Some(account) = record.accounts.get_mut(provider_id) {
        account.tokens.refresh_token = None;
        account.tokens.expires_at_ms = Some(0);
        account.restricted.clear();
    }
    sessions.store(lease, &record).await?;
    Ok(())
}
