//! Validation of an ID token (OpenID Connect Core §3.1.3.7, Entra's own rules on top). No I/O and no clock in here:
//! keys and `now` are passed in.

use jwt_compact::{Algorithm, AlgorithmExt as _, Claims, UntrustedToken, alg::Rsa, jwk::JsonWebKey};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use super::{
    discovery::SigningKey,
    provider::{Kind, Provider},
};
use crate::config::is_guid;

/// How far clocks may differ, in seconds.
const SKEW_SECONDS: i64 = 60;
/// Longest token read, in bytes. Entra's with 200 groups are about 10 KB.
const MAX_TOKEN_BYTES: usize = 32 * 1024;

/// Why a token is not believed, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// Not a JWT, or claims of wrong types.
    #[error("ID token malformed")]
    Malformed,
    /// Another algorithm than RS256, or a token of another type.
    #[error("ID token signed or typed otherwise than ID tokens are")]
    WrongKind,
    /// No such key; fetching the keys again may help once.
    #[error("ID token signed with an unknown key")]
    UnknownKey,
    /// The signature is wrong.
    #[error("ID token signature does not verify")]
    Signature,
    /// Another issuer, audience or party.
    #[error("ID token is not from this issuer for this client")]
    WrongParty,
    /// Over, not yet valid, or without times.
    #[error("ID token outside its time")]
    Time,
    /// Of another sign-in.
    #[error("ID token nonce does not match")]
    Nonce,
    /// Entra: tenant or version is not the configured one.
    #[error("ID token of another tenant or version")]
    Tenant,
}

/// What is read of an ID token.
#[derive(Debug, Clone, Deserialize)]
pub struct IdClaims {
    iss: String,
    /// The user, pairwise per client for Entra.
    pub sub: String,
    aud: Audience,
    azp: Option<String>,
    nonce: Option<String>,
    /// The issuer's session, by which it ends it.
    pub sid: Option<String>,
    /// When it was issued, in Unix seconds.
    #[serde(skip)]
    pub issued_at_seconds: i64,
    /// Entra: tenant id.
    pub tid: Option<String>,
    /// Entra: the user's object id within the tenant.
    pub oid: Option<String>,
    ver: Option<String>,
    /// For show.
    pub name: Option<String>,
    /// For show; never an identity (nOAuth, S58).
    pub email: Option<String>,
    /// For show.
    pub preferred_username: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    /// Exactly this client: a token that is also for somebody else is not for us (M33).
    fn is_only(&self, client_id: &str) -> bool {
        match self {
            Self::One(audience) => audience == client_id,
            Self::Many(audiences) => !audiences.is_empty() && audiences.iter().all(|audience| audience == client_id),
        }
    }
}

/// Validates a token.
///
/// # Errors
/// [`IdTokenError`]; on [`IdTokenError::UnknownKey`] try once more with freshly fetched keys.
pub fn validate(
    token: &str,
    keys: &[SigningKey],
    provider: &Provider,
    nonce: &str,
    now_seconds: i64,
) -> Result<IdClaims, IdTokenError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(IdTokenError::Malformed);
    }
    let token: UntrustedToken<'_> = UntrustedToken::new(token).map_err(|_| IdTokenError::Malformed)?;
    let header = token.header();
    // The algorithm is ours to choose; the header only gets to agree (M36). `jku`, `jwk`, `x5u` are never looked at.
    let expected_type = header.token_type.as_deref().is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
    if token.algorithm() != Rsa::rs256().name() || !expected_type {
        return Err(IdTokenError::WrongKind);
    }
    let key_id = header.key_id.as_deref();
    let mut usable = keys.iter().filter(|key| is_usable(key, key_id));
    let key = match (usable.next(), usable.next()) {
        (Some(key), None) => key,
        _ => return Err(IdTokenError::UnknownKey),
    };
    let claims = verify(&token, &key.key)?;
    check_time(&claims, now_seconds)?;
    let issued_at_seconds = claims.issued_at.map_or(0, |time| time.timestamp());
    let claims = IdClaims { issued_at_seconds, ..claims.custom };
    let issuer = provider.issuer();
    let key_issuer_matches = key.issuer.as_ref().is_none_or(|of_key| match &provider.kind {
        Kind::Entra { tenant, .. } => of_key.replace("{tenantid}", tenant) == issuer,
        Kind::GitHub { .. } => false,
    });
    let azp_matches = claims.azp.as_ref().is_none_or(|azp| *azp == provider.client_id);
    if claims.iss != issuer || !key_issuer_matches || !claims.aud.is_only(&provider.client_id) || !azp_matches {
        return Err(IdTokenError::WrongParty);
    }
    if !claims.nonce.as_ref().is_some_and(|given| bool::from(given.as_bytes().ct_eq(nonce.as_bytes()))) {
        return Err(IdTokenError::Nonce);
    }
    if let Kind::Entra { tenant, .. } = &provider.kind {
        let is_of_tenant = claims.tid.as_ref().is_some_and(|tid| is_guid(tid) && tid == tenant);
        if !is_of_tenant || claims.ver.as_deref() != Some("2.0") {
            return Err(IdTokenError::Tenant);
        }
    }
    Ok(claims)
}

/// A signing key for RS256 of the wanted id; a token without an id may be signed by the only key there is (S45).
fn is_usable(key: &SigningKey, key_id: Option<&str>) -> bool {
    matches!(key.key, JsonWebKey::Rsa { .. })
        && key.usage.as_deref().is_none_or(|usage| usage == "sig")
        && key.alg.as_deref().is_none_or(|alg| alg == "RS256")
        && (key_id.is_none() || key.kid.as_deref() == key_id)
}

fn verify(token: &UntrustedToken<'_>, key: &JsonWebKey<'_>) -> Result<Claims<IdClaims>, IdTokenError> {
    // Keys under 2048 bits are refused by the conversion to a strong key.
    let key = jwt_compact::alg::RsaPublicKey::try_from(key).map_err(|_| IdTokenError::UnknownKey)?;
    let key = jwt_compact::alg::StrongKey::try_from(key).map_err(|_| IdTokenError::UnknownKey)?;
    let algorithm = jwt_compact::alg::StrongAlg(Rsa::rs256());
    match algorithm.validator::<IdClaims>(&key).validate(token) {
        Ok(token) => Ok(token.into_parts().1),
        Err(jwt_compact::ValidationError::MalformedClaims(_)) => Err(IdTokenError::Malformed),
        Err(_) => Err(IdTokenError::Signature),
    }
}

fn check_time(claims: &Claims<IdClaims>, now: i64) -> Result<(), IdTokenError> {
    let expires = claims.expiration.ok_or(IdTokenError::Time)?.timestamp();
    let issued = claims.issued_at.ok_or(IdTokenError::Time)?.timestamp();
    let not_before = claims.not_before.map_or(i64::MIN, |time| time.timestamp());
    let ahead = now.saturating_add(SKEW_SECONDS);
    if now.saturating_sub(SKEW_SECONDS) >= expires || issued > ahead || not_before > ahead {
        return Err(IdTokenError::Time);
    }
    Ok(())
}

#[cfg(test)]
#[path = "id_token_tests.rs"]
mod tests;
