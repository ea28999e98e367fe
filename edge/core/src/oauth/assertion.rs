//! Client assertions (RFC 7523 with the audience rules of its revision): how a client with a private key proves who it
//! is. One for each request; none outlives a minute.

use jwt_compact::Claims;
use secrecy::SecretString;
use serde::Serialize;

use super::{
    client_key::ClientKey,
    discovery::Endpoints,
    provider::{Kind, Provider},
};
use crate::runtime::{clock::now_seconds, platform::Platform, random::random_text, unavailable::Unavailable};

/// `client_assertion_type`
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How long one is good for, in seconds.
const LIFETIME_SECONDS: i64 = 60;

#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: &'a str,
}

/// Signs one.
pub(super) fn sign(
    platform: &impl Platform,
    provider: &Provider,
    endpoints: &Endpoints,
    key: &ClientKey,
) -> Result<SecretString, Unavailable> {
    let issuer = provider.issuer();
    // The issuer alone, so that no other server it is sent to can use it; Entra knows itself by its token endpoint only.
    let aud = match &provider.kind {
        Kind::Entra { .. } => endpoints.token.as_str(),
        Kind::OpenId { .. } | Kind::GitHub { .. } => issuer.as_str(),
    };
    let jti = random_text(platform)?;
    let custom = Assertion { iss: &provider.client_id, sub: &provider.client_id, aud, jti: &jti };
    let now = now_seconds(platform);
    let claims = with_times(custom, now, now.saturating_add(LIFETIME_SECONDS));
    let assertion =
        key.sign(&claims).ok_or_else(|| Unavailable::new("sign-in", "cannot sign with the client's key"))?;
    Ok(assertion.into())
}

/// Claims with `iat` and `exp`, in Unix seconds.
pub(super) fn with_times<T>(custom: T, issued_at: i64, expires_at: i64) -> Claims<T> {
    let mut claims = Claims::new(custom);
    claims.issued_at = chrono::DateTime::from_timestamp(issued_at, 0);
    claims.expiration = chrono::DateTime::from_timestamp(expires_at, 0);
    claims
}
