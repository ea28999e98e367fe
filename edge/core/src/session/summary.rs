//! What a session's record says beside its secrets.

use std::collections::BTreeMap;

use crate::token_set::User;

/// What a session's record says, less its secrets: an isolate's memory may hold this beyond a request.
#[derive(Debug)]
pub struct Summary {
    /// The user whose session it is.
    pub user: User,
    /// The provider of the sign-in that began the session.
    pub provider: String,
    /// When the session ends at the latest, in Unix milliseconds.
    pub expires_at_ms: u64,
    /// The linked accounts, by provider.
    pub accounts: BTreeMap<String, AccountSummary>,
}

/// What a record says of a linked account, less its secrets.
#[derive(Debug)]
pub struct AccountSummary {
    /// The issuer that authenticated it.
    pub issuer: String,
    /// When its access token ends, in Unix milliseconds; `None` if the provider did not say.
    pub expires_at_ms: Option<u64>,
    /// Whether a refresh token renews it.
    pub is_renewable: bool,
}

impl AccountSummary {
    /// Whether the access token has ended.
    #[must_use]
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|expires_at_ms| expires_at_ms <= now_ms)
    }

    /// Whether the account must be connected again: its token has ended, and no refresh token renews it.
    #[must_use]
    pub fn is_spent(&self, now_ms: u64) -> bool {
        self.is_expired(now_ms) && !self.is_renewable
    }
}
