//! Paths in which no decoder along the way can find a different path.

/// Longest path that is forwarded, in bytes.
const MAX_PATH_BYTES: usize = 1024;

/// A path that every router and every server reads alike (S90). It is absolute, and its segments hold only unreserved
/// characters and harmless escapes. No segment is empty or consists of dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedPath(String);

impl AllowedPath {
    /// Checks a path as it is on the request line, still percent-encoded.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.split('/');
        let is_plain = path.len() <= MAX_PATH_BYTES && segments.all(is_plain_segment);
        is_plain.then(|| Self(path.to_owned()))
    }

    /// The path, byte for byte as it was checked.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a segment has only letters, digits and marks without meaning to any router. Only UTF-8 beyond ASCII and a space
/// may be escaped.
fn is_plain_segment(segment: &str) -> bool {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => match (bytes.next().and_then(hex_digit), bytes.next().and_then(hex_digit)) {
                (Some(high), Some(low)) if high >= 8 || (high, low) == (2, 0) => decoded.push(high << 4 | low),
                _ => return false,
            },
            byte if byte.is_ascii_alphanumeric() || b"-._~!$'()*+,=:@".contains(&byte) => decoded.push(byte),
            _ => return false,
        }
    }
    // Rust's UTF-8 rejects overlong encodings and surrogates.
    let Ok(decoded) = std::str::from_utf8(&decoded) else { return false };
    // Some file servers strip spaces around a name, which may leave dots or nothing.
    !decoded.trim().chars().all(|c| c == '.') && !decoded.chars().any(reads_as_ascii)
}

/// Whether some decoder may turn a character beyond ASCII into a separator or a dot. Compatibility mappings (NFKC, best fit
/// of old code pages) do that to punctuation, symbols and enclosed figures, but not to letters. So letters pass, with their
/// combining marks, and pictographs.
fn reads_as_ascii(c: char) -> bool {
    !(c.is_ascii() || c.is_alphabetic() || matches!(c, '\u{300}'..='\u{36f}' | '\u{1f300}'..='\u{1faff}'))
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests;
