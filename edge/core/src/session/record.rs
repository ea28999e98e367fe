//! What a session knows: the user and the tokens. Rests sealed, see [`crate::seal`].

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::index::{IndexName, IssuedAt};
use crate::token_set::{TokenSet, User, exposed_option};

/// An account of a provider that a session acts for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LinkedAccount {
    /// The account, as the provider describes it.
    pub user: User,
    /// The issuer that vouched for it.
    pub issuer: String,
    /// What the issuer calls it (`sub`; GitHub's numeric id).
    pub sub: String,
    /// The issuer's own session, where it names one (`sid`).
    pub sid: Option<String>,
    /// When the issuer said so, by its own clock, in Unix milliseconds.
    pub signed_in_at_ms: u64,
    /// Whether that is by the clock of the isolate that heard it instead: the issuer names no time.
    #[serde(default)]
    pub by_own_clock: bool,
    /// Its tokens.
    pub tokens: TokenSet,
    /// Access tokens for some services only, by [`crate::oauth::restriction::Restriction::key`].
    #[serde(default)]
    pub restricted: BTreeMap<String, RestrictedToken>,
    /// The private key that its tokens are bound to (RFC 9449), as a JWK.
    #[serde(serialize_with = "exposed_option", default)]
    pub dpop_key: Option<SecretString>,
}

impl LinkedAccount {
    /// The indexes that a session with this account must be in, so that its provider can end it; each with when the
    /// provider vouched for the account. By the clock of the isolate that it is new to.
    #[must_use]
    pub fn indexes(&self, now_ms: u64) -> Vec<(IndexName, IssuedAt)> {
        let account = IndexName::account(&self.issuer, &self.sub);
        let provider_session = match &self.sid {
            Some(sid) => IndexName::provider_session(&self.issuer, sid),
            None => IndexName::account_without_session(&self.issuer, &self.sub),
        };
        let signed_in = match self.by_own_clock {
            true => IssuedAt::Ago(now_ms.saturating_sub(self.signed_in_at_ms)),
            false => IssuedAt::At(self.signed_in_at_ms),
        };
        [account, provider_session].into_iter().map(|name| (name, signed_in)).collect()
    }

    /// The access token restricted so, or the account's own.
    #[must_use]
    pub fn access(&self, restriction: Option<&str>) -> Option<Access<'_>> {
        match restriction {
            None => {
                let TokenSet { access_token, obtained_at_ms, expires_at_ms, .. } = &self.tokens;
                Some(Access { token: access_token, obtained_at_ms: *obtained_at_ms, expires_at_ms: *expires_at_ms })
            }
            Some(restriction) => {
                let RestrictedToken { token, obtained_at_ms, expires_at_ms } = self.restricted.get(restriction)?;
                token.as_ref().map(|token| Access {
                    token,
                    obtained_at_ms: *obtained_at_ms,
                    expires_at_ms: *expires_at_ms,
                })
            }
        }
    }

    /// Takes new tokens whose access token is restricted so. The account's own access token stays.
    pub fn renew_restricted(&mut self, restriction: String, fresh: TokenSet) {
        let TokenSet { access_token, refresh_token, id_token, obtained_at_ms, expires_at_ms, .. } = fresh;
        self.restricted
            .insert(restriction, RestrictedToken { token: Some(access_token), obtained_at_ms, expires_at_ms });
        self.tokens.refresh_token = refresh_token;
        self.tokens.id_token = id_token;
    }

    /// Whether the provider has refused a token restricted so, a moment ago.
    #[must_use]
    pub fn is_denied(&self, restriction: &str, now_ms: u64) -> bool {
        self.restricted
            .get(restriction)
            .is_some_and(|it| it.token.is_none() && it.expires_at_ms.is_some_and(|until_ms| now_ms < until_ms))
    }

    /// Whether the account must be connected again: its token is over, and nothing renews it.
    #[must_use]
    pub fn is_spent(&self, now_ms: u64) -> bool {
        self.is_expired(now_ms) && self.tokens.refresh_token.is_none()
    }

    /// Whether its access token has ended.
    #[must_use]
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.tokens.expires_at_ms.is_some_and(|expires_at_ms| expires_at_ms <= now_ms)
    }
}

/// An access token that is restricted, or the provider's word that there is none.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RestrictedToken {
    /// `None`: the provider refused it.
    #[serde(serialize_with = "exposed_option", default)]
    pub token: Option<SecretString>,
    /// When it was issued, in Unix milliseconds.
    pub obtained_at_ms: u64,
    /// When it ends, or the refusal is forgotten, in Unix milliseconds; `None` if the provider did not say.
    pub expires_at_ms: Option<u64>,
}

impl RestrictedToken {
    /// What stands in its place once the provider refused it, until `until_ms` (Unix milliseconds).
    #[must_use]
    pub fn denied(now_ms: u64, until_ms: u64) -> Self {
        Self { token: None, obtained_at_ms: now_ms, expires_at_ms: Some(until_ms) }
    }
}

/// An access token and its time.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// Sent to upstreams.
    pub token: &'a SecretString,
    /// When it was issued, in Unix milliseconds.
    pub obtained_at_ms: u64,
    /// When it ends, in Unix milliseconds; `None` if the provider did not say.
    pub expires_at_ms: Option<u64>,
}

/// A session record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Who.
    pub user: User,
    /// The provider whose sign-in began the session and made it this user's.
    pub provider: String,
    /// When the user signed in, in Unix milliseconds.
    pub created_at_ms: u64,
    /// When the session ends whatever happens, in Unix milliseconds.
    pub expires_at_ms: u64,
    /// The accounts it acts for, by provider.
    pub accounts: BTreeMap<String, LinkedAccount>,
}
