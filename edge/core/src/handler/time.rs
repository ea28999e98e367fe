//! Times in answers and events.

use chrono::{DateTime, SecondsFormat};

/// RFC 3339 with milliseconds, in UTC.
pub(super) fn rfc3339(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(DateTime::from_timestamp_millis);
    time.unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}
