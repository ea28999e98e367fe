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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> String {
        let own = Origin::parse("https://edge.example").unwrap();
        let hosts = [Origin::parse("https://host.example").unwrap(), Origin::parse("http://localhost:8080").unwrap()];
        ReturnTo::parse(text, &own, &hosts).as_str().to_owned()
    }

    #[test]
    fn good_addresses_are_kept() {
        for good in [
            "/",
            "/chat",
            "/chat/?q=1&r=%2F",
            "/caf%C3%A9",
            "https://host.example/",
            "https://host.example/page?x=//y",
            "https://host.example/@ada",
            "https://host.example/wiki/Topic:Kafka",
            "https://host.example/a;v=1//b#/route?x",
            "https://host.example?q#f",
            "http://localhost:8080/index.html",
        ] {
            assert_eq!(check(good), good);
        }
        assert_eq!(check("https://host.example"), "https://host.example/");
        assert_eq!(check("https://edge.example/chat?q=1"), "/chat?q=1");
    }

    #[test]
    fn an_origin_contains_no_pattern_and_no_directive() {
        for good in ["https://a-b.example", "https://xn--caf-dma.example:8443", "http://[::1]:8080", "http://127.0.0.1"]
        {
            assert!(Origin::parse(good).is_some(), "{good}");
        }
        for bad in
            ["https://*.example", "https://*", "https://a;b.example", "https://a'b.example", "https://a,b.example"]
        {
            assert!(Origin::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn host_pages_on_the_edges_origin_follow_the_edges_rules() {
        let own = Origin::parse("https://edge.example").unwrap();
        let check = |text| ReturnTo::parse(text, &own, std::slice::from_ref(&own)).as_str().to_owned();
        assert_eq!(check("https://edge.example/chat?q=1#//e"), "/chat?q=1");
        assert_eq!(check("https://edge.example/auth/corp/login"), "/");
    }

    #[test]
    fn fragment_entry_is_added_behind_the_pages_own_fragment() {
        for (address, expected) in [
            ("/chat?q=1", "/chat?q=1#error=cancelled"),
            ("https://host.example/a#", "https://host.example/a#error=cancelled"),
            ("https://host.example/a#/route?x=1&y", "https://host.example/a#/route?x=1&y&error=cancelled"),
            ("https://host.example/a#error=old", "https://host.example/a#error=cancelled"),
            ("https://host.example/a#b&error=old&c", "https://host.example/a#b&c&error=cancelled"),
            ("https://host.example/a#errors=1#x", "https://host.example/a#errors=1#x&error=cancelled"),
        ] {
            let own = Origin::parse("https://edge.example").unwrap();
            let hosts = [Origin::parse("https://host.example").unwrap()];
            let address = ReturnTo::parse(address, &own, &hosts);
            assert_eq!(address.with_fragment_entry("error", "cancelled"), expected);
        }
    }

    #[test]
    fn everything_else_becomes_home() {
        for bad in [
            "",
            "e",
            "//e",
            "///e",
            "/\\e",
            "\\\\e",
            "/\\/e",
            "/./\\e",
            "/..//e",
            "/../e",
            "/a/./b",
            "/%09/e",
            "/%0a/e",
            "/ /e",
            "/\te",
            "/%5ce",
            "/%2f%2fe",
            "/%255ce",
            "https:e",
            "https:///e",
            "javascript:alert(1)",
            "data:text/html,x",
            "JaVaScRiPt:x",
            "https://host.example@e/",
            "https://host.example.e/",
            "https://host.examplee/",
            "https://e/https://host.example/",
            "https://good@host.example/",
            "HTTPS://host.example/",
            "https://host.example:444/",
            "／／e",
            "https://host。example/",
            "/＠e",
            "/a\r\nSet-Cookie: x=1",
            "/#//e",
            "/a#b",
            "?x",
            "/a;/../b",
            "/a/..;/b",
            "//host.example/",
            "https://host.example\\@e/",
            "/%",
            "/%zz",
            "/auth",
            "/auth/corp/login?connect=1",
            "https://edge.example.evil/",
            "https://edge.example",
            "https://edge.example//e",
            "https://edge.example@e/",
            "https://edge.example/auth/corp/login",
        ] {
            assert_eq!(check(bad), "/", "{bad:?}");
        }
        assert_eq!(check(&format!("/{}", "a".repeat(600))), "/");
        assert_eq!(check(&format!("https://host.example/p?{}", "a".repeat(600))), "https://host.example/p");
        assert_eq!(check(&format!("https://host.example/{}", "a".repeat(600))), "https://host.example/");
    }

    proptest! {
        /// For any input, a browser on the edge's origin stays there or goes to a configured host page's.
        #[test]
        fn never_leaves_the_configured_origins(text in "[/\\\\.:@%a-e?#;0-9 \t]{0,40}|(https?:)?[/\\\\]{0,3}(host|edge)\\.example[.@:/%a-z0-9]{0,12}") {
            let base = Url::parse("https://edge.example").unwrap();
            let url = base.join(&check(&text)).unwrap();
            let origin = url.origin().ascii_serialization();
            prop_assert!(["https://edge.example", "https://host.example", "http://localhost:8080"].contains(&origin.as_str()), "{}", url);
        }
    }
}
