//! Who a request acts for, without the tokens. Most requests need no more, and opening a session's record for each of them
//! would take half of their time.

use std::{collections::BTreeMap, rc::Rc};

use causeway_protocol::session::SessionHandle;

use super::{
    id::SessionId,
    record::{LinkedAccount, SealedRecord, SessionRecord},
};
use crate::token_set::User;

/// A valid session: its cookie opened, the coordinator confirmed it within the revocation bound. Its record was opened
/// once in this generation, maybe by an earlier request.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The session's id.
    pub id: SessionId,
    /// The session's handle.
    pub handle: SessionHandle,
    /// The version of the session's record.
    pub generation: u64,
    /// Whether the record is sealed under the active key.
    pub is_current: bool,
    /// What the record says.
    pub summary: Rc<Summary>,
    /// The record.
    pub(super) stored: Rc<SealedRecord>,
    /// The same, if it was opened just now.
    pub(super) opened: Option<Box<SessionRecord>>,
}

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

impl Summary {
    pub(super) fn of(record: &SessionRecord) -> Self {
        let summary = |(provider, account): (&String, &LinkedAccount)| {
            let LinkedAccount { issuer, tokens, .. } = account;
            let is_renewable = tokens.refresh_token.is_some();
            let issuer = issuer.clone();
            (provider.clone(), AccountSummary { issuer, expires_at_ms: tokens.expires_at_ms, is_renewable })
        };
        Self {
            user: record.user.clone(),
            provider: record.provider.clone(),
            expires_at_ms: record.expires_at_ms,
            accounts: record.accounts.iter().map(summary).collect(),
        }
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What outlives a request must not tell a token to whoever reads the isolate's memory.
    #[test]
    fn a_summary_has_no_token() {
        let user = json!({"subject": "corp:7", "name": "Ada", "email": "ada@corp.example"});
        let record: SessionRecord = serde_json::from_value(json!({
            "user": user, "provider": "corp", "created_at_ms": 0, "expires_at_ms": 9,
            "accounts": {"corp": {
                "user": user, "issuer": "https://id.example", "sub": "7", "sid": "s-1", "signed_in_at_ms": 0,
                "tokens": {
                    "access_token": "SECRET-a", "refresh_token": "SECRET-r", "id_token": "SECRET-i", "obtained_at_ms": 0,
                    "expires_at_ms": 5, "scopes": [],
                },
                "restricted": {"x": {"token": "SECRET-x", "obtained_at_ms": 0, "expires_at_ms": 5}},
                "dpop_key": "SECRET-d",
            }},
        }))
        .unwrap();
        let summary = Summary::of(&record);
        assert!(!format!("{summary:?}").contains("SECRET"));
        let account = &summary.accounts["corp"];
        assert!(account.is_expired(5) && !account.is_expired(4) && !account.is_spent(5));
    }
}
