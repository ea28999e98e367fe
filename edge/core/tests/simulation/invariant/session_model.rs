//! A session as the checker knows it: which task may write it, and the state of its accounts' tokens. It is built from
//! what is stored and sent. The edge's own view has no influence on it.

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::session::state::LEASE_MS;

use crate::{provider_profile::ProviderProfile, scheduler::TaskId};

/// How long after a lease was granted its holder may send a refresh token: the reply takes up to ten seconds, and all
/// sends together twenty.
const SEND_WITHIN_MS: u64 = 30_000;

/// A write lease, as it was granted.
pub(super) struct Lease {
    pub(super) task: Option<TaskId>,
    pub(super) fencing_token: u64,
    /// When the command that acquired it was sent.
    pub(super) requested_at_ms: u64,
    pub(super) granted_at_ms: u64,
    /// The provider of the account whose refresh token the holder sends, if any.
    pub(super) account: Option<String>,
    /// It was not released.
    pub(super) is_open: bool,
}

impl Lease {
    pub(super) fn is_expired(&self, now_ms: u64) -> bool {
        self.granted_at_ms + LEASE_MS <= now_ms
    }

    /// Whether a task may send the refresh token of a provider under this lease.
    pub(super) fn allows_send(&self, task: Option<TaskId>, provider: &str, now_ms: u64) -> bool {
        self.is_open
            && self.task == task
            && self.account.as_deref() == Some(provider)
            && now_ms <= self.granted_at_ms + SEND_WITHIN_MS
    }
}

/// An account of a session, with the tokens that were stored last.
pub(super) struct Account {
    pub(super) grant: u64,
    pub(super) refresh_token: String,
    /// Why exactly this refresh token may have been consumed.
    pub(super) possibly_consumed: Option<&'static str>,
    /// The edge stored that the account has no usable refresh token.
    pub(super) is_refresh_token_dropped: bool,
    /// When the provider denied a restricted token.
    pub(super) restriction_denied_at_ms: Option<u64>,
    /// When the unrestricted and the restricted access token were stored.
    access_stored_at_ms: [Option<u64>; 2],
    /// Each time that its tokens were renewed.
    pub(super) renewed_at_ms: Vec<u64>,
    /// When an upstream last rejected an access token.
    pub(super) rejected_at_ms: u64,
}

impl Account {
    pub(super) fn new(grant: u64, refresh_token: String, now_ms: u64) -> Self {
        Self {
            grant,
            refresh_token,
            possibly_consumed: None,
            is_refresh_token_dropped: false,
            restriction_denied_at_ms: None,
            access_stored_at_ms: [Some(now_ms), None],
            renewed_at_ms: Vec::new(),
            rejected_at_ms: 0,
        }
    }

    /// Whether an access token of this kind was stored after `since_ms`, and no upstream has rejected one since.
    pub(super) fn has_access_token_since(&self, is_restricted: bool, since_ms: u64) -> bool {
        let stored_at_ms = self.access_stored_at_ms[usize::from(is_restricted)];
        stored_at_ms.is_some_and(|at_ms| since_ms < at_ms && self.rejected_at_ms < at_ms)
    }

    /// Notes that the refresh token may have been consumed. Without rotation, no use consumes it.
    pub(super) fn note_possible_consumption(&mut self, profile: &ProviderProfile, why: &'static str) {
        if profile.rotates {
            self.possibly_consumed = Some(why);
        }
    }

    /// Whether the edge may ask the user to sign in at the provider instead of refreshing.
    pub(super) fn may_require_sign_in(&self) -> bool {
        self.is_refresh_token_dropped || self.possibly_consumed.is_some()
    }
}

/// Tokens from the answer to a refresh.
#[derive(Debug, Clone)]
pub(super) struct IssuedTokens {
    pub(super) access: String,
    /// The new refresh token, or the old one if it stays valid.
    pub(super) refresh: String,
    pub(super) is_restricted: bool,
}

#[derive(Default)]
pub(super) struct SessionModel {
    /// The lease that was granted last.
    pub(super) lease: Option<Lease>,
    /// By provider.
    pub(super) accounts: BTreeMap<String, Account>,
    /// Every access token that was ever stored.
    pub(super) access_tokens: BTreeSet<String>,
    /// By provider, the last time at which the account was missing or required a sign-in. A request that began earlier
    /// may still get that answer later.
    pub(super) sign_in_required_until_ms: BTreeMap<String, u64>,
    /// By provider, when an account was last linked or unlinked.
    pub(super) link_changed_at_ms: BTreeMap<String, u64>,
}

impl SessionModel {
    /// Whether a task may write under this fencing token. It may even after the lease expired, as long as no other task
    /// acquired one.
    pub(super) fn is_writer(&self, task: Option<TaskId>, fencing_token: u64) -> bool {
        self.lease
            .as_ref()
            .is_some_and(|lease| lease.is_open && lease.task == task && lease.fencing_token == fencing_token)
    }

    /// Adds an account, or replaces it and its tokens.
    pub(super) fn link_account(&mut self, provider: &str, account: Account, now_ms: u64) {
        self.sign_in_required_until_ms.insert(provider.to_owned(), now_ms);
        self.link_changed_at_ms.insert(provider.to_owned(), now_ms);
        // The first access token of a grant has the same index as its first refresh token.
        self.access_tokens.insert(account.refresh_token.replacen("rt", "at", 1));
        self.accounts.insert(provider.to_owned(), account);
    }

    pub(super) fn unlink_account(&mut self, provider: &str, now_ms: u64) {
        self.link_changed_at_ms.insert(provider.to_owned(), now_ms);
        self.accounts.remove(provider);
    }

    /// Replaces the tokens of an account. What happened to the old refresh token no longer matters.
    pub(super) fn store_tokens(&mut self, provider: &str, issued_tokens: IssuedTokens, now_ms: u64) {
        let Some(account) = self.accounts.get_mut(provider) else { return };
        if account.may_require_sign_in() {
            self.sign_in_required_until_ms.insert(provider.to_owned(), now_ms);
        }
        let IssuedTokens { access, refresh, is_restricted } = issued_tokens;
        self.access_tokens.insert(access);
        account.refresh_token = refresh;
        account.renewed_at_ms.push(now_ms);
        account.access_stored_at_ms[usize::from(is_restricted)] = Some(now_ms);
        account.possibly_consumed = None;
        account.is_refresh_token_dropped = false;
    }
}
