//! Validates ID tokens (OpenID Connect Core §3.1.3.7, §12.2, and Entra's additional rules). Does no I/O and reads no
//! clock: the caller passes the keys and `now`.

mod claims;
mod error;

use jwt_compact::Claims;
use subtle::ConstantTimeEq as _;

pub use self::{claims::IdClaims, error::IdTokenError};
use super::{
    claim::SKEW_SECONDS,
    jws::{self, KeyIssuers, Typ, Verified},
    provider::{Provider, TENANT_PLACEHOLDER},
    signing_key::SigningKey,
};

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
/// [`IdTokenError`]. After [`SignatureError::UnknownKey`](jws::SignatureError::UnknownKey), retry once with freshly fetched
/// keys.
pub fn validate(
    token: &str,
    keys: &[SigningKey],
    provider: &Provider,
    sign_in: SignIn<'_>,
    now_seconds: i64,
) -> Result<IdClaims, IdTokenError> {
    let claims = validate_for_any_user(token, keys, provider, now_seconds)?;
    check_nonce(&claims, sign_in)?;
    check_authorized_party(&claims, provider)?;
    check_auth_time(&claims, provider, sign_in, now_seconds)?;
    Ok(claims)
}

/// Validates the ID token of a refresh against the one before (§12.2): issuer, user, client and sign-in must be the
/// same (M42, S55).
///
/// # Errors
/// [`IdTokenError`]. After [`SignatureError::UnknownKey`](jws::SignatureError::UnknownKey), retry once with freshly fetched
/// keys. On any other error but [`IdTokenError::Time`] (S117), the refreshed tokens must be rejected.
pub fn validate_refreshed(
    token: &str,
    keys: &[SigningKey],
    provider: &Provider,
    before: &IdClaims,
    now_seconds: i64,
) -> Result<IdClaims, IdTokenError> {
    let claims = validate_for_any_user(token, keys, provider, now_seconds)?;
    if claims.continues(before, now_seconds) { Ok(claims) } else { Err(IdTokenError::AnotherUser) }
}

/// Whether a token was issued before `began_ms` (Unix milliseconds). Allows for clock skew, and for a provider that
/// backdates its tokens.
pub(super) fn is_older_than(claims: &IdClaims, provider: &Provider, began_ms: u64) -> bool {
    let tolerance_seconds = SKEW_SECONDS.saturating_add(provider.backdates_seconds());
    claims.issued_at_seconds < seconds(began_ms).saturating_sub(tolerance_seconds)
}

/// Validates what does not depend on the user or the sign-in: signature, times, issuer, audience, tenant and groups.
fn validate_for_any_user(
    token: &str,
    keys: &[SigningKey],
    provider: &Provider,
    now_seconds: i64,
) -> Result<IdClaims, IdTokenError> {
    let Verified { claims, key_issuers } = jws::verify::<IdClaims>(token, keys, Typ::Optional("JWT"))?;
    let issued_at_seconds = check_time(&claims, now_seconds)?;
    let mut claims = claims.custom.with_entra_claims(token, provider)?;
    claims.issued_at_seconds = issued_at_seconds;
    let tenant = claims.check_party(provider)?;
    check_key_issuer(&key_issuers, tenant, &claims.iss)?;
    Ok(claims)
}

/// Checks `exp`, `iat` and `nbf`, and returns `iat` in Unix seconds.
fn check_time<T>(claims: &Claims<T>, now_seconds: i64) -> Result<i64, IdTokenError> {
    let expires = claims.expiration.ok_or(IdTokenError::Time)?.timestamp();
    let issued = claims.issued_at.ok_or(IdTokenError::Time)?.timestamp();
    let not_before = claims.not_before.map(|time| time.timestamp());
    // Negative times are nonsense: no provider existed before 1970 (S47).
    let is_nonsense = issued < 0 || not_before.is_some_and(|time| time < 0);
    let is_expired = now_seconds.saturating_sub(SKEW_SECONDS) >= expires;
    let latest = now_seconds.saturating_add(SKEW_SECONDS);
    let is_not_valid_yet = issued > latest || not_before.is_some_and(|time| time > latest);
    if is_nonsense || is_expired || is_not_valid_yet { Err(IdTokenError::Time) } else { Ok(issued) }
}

/// Checks that a key that is restricted to one issuer signs for that issuer only (M73).
fn check_key_issuer(key_issuers: &KeyIssuers, tenant: &str, issuer: &str) -> Result<(), IdTokenError> {
    let is_key_of_issuer = key_issuers.include(|key_issuer| key_issuer.replace(TENANT_PLACEHOLDER, tenant) == issuer);
    if is_key_of_issuer { Ok(()) } else { Err(IdTokenError::WrongParty) }
}

/// Checks that the token has the nonce of this sign-in.
fn check_nonce(claims: &IdClaims, sign_in: SignIn<'_>) -> Result<(), IdTokenError> {
    let nonce = claims.nonce.as_ref().ok_or(IdTokenError::Nonce)?;
    let matches = bool::from(nonce.as_bytes().ct_eq(sign_in.nonce.as_bytes()));
    if matches { Ok(()) } else { Err(IdTokenError::Nonce) }
}

/// Checks that `azp`, if present, is this client.
fn check_authorized_party(claims: &IdClaims, provider: &Provider) -> Result<(), IdTokenError> {
    let is_this_client = claims.azp.as_ref().is_none_or(|azp| *azp == provider.client_id);
    if is_this_client { Ok(()) } else { Err(IdTokenError::WrongParty) }
}

/// Checks that the user authenticated recently enough, if the provider was asked for that by `max_age`. The age counts
/// from the start of the sign-in, when the provider applied `max_age`. What the user does there afterwards, such as a
/// second factor or a consent, may take longer.
fn check_auth_time(
    claims: &IdClaims,
    provider: &Provider,
    sign_in: SignIn<'_>,
    now_seconds: i64,
) -> Result<(), IdTokenError> {
    let Some(max_age) = provider.max_age_seconds else { return Ok(()) };
    let oldest = seconds(sign_in.began_ms).saturating_sub(i64::try_from(max_age).unwrap_or(i64::MAX));
    let accepted = oldest.saturating_sub(SKEW_SECONDS)..=now_seconds.saturating_add(SKEW_SECONDS);
    let is_recent = claims.auth_time.is_some_and(|at| accepted.contains(&at));
    if is_recent { Ok(()) } else { Err(IdTokenError::AuthTime) }
}

fn seconds(ms: u64) -> i64 {
    i64::try_from(ms / 1000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
