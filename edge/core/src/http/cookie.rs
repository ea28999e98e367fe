//! Cookies: reading ours out of a request, writing them with the attributes they all share.

use std::collections::BTreeSet;

use http::{HeaderMap, header};

/// Most bytes of cookies read. Ours together stay far below it: what exceeds it was put there by others of the site.
pub const MAX_COOKIE_BYTES: usize = 32 * 1024;
/// Most cookies that one answer clears; whoever has more has the rest cleared by the next ones.
const MAX_CLEARED: usize = 16;

/// Begins the name of each of our cookies: browsers that know it accept such a cookie only from an HTTP response, with
/// `Secure`, `Path=/` and without `Domain`; older ones see the `__Host-` in it and enforce all but the first.
pub(crate) const PREFIX: &str = "__Host-Http-";

/// Name of the session cookie.
pub const SESSION_COOKIE: &str = "__Host-Http-session";

/// On which sites the pages are that embed the widget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Embed {
    /// On the edge's own: the session cookie never travels from another one.
    SameSite,
    /// On others, too: what kept their requests out must be done by headers alone (S155).
    CrossSite,
}

/// What a request holds under a name.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// Nothing.
    None,
    /// One value.
    One(&'a str),
    /// Several: someone tossed a second cookie in, so none of them is believed.
    Several,
}

/// All cookies of a request as name and value. Whoever shares the site may set one that is no ASCII text: that one alone
/// is passed over, not the line that it stands in.
pub(crate) fn all(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| str::from_utf8(pair).ok().filter(|pair| pair.is_ascii()))
        .filter_map(|pair| pair.trim().split_once('='))
}

/// The cookie of a name.
#[must_use]
pub fn find<'a>(headers: &'a HeaderMap, name: &str) -> Found<'a> {
    let mut values = all(headers).filter(|(found, _)| *found == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (None, _) => Found::None,
        (Some(value), None) => Found::One(value),
        (Some(_), Some(_)) => Found::Several,
    }
}

/// Bytes of cookies in a request.
pub(crate) fn bytes(headers: &HeaderMap) -> usize {
    headers.get_all(header::COOKIE).iter().map(http::HeaderValue::len).sum()
}

/// The values of `Set-Cookie` that remove whatever of ours a request holds.
pub(crate) fn clear_own(headers: &HeaderMap, embed: Embed) -> Vec<String> {
    let names: BTreeSet<&str> = all(headers).map(|(name, _)| name).filter(|name| is_own(name)).collect();
    let cleared = names.into_iter().flat_map(|name| match name {
        SESSION_COOKIE => clear_session(embed).to_vec(),
        name => vec![clear(name, SameSite::Lax)],
    });
    cleared.take(MAX_CLEARED).collect()
}

/// The values of `Set-Cookie` that remove the session cookie, and its namesake of before `EMBED` was changed: a partitioned
/// cookie is another one than that without the word, and with both a browser is believed nothing.
pub(crate) fn clear_session(embed: Embed) -> [String; 2] {
    [clear_former_session(embed), clear(SESSION_COOKIE, SameSite::of_session(embed))]
}

/// That of the namesake only. To stand before a cookie that is set: to a browser that does not know the word, the two are
/// the same.
pub(crate) fn clear_former_session(embed: Embed) -> String {
    let former = match embed {
        Embed::SameSite => Embed::CrossSite,
        Embed::CrossSite => Embed::SameSite,
    };
    clear(SESSION_COOKIE, SameSite::of_session(former))
}

/// Whether we may have set it: a name of the form that ours have.
fn is_own(name: &str) -> bool {
    let rest = name.strip_prefix(PREFIX).unwrap_or_default();
    (1..=32).contains(&rest.len())
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Whether a cookie is sent on navigations that come from other sites.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SameSite {
    /// Never.
    Strict,
    /// Only on top-level GET navigations; a sign-in's cookie must survive the way back from the provider.
    Lax,
    /// Always, for pages of other sites; and kept apart for each site that embeds us, where browsers know how.
    NonePartitioned,
}

impl SameSite {
    /// That of the session cookie.
    pub(crate) fn of_session(embed: Embed) -> Self {
        match embed {
            Embed::SameSite => Self::Strict,
            Embed::CrossSite => Self::NonePartitioned,
        }
    }
}

/// The value of `Set-Cookie`.
pub(crate) fn set(name: &str, value: &str, same_site: SameSite, max_age_seconds: u64) -> String {
    let same_site = match same_site {
        SameSite::Strict => "Strict",
        SameSite::Lax => "Lax",
        SameSite::NonePartitioned => "None; Partitioned",
    };
    format!("{name}={value}; Path=/; Max-Age={max_age_seconds}; Secure; HttpOnly; SameSite={same_site}")
}

/// The value of `Set-Cookie` that removes a cookie.
pub(crate) fn clear(name: &str, same_site: SameSite) -> String {
    set(name, "", same_site, 0)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    #[test]
    fn a_twin_makes_both_unbelievable() {
        assert_eq!(find(&headers(&["a=1; b=2"]), "a"), Found::One("1"));
        assert_eq!(find(&headers(&["a=1; a=2"]), "a"), Found::Several);
        assert_eq!(find(&headers(&["a=1", "a=2"]), "a"), Found::Several);
        assert_eq!(find(&headers(&["xa=1"]), "a"), Found::None);
    }

    #[test]
    fn another_applications_cookie_that_is_no_ascii_hides_none_of_ours() {
        let headers = |line: &[u8]| HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_bytes(line).unwrap())]);
        for foreign in [&b"x=\xc3\xa9"[..], b"x=\xe9", b"\xff", b"a=\xc3\xa9", b"a\xc3\xa9=2"] {
            for line in [[foreign, b"; a=1"].concat(), [b"a=1; ", foreign].concat()] {
                assert_eq!(find(&headers(&line), "a"), Found::One("1"), "{line:?}");
            }
        }
        assert_eq!(find(&headers(b"a=1; x=\xe9; a=2"), "a"), Found::Several);
    }

    #[test]
    fn every_cookie_is_secure_and_http_only_even_when_removed() {
        for value in
            [set("n", "v", SameSite::Strict, 5), set("n", "v", SameSite::NonePartitioned, 5), clear("n", SameSite::Lax)]
        {
            assert!(
                value.contains("; Secure; HttpOnly; SameSite=")
                    && value.contains("Path=/")
                    && !value.contains("Domain")
            );
        }
    }
}
