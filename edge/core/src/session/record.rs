//! A session's record: the user and the tokens of their accounts. Stores hold it sealed, see [`crate::seal`].

use std::{cell::OnceCell, collections::BTreeMap, rc::Rc};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    index::{IndexName, IssuedAt},
    summary::{AccountSummary, Summary},
};
use crate::{
    runtime::{dependency::Dependency, unavailable::Unavailable},
    seal::{Contents, Purpose, Sealed, decode_json, encode_json},
    token_set::{TokenSet, User, exposed_option},
};

/// An account of a provider that a session acts for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LinkedAccount {
    /// The account, as the provider describes it.
    pub user: User,
    /// The issuer that authenticated it.
    pub issuer: String,
    /// The issuer's identifier of it (`sub`; GitHub's numeric id).
    pub sub: String,
    /// The issuer's own session, where it names one (`sid`).
    pub sid: Option<String>,
    /// When the issuer authenticated the user, in Unix milliseconds by the issuer's clock.
    pub signed_in_at_ms: u64,
    /// Whether that time is by an isolate's clock instead, because the issuer names none.
    #[serde(default)]
    pub by_own_clock: bool,
    /// Its tokens.
    pub tokens: TokenSet,
    /// Access tokens for some services only, by [`crate::oauth::restriction::Restriction::key`].
    #[serde(default)]
    pub restricted: BTreeMap<String, RestrictedToken>,
    /// The private key that its tokens are bound to (DPoP, RFC 9449), as a JWK.
    #[serde(serialize_with = "exposed_option", default)]
    pub dpop_key: Option<SecretString>,
    /// The upstream's demand that the last sign-in answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_up: Option<AnsweredStepUp>,
}

/// An upstream's demand for another authentication, which a sign-in answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnsweredStepUp {
    /// Identifies the demand, however often it is made.
    pub digest: String,
    /// When it was made, in Unix milliseconds.
    #[serde(default)]
    pub made_at_ms: u64,
    /// When the user signed in, in Unix milliseconds.
    pub at_ms: u64,
    /// How many sign-ins in a row answered demands.
    pub in_a_row: u8,
    /// The demands that the others of the row answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<String>,
}

impl AnsweredStepUp {
    /// Whether a sign-in of the row answered a demand.
    #[must_use]
    pub fn has(&self, digest: &str) -> bool {
        self.digest == digest || self.former.iter().any(|former| former == digest)
    }
}

impl LinkedAccount {
    /// The indexes that a session with this account must be in, so that its provider can end it. Each comes with the time
    /// at which the provider authenticated the user; `now_ms` is this isolate's clock.
    fn indexes(&self, now_ms: u64) -> Vec<(IndexName, IssuedAt)> {
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

    /// The access token with this restriction, or the account's own.
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

    /// Takes new tokens whose access token has this restriction. The account's own access token stays.
    pub fn renew_restricted(&mut self, restriction: String, fresh: TokenSet) {
        let TokenSet { access_token, refresh_token, id_token, obtained_at_ms, expires_at_ms, .. } = fresh;
        self.restricted
            .insert(restriction, RestrictedToken { token: Some(access_token), obtained_at_ms, expires_at_ms });
        self.tokens.refresh_token = refresh_token;
        self.tokens.id_token = id_token;
    }

    /// Whether the provider recently refused a token with this restriction.
    #[must_use]
    pub fn is_denied(&self, restriction: &str, now_ms: u64) -> bool {
        self.restricted
            .get(restriction)
            .is_some_and(|it| it.token.is_none() && it.expires_at_ms.is_some_and(|until_ms| now_ms < until_ms))
    }
}

/// A restricted access token, or the provider's refusal to issue it.
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
    /// The provider's refusal, remembered until `until_ms` (Unix milliseconds).
    #[must_use]
    pub fn denied(now_ms: u64, until_ms: u64) -> Self {
        Self { token: None, obtained_at_ms: now_ms, expires_at_ms: Some(until_ms) }
    }
}

/// An access token and its lifetime.
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
    /// The user whose session it is.
    pub user: User,
    /// The provider of the sign-in that began the session. Its account decides whose session it is.
    pub provider: String,
    /// When the user signed in, in Unix milliseconds.
    pub created_at_ms: u64,
    /// When the session ends at the latest, in Unix milliseconds.
    pub expires_at_ms: u64,
    /// The linked accounts, by provider.
    pub accounts: BTreeMap<String, LinkedAccount>,
}

impl SessionRecord {
    /// What it says beside its secrets.
    pub(super) fn summary(&self) -> Summary {
        let summary = |(provider, account): (&String, &LinkedAccount)| {
            let LinkedAccount { issuer, tokens, .. } = account;
            let (issuer, is_renewable) = (issuer.clone(), tokens.refresh_token.is_some());
            (provider.clone(), AccountSummary { issuer, expires_at_ms: tokens.expires_at_ms, is_renewable })
        };
        Summary {
            user: self.user.clone(),
            provider: self.provider.clone(),
            expires_at_ms: self.expires_at_ms,
            accounts: self.accounts.iter().map(summary).collect(),
        }
    }

    /// The indexes that the session must be in, so that the provider of each account can end it. Each comes with the time
    /// at which the provider authenticated the user: the earlier one, if two accounts share an index. `now_ms` is this
    /// isolate's clock.
    #[must_use]
    pub fn indexes(&self, now_ms: u64) -> Vec<(IndexName, IssuedAt)> {
        let mut accounts: Vec<&LinkedAccount> = self.accounts.values().collect();
        accounts.sort_by_key(|account| account.signed_in_at_ms);
        let mut indexes: Vec<(IndexName, IssuedAt)> = Vec::new();
        for (name, signed_in) in accounts.into_iter().flat_map(|account| account.indexes(now_ms)) {
            if indexes.iter().all(|(known, _)| *known != name) {
                indexes.push((name, signed_in));
            }
        }
        indexes
    }
}

impl Contents for SessionRecord {
    const PURPOSE: Purpose = Purpose::SessionRecord;

    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Unavailable> {
        encode_json(Dependency::SessionRecord, self)
    }

    fn decode(plaintext: &[u8]) -> Option<Self> {
        decode_json(plaintext)
    }
}

/// A version of a session's record as the stores hold it.
#[derive(Debug, Clone)]
pub struct SealedRecord {
    /// Which version it is.
    pub generation: u64,
    /// The record, bound to its session and generation.
    pub sealed: Sealed<SessionRecord>,
    /// What it says, once it was opened.
    pub(super) summary: OnceCell<Rc<Summary>>,
}

impl SealedRecord {
    /// A record that was not opened yet.
    #[must_use]
    pub fn new(generation: u64, sealed: Sealed<SessionRecord>) -> Self {
        Self { generation, sealed, summary: OnceCell::new() }
    }

    /// A record that the coordinator returned as text. `None` if it is not base64url.
    #[must_use]
    pub fn from_text(generation: u64, text: &str) -> Option<Self> {
        Some(Self::new(generation, Sealed::from_text(text)?))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn account(sub: &str, sid: Value, signed_in_at_ms: u64) -> Value {
        let user = json!({"subject": format!("corp:{sub}"), "name": "Ada", "email": null});
        let tokens = json!({"access_token": "t", "obtained_at_ms": 0, "scopes": []});
        json!({
            "user": user, "issuer": "https://id", "sub": sub, "sid": sid, "signed_in_at_ms": signed_in_at_ms,
            "tokens": tokens,
        })
    }

    /// Two providers of a configuration may have one issuer. A logout between the two sign-ins concerns the earlier one.
    #[test]
    fn s156_of_two_accounts_in_one_index_the_earlier_sign_in_counts() {
        for (first, second) in [(10, 20), (20, 10)] {
            let record: SessionRecord = serde_json::from_value(json!({
                "user": account("s", Value::Null, 0)["user"], "provider": "a", "created_at_ms": 0, "expires_at_ms": 1,
                "accounts": {"a": account("s", json!("x"), first), "b": account("s", json!("y"), second)},
            }))
            .unwrap();
            let mut indexes = record.indexes(100);
            indexes.sort_by_key(|(name, _)| name.as_str().to_owned());
            let mut wanted = vec![
                (IndexName::account("https://id", "s"), IssuedAt::At(10)),
                (IndexName::provider_session("https://id", "x"), IssuedAt::At(first)),
                (IndexName::provider_session("https://id", "y"), IssuedAt::At(second)),
            ];
            wanted.sort_by_key(|(name, _)| name.as_str().to_owned());
            assert_eq!(indexes, wanted);
        }
    }

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
        let summary = record.summary();
        assert!(!format!("{summary:?}").contains("SECRET"));
        let account = &summary.accounts["corp"];
        assert!(account.is_expired(5) && !account.is_expired(4) && !account.is_spent(5));
    }
}
