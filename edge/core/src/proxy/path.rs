//! Paths in which no decoder on the way can find another path.

/// Longest path that is passed on, in bytes.
const MAX_PATH_BYTES: usize = 1024;

/// A path that every router and every server reads alike (S90): absolute, of segments that hold unreserved characters
/// and harmless escapes only, none of them empty, none of them of dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedPath(String);

impl AllowedPath {
    /// Checks a path as it stood on the request line, still percent-encoded.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.split('/');
        let plain = path.len() <= MAX_PATH_BYTES && segments.all(is_plain_segment);
        plain.then(|| Self(path.to_owned()))
    }

    /// The path, byte for byte what was checked.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Letters, digits and the marks that mean nothing to any router; escapes only of UTF-8 beyond ASCII and of a space.
fn is_plain_segment(segment: &str) -> bool {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => match (bytes.next().and_then(hex_digit), bytes.next().and_then(hex_digit)) {
                (Some(high), Some(low)) if high >= 8 || (high, low) == (2, 0) => decoded.push(high << 4 | low),
                _ => return false,
            },
            plain if plain.is_ascii_alphanumeric() || b"-._~!$'()*+,=:@".contains(&plain) => decoded.push(plain),
            _ => return false,
        }
    }
    // Rust's UTF-8 knows no overlong spelling of ASCII and no half of a surrogate pair.
    let Ok(decoded) = std::str::from_utf8(&decoded) else { return false };
    // Some file servers strip spaces around a name, and then it is one of dots, or none at all.
    !decoded.trim().chars().all(|c| c == '.') && !decoded.chars().any(reads_as_ascii)
}

/// Characters beyond ASCII that some decoder turns into a separator or a dot. Compatibility mappings (NFKC, best fit of
/// old code pages) do that to punctuation, symbols and enclosed figures, never to letters; so letters pass, with the
/// marks that are written over them, and pictures.
fn reads_as_ascii(c: char) -> bool {
    !(c.is_ascii() || c.is_alphabetic() || matches!(c, '\u{300}'..='\u{36f}' | '\u{1f300}'..='\u{1faff}'))
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests;
