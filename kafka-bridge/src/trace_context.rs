//! The `traceparent` of W3C Trace Context, which passes through the bridge unchanged.

/// Whether a text is a `traceparent` of version 00, or of a later version that begins alike.
#[must_use]
pub fn is_traceparent(text: &str) -> bool {
    let mut parts = text.splitn(5, '-');
    let hex = |part: Option<&str>, digits: usize| {
        part.is_some_and(|part| {
            part.len() == digits && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        })
    };
    let zero = |part: &str| part.bytes().all(|b| b == b'0');
    let version = parts.next();
    let (trace, span) = (parts.next(), parts.next());
    hex(version, 2)
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
    fn only_well_formed_contexts_pass() {
        assert!(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\n",
        ] {
            assert!(!is_traceparent(bad), "{bad:?}");
        }
    }
}
