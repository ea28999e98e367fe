//! Client assertions (RFC 7523, with the audience rules of its revision): they authenticate a client that has a private
//! key. Each request gets its own, valid for one minute.

use jwt_compact::Claims;
use secrecy::SecretString;
use serde::Serialize;

use super::{
    client_key::ClientKey,
    discovery::Endpoints,
    provider::{Kind, Provider},
};
use crate::runtime::{
    clock::now_seconds, dependency::Dependency, platform::Platform, random::random_text, unavailable::Unavailable,
};

/// The value of `client_assertion_type`.
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How long an assertion is valid, in seconds.
const LIFETIME_SECONDS: i64 = 60;

#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: &'a str,
}

/// Signs an assertion for one request.
pub(super) fn sign(
    platform: &impl Platform,
    provider: &Provider,
    endpoints: &Endpoints,
    key: &ClientKey,
) -> Result<SecretString, Unavailable> {
    let issuer = provider.issuer();
    // Only the issuer, so no other server that receives the assertion can use it. Entra accepts only its token endpoint
    // as the audience.
    let aud = match &provider.kind {
        Kind::Entra { .. } => endpoints.token.as_str(),
        Kind::OpenId { .. } | Kind::GitHub { .. } => issuer.as_str(),
    };
    let jti = random_text(platform)?;
    let custom = Assertion { iss: &provider.client_id, sub: &provider.client_id, aud, jti: &jti };
    let now = now_seconds(platform);
    let claims = with_times(custom, now, now.saturating_add(LIFETIME_SECONDS));
    let assertion =
        key.sign(&claims).ok_or_else(|| Unavailable::new(Dependency::SignIn, "cannot sign with the client's key"))?;
    Ok(assertion.into())
}

/// Claims with `iat` and `exp`, in Unix seconds.
pub(super) fn with_times<T>(custom: T, issued_at: i64, expires_at: i64) -> Claims<T> {
    let mut claims = Claims::new(custom);
    claims.issued_at = chrono::DateTime::from_timestamp(issued_at, 0);
    claims.expiration = chrono::DateTime::from_timestamp(expires_at, 0);
    claims
}
