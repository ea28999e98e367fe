//! Origins, and the addresses that a user may be sent back to.

use std::fmt;

use serde::{Deserialize as _, Deserializer, Serialize};
use url::Url;

/// The longest return address kept during a sign-in, in bytes. It is stored in a cookie.
const MAX_RETURN_TO_BYTES: usize = 512;

/// A web origin in its ASCII serialization (`https://example.com`, `http://localhost:8080`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Parses an origin: scheme, host and port, and nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let origin = url.origin().ascii_serialization();
        // `null` origins and anything with a path, query, user or upper-case spelling differ from their serialization. Other
        // characters that a URL's host may contain would be a pattern, or more, in a Content-Security-Policy.
        let is_plain = url.host_str()?.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte));
        (matches!(url.scheme(), "http" | "https") && is_plain && origin == text).then_some(Self(origin))
    }

    /// The ASCII serialization.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An address that the user may be sent to after a sign-in: a path on the edge's own origin, or an address on the origin of
/// a configured host page. Anything else becomes `/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// The default, `/`.
    #[must_use]
    pub fn home() -> Self {
        Self("/".to_owned())
    }

    /// The address if it is allowed, otherwise `/`.
    #[must_use]
    pub fn parse(text: &str, own: &Origin, hosts: &[Origin]) -> Self {
        Self::check(text, own, hosts).unwrap_or_else(Self::home)
    }

    /// Reads an address from sealed contents, and from nothing else: it was checked before it was sealed, and the seal
    /// proves that the text is unchanged. For `#[serde(deserialize_with)]`.
    ///
    /// # Errors
    /// It is not a string.
    pub(crate) fn deserialize_sealed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }

    fn check(text: &str, own: &Origin, hosts: &[Origin]) -> Option<Self> {
        if !is_printable(text) {
            return None;
        }
        // The edge's own pages have stricter rules, even if host pages have the same origin.
        let mut others = hosts.iter().filter(|host| *host != own);
        let own_path = text.strip_prefix(own.as_str()).map(|rest| rest.split('#').next().unwrap_or_default());
        let at_own = || Self::at_own(own_path.unwrap_or(text), own);
        others.find_map(|host| Self::at_host(text, host)).or_else(at_own)
    }

    /// An address without fragment on the origin of a configured host page, with that origin.
    #[must_use]
    pub fn at_host_page(text: &str, hosts: &[Origin]) -> Option<(Origin, Self)> {
        let text = text.split('#').next().unwrap_or_default();
        if !is_printable(text) {
            return None;
        }
        hosts.iter().find_map(|host| Some((host.clone(), Self::at_host(text, host)?)))
    }

    /// An address of a host page: any address on its origin.
    fn at_host(text: &str, host: &Origin) -> Option<Self> {
        let rest = text.strip_prefix(host.as_str())?;
        if !(rest.is_empty() || rest.starts_with(['/', '?', '#'])) {
            return None;
        }
        // The browser's interpretation decides, not the text.
        let url = Url::parse(text).ok()?;
        if url.origin().ascii_serialization() != host.as_str() || !url.username().is_empty() || url.password().is_some()
        {
            return None;
        }
        let without_query = rest.split(['?', '#']).next().unwrap_or_default();
        let kept =
            [rest, without_query].into_iter().find(|rest| rest.len() + host.as_str().len() <= MAX_RETURN_TO_BYTES);
        let kept = kept.filter(|kept| !kept.is_empty()).unwrap_or("/");
        Some(Self(format!("{host}{kept}")))
    }

    /// An address of the edge: a plain path that no decoder reads as another one.
    fn at_own(text: &str, own: &Origin) -> Option<Self> {
        let path = text.split('?').next().unwrap_or_default();
        if text.len() > MAX_RETURN_TO_BYTES || text.contains('#') || !is_plain_path(path) {
            return None;
        }
        // A sign-in returns to a page, not to a second sign-in that the user did not ask for.
        if path == "/auth" || path.starts_with("/auth/") {
            return None;
        }
        let base = Url::parse(own.as_str()).ok()?;
        let url = base.join(text).ok()?;
        (url.origin() == base.origin() && url.path() == path).then(|| Self(text.to_owned()))
    }

    /// The value for `Location` with an entry in the fragment, behind what the page itself has there. It replaces an entry of
    /// the same name, so an address does not grow from one sign-in to the next.
    #[must_use]
    pub fn with_fragment_entry(&self, name: &str, value: &str) -> String {
        let (address, fragment) = self.0.split_once('#').unwrap_or((&self.0, ""));
        let is_former = |entry: &str| entry.split_once('=').is_some_and(|(former, _)| former == name);
        let mut entries = fragment.split('&').filter(|entry| !is_former(entry)).collect::<Vec<_>>().join("&");
        if !entries.is_empty() {
            entries.push('&');
        }
        format!("{address}#{entries}{name}={value}")
    }

    /// The value for `Location`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text is printable ASCII without quotes, angle brackets and the backslash, which browsers read as a slash.
fn is_printable(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'"' | b'<' | b'>'))
}

/// Whether a path is absolute, without empty or dot segments, and without escapes that a later decoder could read as a
/// separator.
fn is_plain_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        if (segment.is_empty() && !last) || segment == "." || segment == ".." || segment.contains([';', '@', ':']) {
            return false;
        }
        let mut after_percent = segment.split('%').skip(1);
        if !after_percent.all(is_harmless_escape) {
            return false;
        }
    }
    true
}

/// Whether a text begins with two hexadecimal digits that decode to neither a separator, a dot, a percent sign nor a
/// control character.
fn is_harmless_escape(text: &str) -> bool {
    let Some(hex) = text.get(..2) else { return false };
    u8::from_str_radix(hex, 16).is_ok_and(|b| b >= 0x20 && b != 0x7f && !matches!(b, b'/' | b'\\' | b'.' | b'%' | b';'))
}

#[cfg(test)]
mod tests;
