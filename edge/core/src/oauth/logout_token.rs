//! Validation of a logout token (OpenID Connect Back-Channel Logout 1.0 §2.6). No I/O and no clock in here: keys and
//! `now` are passed in. That a token is used once is for the caller to see to.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::{Map, Value};

use super::{
    id_token::{Audience, SKEW_SECONDS},
    jws::{self, SignatureError, SignatureResult, Verified},
    provider::{Provider, TENANT_PLACEHOLDER},
    signing_key::SigningKey,
};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// How old a token may be, in seconds (ASVS 10.5.5); clocks may differ beyond that.
const MAX_AGE_SECONDS: i64 = 120;
/// Longest `sub`, `sid` and `jti`, in bytes; OpenID Connect allows a `sub` 255.
const MAX_NAME_BYTES: usize = 255;

/// Why a token is not believed, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenError {
    /// Its form, its signature or its key.
    #[error("logout token {0}")]
    Signature(#[from] SignatureError),
    /// Another issuer or audience.
    #[error("logout token is not from this issuer for this client")]
    WrongParty,
    /// Over, too old, from the future, or without times.
    #[error("logout token outside its time")]
    Time,
    /// Without the event, or with a nonce: another kind of token.
    #[error("logout token is no logout token")]
    WrongKind,
    /// Names neither a user nor a session, or has no id of its own.
    #[error("logout token does not say whom it is about")]
    Nameless,
}

impl LogoutTokenError {
    /// In words that the reject counter knows it by.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Signature(SignatureError::Malformed) => "logout token malformed",
            Self::Signature(SignatureError::WrongKind) => "logout token signed or typed otherwise",
            Self::Signature(SignatureError::UnknownKey) => "logout token of an unknown key",
            Self::Signature(SignatureError::Wrong) => "logout token signature wrong",
            Self::WrongParty => "logout token of another party",
            Self::Time => "logout token outside its time",
            Self::WrongKind => "logout token is another token",
            Self::Nameless => "logout token names nobody",
        }
    }
}

/// What a validated token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutToken {
    /// Who says so.
    pub issuer: String,
    /// Its own id.
    pub jti: String,
    /// Since when, in Unix seconds.
    pub issued_at_seconds: u64,
    /// Whose sessions end.
    pub ends: Ends,
}

/// Whose sessions end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ends {
    /// One session at the provider, whoever's it is.
    Session {
        /// It.
        sid: String,
        /// Whose it is, if the token says so: sessions of theirs that no `sid` came with end, too.
        sub: Option<String>,
    },
    /// All of a user (`sub`, M48).
    User(String),
}

impl LogoutToken {
    /// From when on it is refused for its age by a clock that is right, in Unix milliseconds.
    #[must_use]
    pub fn refused_from_ms(&self) -> u64 {
        let seconds = u64::try_from(MAX_AGE_SECONDS + SKEW_SECONDS).unwrap_or_default();
        self.issued_at_seconds.saturating_add(seconds).saturating_add(1).saturating_mul(1000)
    }
}

#[derive(Debug, Deserialize)]
struct LogoutClaims {
    iss: String,
    aud: Audience,
    sub: Option<String>,
    sid: Option<String>,
    jti: Option<String>,
    #[serde(default)]
    events: BTreeMap<String, Value>,
    #[serde(default, deserialize_with = "present")]
    nonce: bool,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// Validates a token.
///
/// # Errors
/// [`LogoutTokenError`]; on [`SignatureError::UnknownKey`] try once more with freshly fetched keys.
pub fn validate(
    token: &str,
    keys: &[SigningKey],
    provider: &Provider,
    now_seconds: i64,
) -> Result<LogoutToken, LogoutTokenError> {
    let verified = match jws::verify::<LogoutClaims>(token, keys, "logout+jwt", provider.strict_logout_typ) {
        // Some providers type it as they do ID tokens; the event tells the two apart, too.
        Err(SignatureError::WrongKind) if !provider.strict_logout_typ => {
            jws::verify::<LogoutClaims>(token, keys, "JWT", true)
        }
        verified => verified,
    };
    let Verified { claims, key_issuer } = verified?;
    let (expires, issued) = (claims.expiration, claims.issued_at);
    let expires = expires.ok_or(LogoutTokenError::Time)?.timestamp();
    let issued = issued.ok_or(LogoutTokenError::Time)?.timestamp();
    let oldest = now_seconds.saturating_sub(MAX_AGE_SECONDS + SKEW_SECONDS);
    if now_seconds.saturating_sub(SKEW_SECONDS) >= expires
        || issued < oldest
        || issued > now_seconds.saturating_add(SKEW_SECONDS)
    {
        return Err(LogoutTokenError::Time);
    }
    let LogoutClaims { iss, aud, sub, sid, jti, events, nonce } = claims.custom;
    let key_speaks_for_it = key_issuer.is_none_or(|of_key| is_issuer_of_key(&of_key, &iss));
    if !provider.is_issuer(&iss) || !aud.is_only(&provider.client_id) || !key_speaks_for_it {
        return Err(LogoutTokenError::WrongParty);
    }
    if nonce || events.get(EVENT).and_then(Value::as_object).map(Map::len).is_none() {
        return Err(LogoutTokenError::WrongKind);
    }
    let ends = match (sid, sub) {
        (Some(sid), sub) if is_name(&sid) => Ends::Session { sid, sub: sub.filter(|sub| is_name(sub)) },
        (None, Some(sub)) if is_name(&sub) => Ends::User(sub),
        _ => return Err(LogoutTokenError::Nameless),
    };
    let jti = jti.filter(|jti| is_name(jti)).ok_or(LogoutTokenError::Nameless)?;
    let issued_at_seconds = u64::try_from(issued).map_err(|_| LogoutTokenError::Time)?;
    Ok(LogoutToken { issuer: iss, jti, issued_at_seconds, ends })
}

/// Whether its provider can name a user or a session so when it ends what it knows by that.
pub(super) fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len())
}

/// Entra ties keys to one issuer, or to all tenants' by a placeholder (M73); the tenant itself is checked elsewhere.
fn is_issuer_of_key(of_key: &str, issuer: &str) -> bool {
    match of_key.split_once(TENANT_PLACEHOLDER) {
        Some((before, after)) => issuer.starts_with(before) && issuer.ends_with(after),
        None => of_key == issuer,
    }
}

impl SignatureResult for LogoutTokenError {
    fn signature_error(&self) -> Option<SignatureError> {
        if let Self::Signature(error) = self { Some(*error) } else { None }
    }
}

#[cfg(test)]
mod tests;
