//! What the checker knows of a session by itself: who was given the right to write it, and what became of the tokens of its
//! accounts. Made of what is written and sent, of nothing that the edge says about it.

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::session::state::LEASE_MS;

use super::{authority::ProviderProfile, scheduler::TaskId};

/// Nothing is sent later than this after a lease was given: ten seconds to get there, twenty for all that is sent.
const SEND_WITHIN_MS: u64 = 30_000;

/// The right to write, as it was given.
pub(super) struct Lease {
    pub(super) task: Option<TaskId>,
    pub(super) fencing_token: u64,
    /// When it was asked for.
    pub(super) asked_ms: u64,
    pub(super) given_ms: u64,
    /// Whose refresh token its holder sends, if any.
    pub(super) account: Option<String>,
    /// It was not given back.
    pub(super) is_open: bool,
}

impl Lease {
    pub(super) fn is_expired(&self, now_ms: u64) -> bool {
        self.given_ms + LEASE_MS <= now_ms
    }

    /// Whether its holder may send the refresh token of a provider now.
    pub(super) fn allows(&self, task: Option<TaskId>, provider: &str, now_ms: u64) -> bool {
        self.is_open
            && self.task == task
            && self.account.as_deref() == Some(provider)
            && now_ms <= self.given_ms + SEND_WITHIN_MS
    }
}

/// An account of a session, with the tokens that were stored last.
pub(super) struct Account {
    pub(super) grant: u64,
    /// Its refresh token.
    pub(super) token: String,
    /// Why nobody can tell whether that still works: something that happened to this very token.
    pub(super) consumption: Option<&'static str>,
    /// It was stored that nothing renews its tokens, for a reason.
    pub(super) is_given_up: bool,
    /// When its provider would not restrict a token.
    pub(super) denied_ms: Option<u64>,
    /// When its access tokens were stored: its own, and the restricted one.
    pub(super) stored_ms: [Option<u64>; 2],
    /// When they were renewed, each time.
    pub(super) renewals_ms: Vec<u64>,
    /// When an upstream refused one of them.
    pub(super) refused_ms: u64,
}

impl Account {
    pub(super) fn new(grant: u64, token: String, now_ms: u64) -> Self {
        let stored_ms = [Some(now_ms), None];
        Self {
            grant,
            token,
            consumption: None,
            is_given_up: false,
            denied_ms: None,
            stored_ms,
            renewals_ms: Vec::new(),
            refused_ms: 0,
        }
    }

    /// Whether a token of a kind was stored and refused by nobody since then.
    pub(super) fn has_since(&self, is_restricted: bool, since_ms: u64) -> bool {
        let stored_ms = self.stored_ms[usize::from(is_restricted)];
        stored_ms.is_some_and(|at_ms| since_ms < at_ms && self.refused_ms < at_ms)
    }

    /// Nobody can tell any more whether its refresh token works. One that does not rotate does.
    pub(super) fn note_possible_consumption(&mut self, profile: &ProviderProfile, why: &'static str) {
        if profile.rotates {
            self.consumption = Some(why);
        }
    }

    /// Whether whoever asks for its token may be sent to its provider.
    pub(super) fn is_possibly_consumed(&self) -> bool {
        self.is_given_up || self.consumption.is_some()
    }
}

/// New tokens, as they came.
#[derive(Debug, Clone)]
pub(super) struct IssuedTokens {
    pub(super) access: String,
    /// A new one, or the one that goes on.
    pub(super) refresh: String,
    pub(super) is_restricted: bool,
}

#[derive(Default)]
pub(super) struct SessionModel {
    /// The last one that was given.
    pub(super) lease: Option<Lease>,
    /// By provider.
    pub(super) accounts: BTreeMap<String, Account>,
    /// Every access token that was ever stored.
    pub(super) access: BTreeSet<String>,
    /// Until when an account was away, or in consumption: whoever asked before that may be told so later.
    pub(super) away_until_ms: BTreeMap<String, u64>,
    /// When an account last came or went.
    pub(super) changed_ms: BTreeMap<String, u64>,
}

impl SessionModel {
    /// Whether a task has the right to write under this fencing_token, whatever the time: late is not too late if nobody else
    /// began.
    pub(super) fn is_writer(&self, task: Option<TaskId>, fencing_token: u64) -> bool {
        self.lease.as_ref().is_some_and(|it| it.is_open && it.task == task && it.fencing_token == fencing_token)
    }

    /// An account is there from now on, or has other tokens.
    pub(super) fn connected(&mut self, provider: &str, account: Account, now_ms: u64) {
        self.away_until_ms.insert(provider.to_owned(), now_ms);
        self.changed_ms.insert(provider.to_owned(), now_ms);
        // The first of a grant have the same number.
        self.access.insert(account.token.replacen("rt", "at", 1));
        self.accounts.insert(provider.to_owned(), account);
    }

    pub(super) fn disconnected(&mut self, provider: &str, now_ms: u64) {
        self.changed_ms.insert(provider.to_owned(), now_ms);
        self.accounts.remove(provider);
    }

    /// The tokens of an account are new ones, and what happened to those before no longer matters.
    pub(super) fn renewed(&mut self, provider: &str, issued_tokens: IssuedTokens, now_ms: u64) {
        let Some(account) = self.accounts.get_mut(provider) else { return };
        if account.is_possibly_consumed() {
            self.away_until_ms.insert(provider.to_owned(), now_ms);
        }
        let IssuedTokens { access, refresh, is_restricted } = issued_tokens;
        self.access.insert(access);
        account.token = refresh;
        account.renewals_ms.push(now_ms);
        account.stored_ms[usize::from(is_restricted)] = Some(now_ms);
        account.consumption = None;
        account.is_given_up = false;
    }
}
