//! Values that end. For stores that forget nothing by themselves the end stands before the value, in milliseconds since the
//! Unix epoch, as eight bytes, the highest first; a store that forgets by itself may not take every end.

use std::time::Duration;

use super::clock::millis;

/// What was found in such a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept<'a> {
    /// The value.
    Value(&'a [u8]),
    /// Nothing any more, or nothing that was written here: to be deleted.
    Expired,
}

/// The shortest life of a value in Workers KV, in seconds: it refuses to store one that is to end sooner.
const MIN_WORKERS_KV_SECONDS: u64 = 60;

/// The life to ask Workers KV for, in whole seconds. What lives there longer than it should is a copy that says itself
/// when it is over.
#[must_use]
pub fn workers_kv_seconds(ttl: Duration) -> u64 {
    ttl.as_secs().max(MIN_WORKERS_KV_SECONDS)
}

/// The bytes to store for a value that ends `ttl` from now.
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
    fn s118_a_value_is_kept_until_its_end_however_near() {
        let stored = encode(b"value", 1_000, Duration::from_millis(500));
        assert_eq!(decode(&stored, 1_000), Kept::Value(b"value"));
        assert_eq!(decode(&stored, 1_499), Kept::Value(b"value"));
        assert_eq!(decode(&stored, 1_500), Kept::Expired);
        assert_eq!(decode(&stored, u64::MAX), Kept::Expired);
    }

    #[test]
    fn s118_workers_kv_is_asked_for_no_life_that_it_refuses() {
        for (asked, given) in [(0, 60), (1, 60), (59_999, 60), (60_000, 60), (61_999, 61), (3_600_000, 3_600)] {
            assert_eq!(workers_kv_seconds(Duration::from_millis(asked)), given, "{asked} ms");
        }
    }

    #[test]
    fn the_layout_is_stored_so_it_does_not_change() {
        let stored = encode(b"v", 0x0102, Duration::from_millis(0x0100));
        assert_eq!(stored, [0, 0, 0, 0, 0, 0, 2, 2, b'v']);
    }

    #[test]
    fn what_was_not_written_here_is_over() {
        for foreign in [&b""[..], b"short", b"1234567"] {
            assert_eq!(decode(foreign, 0), Kept::Expired, "{foreign:?}");
        }
    }

    #[test]
    fn an_end_beyond_all_time_is_the_end_of_time() {
        let stored = encode(b"", 1, Duration::MAX);
        assert_eq!(decode(&stored, u64::MAX - 1), Kept::Value(b""));
    }
}
