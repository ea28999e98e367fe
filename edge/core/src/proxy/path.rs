//! Paths in which no decoder along the way can find a different path; [`lookalike`]: characters that some decoder turns into
//! other ones.

mod lookalike;

use lookalike::{is_ignorable, is_wildcard, reads_as_ascii};

/// Longest path that is forwarded, in bytes.
const MAX_PATH_BYTES: usize = 1024;

/// The marks that may stand for themselves in a segment.
const PLAIN: &[u8] = b"-._~!$&'()*+,=:@";
/// The ASCII characters that may be escaped in a segment. Letters, digits and dots need no escape, and no client that means
/// well writes one: it could only disguise them. Some clients escape `-`, `_` and `~`. Browsers escape `"`, `<` and `>`. `/`
/// and `\` separate for some server. `;` begins a path parameter for servers of Java, which take it out of the path and
/// believe what it says of the session (`;jsessionid=`).
const ESCAPED: &[u8] = b" !\"#$%&'()*+,-:<=>?@[]^_`{|}~";

/// A path that every router and every server reads alike (S90, S161). It is absolute, and its segments hold only unreserved
/// characters and harmless escapes. No segment consists of dots, and none but the last is empty: a trailing slash names a
/// resource of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedPath {
    text: String,
    segments: Vec<String>,
}

impl AllowedPath {
    /// Checks a path as it is on the request line, still percent-encoded.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        if path.len() > MAX_PATH_BYTES {
            return None;
        }
        let (names, is_slash_last) = match path.strip_prefix('/')?.strip_suffix('/') {
            Some(names) => (names, true),
            None => (path.strip_prefix('/')?, false),
        };
        let segments = names.split('/').map(decoded).chain(is_slash_last.then(|| Some(String::new())));
        Some(Self { text: path.to_owned(), segments: segments.collect::<Option<_>>()? })
    }

    /// The path of a service's own URL, as `/bff/{service}/` asks for it. No rule but `/` covers it.
    #[must_use]
    pub fn root() -> Self {
        Self { text: "/".to_owned(), segments: Vec::new() }
    }

    /// Checks the path of a request to a service: `/` is the service's own URL.
    #[must_use]
    pub fn below_service(path: &str) -> Option<Self> {
        if path == "/" { Some(Self::root()) } else { Self::parse(path) }
    }

    /// Whether this is the path of the service's own URL.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.segments.is_empty()
    }

    /// The path, byte for byte as it was checked.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The segments, decoded. The last one is empty if the path ends in a slash. [`AllowedPath::root`] has none.
    #[must_use]
    pub fn segments(&self) -> &[String] {
        &self.segments
    }
}

/// A segment without escapes, if it is the same to every reader.
fn decoded(segment: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let byte = hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?;
                Some(byte).filter(|byte| !byte.is_ascii() || ESCAPED.contains(byte))?
            }
            byte => Some(byte).filter(|byte| byte.is_ascii_alphanumeric() || PLAIN.contains(byte))?,
        });
    }
    // Rust's UTF-8 rejects overlong encodings and surrogates.
    let decoded = String::from_utf8(decoded).ok()?;
    let is_same = !may_vanish(&decoded) && !hides_escape(decoded.as_bytes()) && !decoded.chars().any(reads_as_ascii);
    is_same.then_some(decoded)
}

/// Whether some server may read a decoded segment as nothing, or as dots. A server that decodes before it looks for a query
/// or a fragment cuts the segment off there. Some decoders read `+` as a space, some file servers strip spaces, some file
/// systems ignore invisible characters, and Windows has wildcards that match a dot or nothing.
fn may_vanish(segment: &str) -> bool {
    let mut name = segment.chars().take_while(|c| !matches!(c, '?' | '#'));
    name.all(|c| matches!(c, '.' | '+') || c.is_whitespace() || is_ignorable(c) || is_wildcard(c))
}

/// Whether a second decoder may find an escape in a decoded segment. Strict decoders need two digits. Lenient ones are
/// content with one (`%2z`), skip a sign or a space before it (`%+2`), or know `%u002e`. Digits need not be ASCII.
fn hides_escape(segment: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_hexdigit() || !byte.is_ascii();
    let mut rest = segment;
    while let Some((byte, after)) = rest.split_first() {
        let is_escape = *byte == b'%'
            && match after {
                // Without the first escape a second one begins here.
                [b'%', ..] => true,
                [b'+' | b'-' | b' ' | b'u' | b'U', second, ..] if is_digit(second) => true,
                [first, ..] => is_digit(first),
                // A name may end in a percent sign, but not be one.
                [] => segment.len() == 1,
            };
        if is_escape {
            return true;
        }
        rest = after;
    }
    false
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests;
