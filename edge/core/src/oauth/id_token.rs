//! Validates ID tokens (OpenID Connect Core §3.1.3.7, §12.2, and Entra's additional rules). Does no I/O and reads no
//! clock: the caller passes the keys and `now`.

use jwt_compact::Claims;
use serde::{Deserialize, de::IgnoredAny};
use subtle::ConstantTimeEq as _;

use super::{
    claim,
    entra::EntraClaims,
    jws::{self, SignatureError, SignatureResult, Verified},
    provider::{Kind, Provider, TENANT_PLACEHOLDER},
    signing_key::SigningKey,
};

/// Tolerated clock skew, in seconds.
pub(super) const SKEW_SECONDS: i64 = 60;

/// Why an ID token is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// Malformed, wrongly signed, or signed with an unknown key.
    #[error("ID token {0}")]
    Signature(#[from] SignatureError),
    /// The issuer, the audience or the authorized party (`azp`) is wrong.
    #[error("ID token is not from this issuer for this client")]
    WrongParty,
    /// Expired, not valid yet, or without `exp` or `iat`.
    #[error("ID token outside its time")]
    Time,
    /// The nonce is not that of this sign-in.
    #[error("ID token nonce does not match")]
    Nonce,
    /// `auth_time` is missing, in the future, or older than the requested maximum age.
    #[error("ID token does not say that the user signed in recently enough")]
    AuthTime,
    /// Entra: the tenant is not allowed, or the token is not from the v2.0 endpoint.
    #[error("ID token of another tenant or version")]
    Tenant,
    /// Entra: the user is in none of the required groups, or in too many groups for the token to list them.
    #[error("ID token does not show a required group")]
    Group,
    /// A refreshed ID token belongs to a different user or sign-in than the one before.
    #[error("refreshed ID token is not of the same user and sign-in")]
    AnotherUser,
}

impl IdTokenError {
    /// The error as a fixed text for the log.
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

/// The claims read from an ID token.
#[derive(Debug, Clone, Deserialize)]
pub struct IdClaims {
    /// The issuer.
    pub iss: String,
    /// The issuer's immutable identifier of the user. Entra's differs per client (pairwise).
    pub sub: String,
    aud: Audience,
    azp: Option<String>,
    nonce: Option<String>,
    /// When the token was issued (`iat`), in Unix seconds.
    #[serde(skip)]
    pub issued_at_seconds: i64,
    /// When the user authenticated, in Unix seconds.
    #[serde(default, deserialize_with = "claim::whole_seconds")]
    pub auth_time: Option<i64>,
    /// The provider's own session, which its logout requests name.
    pub sid: Option<String>,
    /// Entra's additional claims. Always `None` for other providers, even if their tokens have claims of these names.
    #[serde(skip)]
    pub entra: Option<EntraClaims>,
    /// Present in logout tokens only. An ID token that has it is rejected.
    events: Option<IgnoredAny>,
    /// Displayed only.
    #[serde(default, deserialize_with = "claim::display_only")]
    pub name: Option<String>,
    /// Displayed only, never an identity (nOAuth, S58).
    #[serde(default, deserialize_with = "claim::display_only")]
    pub email: Option<String>,
    /// Displayed only.
    #[serde(default, deserialize_with = "claim::display_only")]
    pub preferred_username: Option<String>,
}

/// `aud`: one audience or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    /// Whether this client is the only audience. A token that is also issued for another client is rejected (M33).
    pub(super) fn is_only(&self, client_id: &str) -> bool {
        match self {
            Self::One(audience) => audience == client_id,
            Self::Many(audiences) => !audiences.is_empty() && audiences.iter().all(|audience| audience == client_id),
        }
    }
}

/// The sign-in that an ID token must belong to.
#[derive(Debug, Clone, Copy)]
pub struct SignIn<'a> {
    /// The nonce sent in the authorization request.
    pub nonce: &'a str,
    /// When the browser was sent to the provider, in Unix milliseconds.
    pub began_ms: u64,
}

/// Validates the ID token of a sign-in.
///
/// # Errors
/// [`IdTokenError`]. After [`SignatureError::UnknownKey`], retry once with freshly fetched keys.
pub fn validate(
    token: &str,
    keys: &[SigningKey],
    provider: &Provider,
    sign_in: SignIn<'_>,
    now_seconds: i64,
) -> Result<IdClaims, IdTokenError> {
    let claims = verified(token, keys, provider, now_seconds)?;
    if !claims.nonce.as_ref().is_some_and(|nonce| bool::from(nonce.as_bytes().ct_eq(sign_in.nonce.as_bytes()))) {
        return Err(IdTokenError::Nonce);
    }
    if claims.azp.as_ref().is_some_and(|azp| *azp != provider.client_id) {
        return Err(IdTokenError::WrongParty);
    }
    if let Some(max_age) = provider.max_age_seconds {
        // The age counts from the start of the sign-in, when the provider applied `max_age`. What the user does there
        // afterwards, such as a second factor or a consent, may take longer.
        let oldest = seconds(sign_in.began_ms).saturating_sub(i64::try_from(max_age).unwrap_or(i64::MAX));
        let is_recent = claims.auth_time.is_some_and(|at| {
            at >= oldest.saturating_sub(SKEW_SECONDS) && at <= now_seconds.saturating_add(SKEW_SECONDS)
        });
        if !is_recent {
            return Err(IdTokenError::AuthTime);
        }
    }
    Ok(claims)
}

/// Whether a token was issued before `began_ms` (Unix milliseconds). Allows for clock skew, and for a provider that
/// backdates its tokens.
pub(super) fn is_older_than(claims: &IdClaims, provider: &Provider, began_ms: u64) -> bool {
    let tolerance_seconds = SKEW_SECONDS.saturating_add(provider.backdates_seconds());
    claims.issued_at_seconds < seconds(began_ms).saturating_sub(tolerance_seconds)
}

fn seconds(ms: u64) -> i64 {
    i64::try_from(ms / 1000).unwrap_or(i64::MAX)
}

/// Validates the ID token of a refresh against the one before (§12.2): issuer, user, client and sign-in must be the
/// same (M42, S55).
///
/// # Errors
/// [`IdTokenError`]. After [`SignatureError::UnknownKey`], retry once with freshly fetched keys. On any
/// other error but [`IdTokenError::Time`] (S117), the refreshed tokens must be rejected.
pub fn validate_refreshed(
    token: &str,
    keys: &[SigningKey],
    provider: &Provider,
    before: &IdClaims,
    now_seconds: i64,
) -> Result<IdClaims, IdTokenError> {
    let claims = verified(token, keys, provider, now_seconds)?;
    if claims.continues(before, now_seconds) { Ok(claims) } else { Err(IdTokenError::AnotherUser) }
}

impl IdClaims {
    /// Reads a token without verifying its signature, such as one that was validated on receipt and kept sealed since.
    /// `None` if it is malformed.
    #[must_use]
    pub fn read_unverified(token: &str, provider: &Provider) -> Option<Self> {
        jws::unverified_claims::<Self>(token).and_then(|claims| claims.completed(token, provider)).ok()
    }

    /// Adds Entra's claims from the same token if the provider is Entra.
    fn completed(self, token: &str, provider: &Provider) -> Result<Self, SignatureError> {
        let entra = match provider.kind {
            Kind::Entra { .. } => Some(jws::unverified_claims(token)?),
            Kind::OpenId { .. } | Kind::GitHub { .. } => None,
        };
        Ok(Self { entra, ..self })
    }

    /// Checks issuer, audience, tenant and groups against the configuration. Does not depend on the signature or on the
    /// particular user. Returns the tenant, or an empty text if the provider has none.
    pub(super) fn check_party(&self, provider: &Provider) -> Result<&str, IdTokenError> {
        if self.events.is_some() {
            return Err(SignatureError::WrongKind.into());
        }
        if !self.aud.is_only(&provider.client_id) {
            return Err(IdTokenError::WrongParty);
        }
        match &provider.kind {
            Kind::Entra { tenants, groups, .. } => {
                // Check the tenant id first: the token's `iss` proves nothing until it is tied to an allowed tenant
                // (M72, M74).
                let entra = self.entra.as_ref().ok_or(IdTokenError::Tenant)?;
                let tenant = entra.tenant(tenants).ok_or(IdTokenError::Tenant)?;
                if self.iss != provider.issuer().replace(TENANT_PLACEHOLDER, tenant) {
                    return Err(IdTokenError::WrongParty);
                }
                if !entra.is_in_a_group(groups) {
                    return Err(IdTokenError::Group);
                }
                Ok(tenant)
            }
            Kind::OpenId { issuer, .. } if self.iss == *issuer => Ok(""),
            Kind::OpenId { .. } | Kind::GitHub { .. } => Err(IdTokenError::WrongParty),
        }
    }

    /// Whether these claims belong to the same user and sign-in as `before`.
    pub(super) fn continues(&self, before: &Self, now_seconds: i64) -> bool {
        let is_same_time = match (self.auth_time, before.auth_time) {
            (None, _) => true,
            (Some(at), Some(known)) => at == known,
            // `auth_time` is optional: the earlier token had none.
            (Some(at), None) => at <= now_seconds.saturating_add(SKEW_SECONDS),
        };
        self.iss == before.iss
            && self.sub == before.sub
            && self.azp == before.azp
            && is_same_time
            && (self.nonce.is_none() || self.nonce == before.nonce)
            && self.entra.as_ref().map(EntraClaims::identity) == before.entra.as_ref().map(EntraClaims::identity)
    }
}

/// The checks common to the ID tokens of a sign-in and of a refresh.
fn verified(token: &str, keys: &[SigningKey], provider: &Provider, now_seconds: i64) -> Result<IdClaims, IdTokenError> {
    let Verified { claims, key_issuer } = jws::verify::<IdClaims>(token, keys, "JWT", false)?;
    let issued_at_seconds = check_time(&claims, now_seconds)?;
    let claims = IdClaims { issued_at_seconds, ..claims.custom }.completed(token, provider)?;
    let tenant = claims.check_party(provider)?;
    if key_issuer.is_some_and(|issuer| issuer.replace(TENANT_PLACEHOLDER, tenant) != claims.iss) {
        return Err(IdTokenError::WrongParty);
    }
    Ok(claims)
}

/// Checks `exp`, `iat` and `nbf`, and returns `iat` in Unix seconds.
fn check_time<T>(claims: &Claims<T>, now: i64) -> Result<i64, IdTokenError> {
    let expires = claims.expiration.ok_or(IdTokenError::Time)?.timestamp();
    let issued = claims.issued_at.ok_or(IdTokenError::Time)?.timestamp();
    let not_before = claims.not_before.map_or(i64::MIN, |time| time.timestamp());
    let ahead = now.saturating_add(SKEW_SECONDS);
    // Negative times are nonsense: no provider existed before 1970 (S47).
    if claims.not_before.is_some_and(|time| time.timestamp() < 0) || issued < 0 {
        return Err(IdTokenError::Time);
    }
    if now.saturating_sub(SKEW_SECONDS) >= expires || issued > ahead || not_before > ahead {
        return Err(IdTokenError::Time);
    }
    Ok(issued)
}

impl SignatureResult for IdTokenError {
    fn signature_error(&self) -> Option<SignatureError> {
        if let Self::Signature(error) = self { Some(*error) } else { None }
    }
}

#[cfg(test)]
mod tests;
