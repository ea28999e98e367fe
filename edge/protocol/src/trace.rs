//! W3C Trace Context: the `traceparent` that identifies a request in every component.
//!
//! Neither side records spans, so both forward a caller's value unchanged. Its parent id keeps naming a span that exists.

use std::fmt::{self, Write as _};

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
    pub fn begin(mut random: [u8; NEW_TRACE_BYTES]) -> Self {
        // An id of all zeros is invalid. Setting the lowest bit of each id avoids it and costs one random bit.
        for at in [15, NEW_TRACE_BYTES - 1] {
            if let Some(byte) = random.get_mut(at) {
                *byte |= 1;
            }
        }
        let mut text = String::with_capacity(55);
        text.push_str("00-");
        for (at, byte) in random.iter().enumerate() {
            if at == 16 {
                text.push('-');
            }
            // Writing into a `String` cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.push_str("-00");
        Self(text)
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

/// Whether a text is a `traceparent` of version 00, or of a later version that starts in the same way.
#[must_use]
pub fn is_traceparent(text: &str) -> bool {
    let mut parts = text.splitn(5, '-');
    let hex = |part: Option<&str>, digits: usize| {
        part.is_some_and(|part| {
            part.len() == digits && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        })
    };
    let zero = |part: &str| part.bytes().all(|b| b == b'0');
    let printable = text.bytes().all(|b| b.is_ascii_graphic());
    let version = parts.next();
    let (trace, span) = (parts.next(), parts.next());
    printable
        && hex(version, 2)
        && version != Some("ff")
        && hex(trace, 32)
        && hex(span, 16)
        && hex(parts.next(), 2)
        && !trace.is_some_and(zero)
        && !span.is_some_and(zero)
        && (version != Some("00") || parts.next().is_none())
        && text.len() <= 128
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
