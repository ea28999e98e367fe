//! Values with an expiry. For stores without expiry, the value is prefixed with its expiry in Unix milliseconds, as eight
//! bytes in big-endian order. A store with expiry may not accept every lifetime.

use std::time::Duration;

use super::clock::millis;

/// What a store without expiry holds under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept<'a> {
    /// The value.
    Value(&'a [u8]),
    /// An expired value, or bytes that Causeway did not write. To be deleted.
    Expired,
}

/// The shortest lifetime that Workers KV accepts, in seconds.
const MIN_WORKERS_KV_SECONDS: u64 = 60;

/// The lifetime to request from Workers KV, in whole seconds. Values there hold their own expiry, so a longer lifetime
/// does no harm.
#[must_use]
pub fn workers_kv_seconds(ttl: Duration) -> u64 {
    ttl.as_secs().max(MIN_WORKERS_KV_SECONDS)
}

/// The bytes to store for a value that expires `ttl` from now.
#[must_use]
pub fn encode(value: &[u8], now_ms: u64, ttl: Duration) -> Vec<u8> {
    let ttl_ms = millis(ttl);
    [&now_ms.saturating_add(ttl_ms).to_be_bytes(), value].concat()
}

/// Reads what [`encode`] made.
#[must_use]
pub fn decode(stored: &[u8], now_ms: u64) -> Kept<'_> {
    match stored.split_first_chunk() {
        Some((ends_at_ms, value)) if now_ms < u64::from_be_bytes(*ends_at_ms) => Kept::Value(value),
        _ => Kept::Expired,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s118_value_is_kept_until_its_expiry_however_near() {
        let stored = encode(b"value", 1_000, Duration::from_millis(500));
        assert_eq!(decode(&stored, 1_000), Kept::Value(b"value"));
        assert_eq!(decode(&stored, 1_499), Kept::Value(b"value"));
        assert_eq!(decode(&stored, 1_500), Kept::Expired);
        assert_eq!(decode(&stored, u64::MAX), Kept::Expired);
    }

    #[test]
    fn s118_workers_kv_gets_no_lifetime_that_it_rejects() {
        for (asked, given) in [(0, 60), (1, 60), (59_999, 60), (60_000, 60), (61_999, 61), (3_600_000, 3_600)] {
            assert_eq!(workers_kv_seconds(Duration::from_millis(asked)), given, "{asked} ms");
        }
    }

    #[test]
    fn stored_layout_does_not_change() {
        let stored = encode(b"v", 0x0102, Duration::from_millis(0x0100));
        assert_eq!(stored, [0, 0, 0, 0, 0, 0, 2, 2, b'v']);
    }

    #[test]
    fn bytes_of_others_count_as_expired() {
        for other in [&b""[..], b"short", b"1234567"] {
            assert_eq!(decode(other, 0), Kept::Expired, "{other:?}");
        }
    }

    #[test]
    fn expiry_saturates_at_the_largest_time() {
        let stored = encode(b"", 1, Duration::MAX);
        assert_eq!(decode(&stored, u64::MAX - 1), Kept::Value(b""));
    }
}
