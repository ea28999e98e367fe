//! Claims that providers write in several ways.

use serde::{Deserialize as _, Deserializer};
use serde_json::{Number, Value};

/// A claim that is only displayed. Any other type than text counts as absent: no decision depends on the claim, so a
/// wrong type must not prevent a sign-in.
///
/// # Errors
/// Those of the deserializer.
pub(super) fn display_only<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// A time in Unix seconds, rounded down: a `NumericDate` (RFC 7519 §2) may have a fraction.
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
