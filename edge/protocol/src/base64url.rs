//! The form of unpadded base64url (RFC 4648 §5), for texts that are compared and never decoded.

/// Length of 32 bytes in base64url without padding.
pub const CHARS_OF_32_BYTES: usize = 43;

/// Whether a text consists of exactly this many characters of base64url.
#[must_use]
pub fn is_base64url(text: &str, chars: usize) -> bool {
    text.len() == chars && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_and_characters_must_match() {
        assert!(is_base64url("aZ09-_", 6));
        for (text, chars) in [("aZ09-_", 5), ("aZ09-_", 7), ("a+b", 3), ("a/b", 3), ("ab=", 3), ("aé", 3)] {
            assert!(!is_base64url(text, chars), "{text} {chars}");
        }
    }
}
