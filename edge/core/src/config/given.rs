//! A field of a JSON entry that restricts something: `null` must not pass for one that is not there (S134).

use serde::{Deserialize, Deserializer};

/// A value that was given, for `deserialize_with` beside `default`; `null` is none.
pub(super) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
