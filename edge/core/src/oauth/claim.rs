//! How claims are read that providers write in more ways than one.

use serde::{Deserialize as _, Deserializer};
use serde_json::{Number, Value};

/// A claim for show: what is no text is as if it was not there. Nothing is decided by it, so nobody is kept out for it.
///
/// # Errors
/// Those of the deserializer.
pub(super) fn for_show<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// A time in whole Unix seconds. JSON has numbers with a fraction, too (`NumericDate`, RFC 7519 §2); the second that has
/// begun counts.
///
/// # Errors
/// Those of the deserializer; [`serde::de::Error::invalid_type`] for what is neither a number nor null.
pub(super) fn whole_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let number = Option::<Number>::deserialize(deserializer)?;
    Ok(number.and_then(|number| {
        // A cast from a fraction saturates.
        number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds.floor() as i64))
    }))
}
