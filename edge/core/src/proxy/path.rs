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

/// Characters that compatibility mappings (NFKC, best fit) turn into one of those that are refused above, and C1
/// controls, which some take for Latin-1.
fn reads_as_ascii(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{9f}' | '\u{2024}'..='\u{2026}' | '\u{2044}' | '\u{2215}' | '\u{2216}' | '\u{29f5}'
        | '\u{29f8}' | '\u{29f9}' | '\u{3002}' | '\u{fe52}' | '\u{fe54}' | '\u{fe56}' | '\u{fe5f}' | '\u{fe68}'
        | '\u{fe6a}' | '\u{ff03}' | '\u{ff05}' | '\u{ff0e}' | '\u{ff0f}' | '\u{ff1b}' | '\u{ff1f}' | '\u{ff3c}'
        | '\u{ff61}')
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
