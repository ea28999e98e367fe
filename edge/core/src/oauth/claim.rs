//! What the claims of ID tokens and logout tokens have in common, and how claims are read that providers write in several
//! ways.

use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

/// Tolerated clock skew, in seconds.
pub(super) const SKEW_SECONDS: i64 = 60;
/// Longest `sub`, `sid` and `jti`, in bytes. OpenID Connect allows 255 for `sub`.
const MAX_IDENTIFIER_BYTES: usize = 255;

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

/// Whether the text is usable as `sub`, `sid` or `jti` of a logout token.
pub(super) fn is_identifier(text: &str) -> bool {
    (1..=MAX_IDENTIFIER_BYTES).contains(&text.len())
}

/// Reads a claim that is only displayed. Any other type than text counts as absent: no decision depends on the claim, so
/// a wrong type must not prevent a sign-in.
///
/// # Errors
/// Those of the deserializer.
pub(super) fn display_only<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// Reads a time in Unix seconds, rounded down: a `NumericDate` (RFC 7519 §2) may have a fraction.
///
/// # Errors
/// Those of the deserializer; [`serde::de::Error::invalid_type`] for anything but a number or null.
pub(super) fn whole_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let number = Option::<Number>::deserialize(deserializer)?;
    Ok(number.and_then(|number| {
        // The cast from a float saturates.
        number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds.floor() as i64))
    }))
}
