//! What the coordinator stores of one session.

use std::collections::BTreeMap;

use causeway_protocol::subject::Subject;
use serde::{Deserialize, Serialize};

use crate::session::index::IndexName;

/// What is stored of one session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionState {
    /// The version of the record. A copy in the key-value store with a lower one is stale.
    pub generation: u64,
    /// Whose session it is, so that the subject's streams can be ended with it. `None` if it was ended before it was
    /// created.
    pub subject: Option<Subject>,
    /// When the session ends at the latest, in Unix milliseconds.
    pub expires_at_ms: u64,
    /// How long it may be idle, in milliseconds.
    pub idle_limit_ms: u64,
    /// When it was last used, in Unix milliseconds, to within a twentieth of the idle limit.
    pub used_at_ms: u64,
    /// Until when the page of another site can redeem it, in Unix milliseconds. Until then it is not live. `None` once
    /// it is redeemed, and for every other session.
    pub redeem_by_ms: Option<u64>,
    /// Whether it was ended. Never becomes false again.
    pub revoked: bool,
    /// The sealed record; `None` once revoked.
    pub record: Option<String>,
    /// The indexes it is in.
    pub indexes: Vec<IndexName>,
    /// The fencing token of the latest lease: the number of leases so far.
    pub fencing_token: u64,
    /// The current lease.
    pub lease: Option<Lease>,
    /// Uses of the accounts' current refresh tokens, by account.
    pub token_uses: BTreeMap<String, TokenUse>,
    /// When an upstream's refusal of an unexpired token last caused a refresh, in Unix milliseconds, by token.
    #[serde(default)]
    pub refusals: BTreeMap<String, u64>,
}

/// The right to write the record, for a limited time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// When it ends, in Unix milliseconds.
    pub until_ms: u64,
    /// The account whose refresh token its holder sends, if any.
    pub account: Option<String>,
    /// The unexpired token that an upstream refused, if that is the reason.
    #[serde(default)]
    pub refused: Option<String>,
    /// The attempt id of its holder: the same holder gets it again.
    pub attempt_id: u64,
}

/// The uses of an account's current refresh token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUse {
    /// How often it was sent without an answer that shows that it was not consumed.
    pub count: u32,
    /// When it may be sent again, in Unix milliseconds, after the provider failed or asked for a pause.
    pub not_before_ms: u64,
    /// Whether the provider ever failed on it in a way that may have consumed it.
    #[serde(default)]
    pub possibly_consumed: bool,
}

impl SessionState {
    /// Whether the session is live: neither ended nor expired, and redeemed if it has to be.
    pub(super) fn is_alive(&self, now_ms: u64) -> bool {
        !self.revoked
            && self.redeem_by_ms.is_none()
            && now_ms < self.expires_at_ms
            && now_ms.saturating_sub(self.used_at_ms) < self.idle_limit_ms
    }
}
