//! Validation of an ID token (OpenID Connect Core §3.1.3.7, §12.2; Entra's own rules on top). No I/O and no clock in
//! here: keys and `now` are passed in.

use std::collections::BTreeMap;

use jwt_compact::Claims;
use serde::{Deserialize, de::IgnoredAny};
use subtle::ConstantTimeEq as _;

use super::{
    jws::{self, SignatureError, Verified},
    provider::{Kind, Provider, TENANT_PLACEHOLDER},
    signing_key::SigningKey,
};
use crate::config::is_guid;

/// How far clocks may differ, in seconds.
pub(super) const SKEW_SECONDS: i64 = 60;

/// Why a token is not believed, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// Its form, its signature or its key.
    #[error("ID token {0}")]
    Signature(#[from] SignatureError),
    /// Another issuer, audience or party.
    #[error("ID token is not from this issuer for this client")]
    WrongParty,
    /// Over, not yet valid, or without times.
    #[error("ID token outside its time")]
    Time,
    /// Of another sign-in.
    #[error("ID token nonce does not match")]
    Nonce,
    /// The user proved who they are longer ago than was asked for, or the token does not say when.
    #[error("ID token does not say that the user signed in recently enough")]
    AuthTime,
    /// Entra: tenant or version is not a configured one.
    #[error("ID token of another tenant or version")]
    Tenant,
    /// Entra: of no required group, or of too many to be listed.
    #[error("ID token does not show a required group")]
    Group,
    /// A refreshed one: of another user or sign-in than the first.
    #[error("refreshed ID token is not of the same user and sign-in")]
    AnotherUser,
}

impl IdTokenError {
    /// The same as one text, for the log.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Signature(SignatureError::Malformed) => "ID token malformed",
            Self::Signature(SignatureError::WrongKind) => "ID token of another algorithm or type",
            Self::Signature(SignatureError::UnknownKey) => "ID token signed with an unknown key",
            Self::Signature(SignatureError::Wrong) => "ID token signature does not verify",
            Self::WrongParty => "ID token of another issuer or audience",
            Self::Time => "ID token outside its time",
            Self::Nonce => "ID token nonce does not match",
            Self::AuthTime => "ID token of a user who signed in too long ago",
            Self::Tenant => "ID token of another tenant or version",
            Self::Group => "ID token without a required group",
            Self::AnotherUser => "ID token of another user or sign-in",
        }
    }
}

/// What is read of an ID token.
#[derive(Debug, Clone, Deserialize)]
pub struct IdClaims {
    /// Who issued it.
    pub iss: String,
    /// The user, by the issuer's immutable id; pairwise per client for Entra.
    pub sub: String,
    aud: Audience,
    azp: Option<String>,
    nonce: Option<String>,
    /// When it was issued, in Unix seconds.
    #[serde(skip)]
    pub issued_at_seconds: i64,
    /// When the user proved who they are, in Unix seconds.
    #[serde(default)]
    pub auth_time: Option<i64>,
    /// The provider's own session, named in its logout requests.
    pub sid: Option<String>,
    /// Entra: tenant id.
    pub tid: Option<String>,
    /// Entra: the user's object id within the tenant.
    pub oid: Option<String>,
    ver: Option<String>,
    groups: Option<Vec<String>>,
    #[serde(rename = "_claim_names")]
    claim_names: Option<BTreeMap<String, IgnoredAny>>,
    /// Entra's shorter way of saying that the groups are elsewhere.
    hasgroups: Option<bool>,
    /// What a logout token has and an ID token has not.
    events: Option<IgnoredAny>,
    /// For show.
    pub name: Option<String>,
    /// For show; never an identity (nOAuth, S58).
    pub email: Option<String>,
    /// For show.
    pub preferred_username: Option<String>,
}

/// `aud`: one party or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    /// Exactly this client: a token that is also for somebody else is not for us (M33).
    pub(super) fn is_only(&self, client_id: &str) -> bool {
        match self {
            Self::One(audience) => audience == client_id,
            Self::Many(audiences) => !audiences.is_empty() && audiences.iter().all(|audience| audience == client_id),
        }
    }
}

/// Validates the token of a sign-in.
///
/// # Errors
/// [`IdTokenError`]; on [`SignatureError::UnknownKey`] try once more with freshly fetched keys.
pub fn validate(
    token: &str,
    keys: &[SigningKey],
    provider: &Provider,
    nonce: &str,
    now_seconds: i64,
) -> Result<IdClaims, IdTokenError> {
    let claims = verified(token, keys, provider, now_seconds)?;
    if !claims.nonce.as_ref().is_some_and(|given| bool::from(given.as_bytes().ct_eq(nonce.as_bytes()))) {
        return Err(IdTokenError::Nonce);
    }
    if claims.azp.as_ref().is_some_and(|azp| *azp != provider.client_id) {
        return Err(IdTokenError::WrongParty);
    }
    if let Some(max_age) = provider.max_age_seconds {
        let oldest = now_seconds.saturating_sub(i64::try_from(max_age).unwrap_or(i64::MAX));
        let recent = claims.auth_time.is_some_and(|at| {
            at >= oldest.saturating_sub(SKEW_SECONDS) && at <= now_seconds.saturating_add(SKEW_SECONDS)
        });
        if !recent {
            return Err(IdTokenError::AuthTime);
        }
    }
    Ok(claims)
}

/// Whether a token was issued before a moment, in Unix milliseconds, as far as clocks agree.
pub(super) fn is_older_than(claims: &IdClaims, began_ms: u64) -> bool {
    let began_seconds = i64::try_from(began_ms / 1000).unwrap_or(i64::MAX);
    claims.issued_at_seconds < began_seconds.saturating_sub(SKEW_SECONDS)
}

/// Validates the token that came with a refresh against the one before it (§12.2): the same user by the same issuer
/// for the same client, the same sign-in (M42, S55).
///
/// # Errors
/// [`IdTokenError`]; on [`SignatureError::UnknownKey`] try once more with freshly fetched keys. On any other the
/// connection must end.
pub fn validate_refreshed(
    token: &str,
    keys: &[SigningKey],
    provider: &Provider,
    before: &IdClaims,
    now_seconds: i64,
) -> Result<IdClaims, IdTokenError> {
    let claims = verified(token, keys, provider, now_seconds)?;
    if claims.continues(before, provider) { Ok(claims) } else { Err(IdTokenError::AnotherUser) }
}

impl IdClaims {
    /// Reads a token that was validated when it came and has rested sealed since; `None` if it is none.
    #[must_use]
    pub fn of_own(token: &str) -> Option<Self> {
        jws::claims_of_own(token).ok()
    }

    /// Whether these are of the same user and sign-in as those before.
    pub(super) fn continues(&self, before: &Self, provider: &Provider) -> bool {
        self.iss == before.iss
            && self.sub == before.sub
            && self.aud.is_only(&provider.client_id)
            && self.azp == before.azp
            && (self.auth_time.is_none() || self.auth_time == before.auth_time)
            && (self.nonce.is_none() || self.nonce == before.nonce)
            && (self.tid == before.tid && self.oid == before.oid)
    }
}

/// What holds for the first token as for refreshed ones.
fn verified(token: &str, keys: &[SigningKey], provider: &Provider, now_seconds: i64) -> Result<IdClaims, IdTokenError> {
    let Verified { claims, key_issuer } = jws::verify::<IdClaims>(token, keys, "JWT", false)?;
    let issued_at_seconds = check_time(&claims, now_seconds)?;
    let claims = IdClaims { issued_at_seconds, ..claims.custom };
    if claims.events.is_some() {
        return Err(SignatureError::WrongKind.into());
    }
    if !claims.aud.is_only(&provider.client_id) {
        return Err(IdTokenError::WrongParty);
    }
    let key_speaks_for_it = |tenant: &str| {
        key_issuer.as_ref().is_none_or(|of_key| of_key.replace(TENANT_PLACEHOLDER, tenant) == claims.iss)
    };
    match &provider.kind {
        Kind::Entra { tenants, groups, .. } => {
            // The tenant's id first: a token's own issuer means nothing before it is tied to an allowed tenant (M72, M74).
            let tenant = claims.tid.as_deref().filter(|tid| is_guid(tid) && tenants.allows(tid));
            let tenant = tenant.filter(|_| claims.ver.as_deref() == Some("2.0")).ok_or(IdTokenError::Tenant)?;
            let of_tenant = provider.issuer().replace(TENANT_PLACEHOLDER, tenant);
            if claims.iss != of_tenant || !key_speaks_for_it(tenant) {
                return Err(IdTokenError::WrongParty);
            }
            check_groups(&claims, groups)?;
        }
        Kind::OpenId { issuer, .. } => {
            if claims.iss != *issuer || !key_speaks_for_it("") {
                return Err(IdTokenError::WrongParty);
            }
        }
        Kind::GitHub { .. } => return Err(IdTokenError::WrongParty),
    }
    Ok(claims)
}

/// A user of more groups than fit is described by a pointer instead of a list: that is no proof of any (M77).
fn check_groups(claims: &IdClaims, required: &[String]) -> Result<(), IdTokenError> {
    let overage =
        claims.hasgroups == Some(true) || claims.claim_names.as_ref().is_some_and(|names| names.contains_key("groups"));
    let is_member = claims.groups.iter().flatten().any(|group| required.contains(group));
    if required.is_empty() || (is_member && !overage) { Ok(()) } else { Err(IdTokenError::Group) }
}

/// Checks expiry and begin, and returns when it was issued.
fn check_time<T>(claims: &Claims<T>, now: i64) -> Result<i64, IdTokenError> {
    let expires = claims.expiration.ok_or(IdTokenError::Time)?.timestamp();
    let issued = claims.issued_at.ok_or(IdTokenError::Time)?.timestamp();
    let not_before = claims.not_before.map_or(i64::MIN, |time| time.timestamp());
    let ahead = now.saturating_add(SKEW_SECONDS);
    if now.saturating_sub(SKEW_SECONDS) >= expires || issued > ahead || not_before > ahead {
        return Err(IdTokenError::Time);
    }
    Ok(issued)
}

#[cfg(test)]
#[path = "id_token_tests.rs"]
mod tests;
