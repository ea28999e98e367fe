//! A refresh by the holder of the session's write lease: what it works with, and the request to the provider.

use std::time::Duration;

use crate::{
    oauth::{
        dpop::DpopKey,
        refresh::{RefreshOutcome, refresh},
        restriction::Restriction,
        token_endpoint::Client,
    },
    runtime::{
        clock::{millis, within},
        dependency::Dependency,
        platform::Platform,
        telemetry::outcome::{self, Renewal},
    },
    session::{record::LinkedAccount, store::Sessions, writer::WriteLease},
};

/// How long a refresh may take as a whole. Together with [`MAX_STALL_MS`](super::MAX_STALL_MS) it is well below the length
/// of a lease, [`crate::session::state::LEASE_MS`].
const TIMEOUT: Duration = Duration::from_secs(20);

/// A refresh by the holder of the write lease.
pub(super) struct LeasedRefresh<'a, P> {
    pub(super) sessions: Sessions<'a, P>,
    pub(super) lease: &'a WriteLease,
    pub(super) client: Client<'a, P>,
    pub(super) account: &'a LinkedAccount,
    pub(super) dpop: Option<DpopKey>,
    /// Whether an earlier use may have consumed the refresh token.
    pub(super) possibly_consumed: bool,
}

/// What the provider answered.
pub(super) struct Answer {
    pub(super) outcome: RefreshOutcome,
    /// The key of the restriction, if the provider does not grant it.
    pub(super) denied: Option<String>,
}

impl<P: Platform> LeasedRefresh<'_, P> {
    /// Sends the refresh token.
    pub(super) async fn send(&self, restriction: Option<&Restriction>) -> Answer {
        let platform = self.client.platform;
        // `within` checks the clock only after the work. The deadline stops the second request of a refresh that was
        // delayed between the two.
        let send_by_ms = Some(platform.now_ms().saturating_add(millis(TIMEOUT)));
        let client = Client { send_by_ms, ..self.client };
        let work = async { Ok(self.request(&client, restriction).await) };
        let answer = within(platform, TIMEOUT, Dependency::IdentityProvider, work).await;
        answer.unwrap_or(Answer { outcome: RefreshOutcome::Unknown, denied: None })
    }

    /// Requests tokens, and once more without the restriction if the provider may have ended the grant.
    async fn request(&self, client: &Client<'_, P>, restriction: Option<&Restriction>) -> Answer {
        let (tokens, dpop) = (&self.account.tokens, self.dpop.as_ref());
        let outcome = refresh(client, tokens, restriction, dpop).await;
        match (restriction, outcome) {
            // The provider may have ended the grant or only denied the restriction: a refresh without it shows which.
            // A single-use refresh token is risked for that only because it would be dropped otherwise.
            (Some(restriction), RefreshOutcome::GrantEnded(reason)) => {
                self.report(Renewal::Denied(reason));
                let outcome = refresh(client, tokens, None, dpop).await;
                Answer { outcome, denied: Some(restriction.key()) }
            }
            (Some(restriction), outcome @ RefreshOutcome::RestrictionDenied(_)) => {
                Answer { outcome, denied: Some(restriction.key()) }
            }
            (_, outcome) => Answer { outcome, denied: None },
        }
    }

    /// Logs and counts what became of the refresh.
    pub(super) fn report(&self, renewal: Renewal) {
        outcome::refresh(self.client.platform, &self.client.provider.id, renewal);
    }
}
