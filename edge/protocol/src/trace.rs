//! W3C Trace Context: the `traceparent` that identifies a request in every component.
//!
//! The edge records no spans, so it forwards a caller's value unchanged. Its parent id keeps naming a span that exists.
//! The bridge does so, too, unless it records spans: then a record names the span that wrote it.

use std::fmt;

/// The name of the header, and of the attribute of an event in Kafka.
pub const TRACEPARENT_HEADER: &str = "traceparent";

/// The random bytes of a new trace: its id and that of its first span.
pub const NEW_TRACE_BYTES: usize = 24;

/// A well-formed `traceparent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traceparent(String);

impl Traceparent {
    /// Accepts a caller's value if it is well-formed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_traceparent(text).then(|| Self(text.to_owned()))
    }

    /// Starts a trace. It is not marked as sampled, because nothing has recorded it.
    #[must_use]
    pub fn begin(random: [u8; NEW_TRACE_BYTES]) -> Self {
        let trace_id = u128::from_be_bytes(random.first_chunk().copied().unwrap_or_default());
        let span_id = u64::from_be_bytes(random.last_chunk().copied().unwrap_or_default());
        // An id of all zeros is invalid. Setting the lowest bit of each avoids it and costs one random bit.
        Self(format!("00-{:032x}-{:016x}-00", trace_id | 1, span_id | 1))
    }

    /// The header's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The trace's id, 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.0.split('-').nth(1).unwrap_or_default()
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The longest `traceparent` that is accepted. Version 00 has 55 characters; a later version may append fields.
const MAX_BYTES: usize = 128;

/// Whether a text is a `traceparent` of version 00, or of a later version that starts in the same way.
#[must_use]
pub fn is_traceparent(text: &str) -> bool {
    if text.len() > MAX_BYTES || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return false;
    }
    let mut parts = text.splitn(5, '-');
    let (Some(version), Some(trace_id), Some(span_id), Some(flags)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let has_more_fields = parts.next().is_some();
    is_lower_hex(version, 2)
        && version != "ff"
        && is_lower_hex(trace_id, 32)
        && !is_zero(trace_id)
        && is_lower_hex(span_id, 16)
        && !is_zero(span_id)
        && is_lower_hex(flags, 2)
        && (version != "00" || !has_more_fields)
}

/// Whether a text is this many lower-case hexadecimal digits. W3C Trace Context forbids upper case, which a decoder
/// such as the crate `hex` would accept.
fn is_lower_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(digits: &str) -> bool {
    digits.bytes().all(|b| b == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_contexts_are_accepted() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = Traceparent::parse(good).unwrap();
        assert_eq!((trace.as_str(), trace.trace_id()), (good, "4bf92f3577b34da6a3ce929d0e0e4736"));
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\n",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-\"\r\n",
        ] {
            assert!(!is_traceparent(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_new_trace_is_well_formed_for_any_random_bytes() {
        for random in [[0; NEW_TRACE_BYTES], [0xff; NEW_TRACE_BYTES], [0x5a; NEW_TRACE_BYTES]] {
            assert!(is_traceparent(Traceparent::begin(random).as_str()));
        }
        assert_eq!(
            Traceparent::begin([0x10; NEW_TRACE_BYTES]).as_str(),
            "00-10101010101010101010101010101011-1010101010101011-00"
        );
    }
}
