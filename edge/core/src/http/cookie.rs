//! Reads the edge's cookies from a request, and writes them with their common attributes.

use std::collections::BTreeSet;

use http::{HeaderMap, header};

/// The maximum size of a request's cookies. The edge's own stay far below it, so other applications of the site must have
/// set the rest.
pub const MAX_COOKIE_BYTES: usize = 32 * 1024;
/// The maximum number of cookies that one answer clears. Later answers clear the rest.
const MAX_CLEARED: usize = 16;

/// The prefix of each of the edge's cookies. Browsers that know it accept such a cookie only from an HTTP response, with
/// `Secure` and `Path=/` and without `Domain`. Older ones recognize `__Host-` in it and enforce all but the first.
pub(crate) const PREFIX: &str = "__Host-Http-";

/// The name of the session cookie.
pub const SESSION_COOKIE: &str = "__Host-Http-session";

/// The sites of the pages that embed the widget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Embed {
    /// The edge's own site. The session cookie is never sent from another one.
    SameSite,
    /// Other sites as well. Only the checks of headers then reject cross-site requests (S155).
    CrossSite,
}

/// The cookies of a request with a name.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// There is none.
    None,
    /// There is one, with this value.
    One(&'a str),
    /// There are several. Another application may have added one, so none is accepted.
    Several,
}

/// All cookies of a request as name and value. Another application of the site may set one that is not ASCII. Only that
/// cookie is skipped, not its whole line.
pub(crate) fn all(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| str::from_utf8(pair).ok().filter(|pair| pair.is_ascii()))
        .filter_map(|pair| pair.trim().split_once('='))
}

/// The cookie with a name.
#[must_use]
pub fn find<'a>(headers: &'a HeaderMap, name: &str) -> Found<'a> {
    let mut values = all(headers).filter(|(found, _)| *found == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (None, _) => Found::None,
        (Some(value), None) => Found::One(value),
        (Some(_), Some(_)) => Found::Several,
    }
}

/// The size of a request's cookies.
pub(crate) fn bytes(headers: &HeaderMap) -> usize {
    headers.get_all(header::COOKIE).iter().map(http::HeaderValue::len).sum()
}

/// The values of `Set-Cookie` that remove the edge's cookies in a request.
pub(crate) fn clear_own(headers: &HeaderMap, embed: Embed) -> Vec<String> {
    let names: BTreeSet<&str> = all(headers).map(|(name, _)| name).filter(|name| is_own(name)).collect();
    let cleared = names.into_iter().flat_map(|name| match name {
        SESSION_COOKIE => clear_session(embed).to_vec(),
        name => vec![clear(name, SameSite::Lax)],
    });
    cleared.take(MAX_CLEARED).collect()
}

/// The values of `Set-Cookie` that remove the session cookie, and the one from before `EMBED` was changed. Browsers treat
/// the partitioned cookie and the unpartitioned one as two cookies. A request with both would be rejected.
pub(crate) fn clear_session(embed: Embed) -> [String; 2] {
    [clear_former_session(embed), clear(SESSION_COOKIE, SameSite::of_session(embed))]
}

/// The value that removes only the session cookie from before `EMBED` was changed. It must precede a value that sets the
/// cookie: to a browser that does not know `Partitioned`, the two are the same.
pub(crate) fn clear_former_session(embed: Embed) -> String {
    let former = match embed {
        Embed::SameSite => Embed::CrossSite,
        Embed::CrossSite => Embed::SameSite,
    };
    clear(SESSION_COOKIE, SameSite::of_session(former))
}

/// Whether a name has the form of the edge's cookies.
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
    /// Only on top-level GET navigations. A sign-in's cookie must be sent on the redirect back from the provider.
    Lax,
    /// Always, for pages of other sites. Browsers that support it keep one cookie per embedding site.
    NonePartitioned,
}

impl SameSite {
    /// The value for the session cookie.
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
    fn a_second_cookie_of_the_same_name_invalidates_both() {
        assert_eq!(find(&headers(&["a=1; b=2"]), "a"), Found::One("1"));
        assert_eq!(find(&headers(&["a=1; a=2"]), "a"), Found::Several);
        assert_eq!(find(&headers(&["a=1", "a=2"]), "a"), Found::Several);
        assert_eq!(find(&headers(&["xa=1"]), "a"), Found::None);
    }

    #[test]
    fn another_applications_non_ascii_cookie_hides_no_own_cookie() {
        let headers = |line: &[u8]| HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_bytes(line).unwrap())]);
        for other in [&b"x=\xc3\xa9"[..], b"x=\xe9", b"\xff", b"a=\xc3\xa9", b"a\xc3\xa9=2"] {
            for line in [[other, b"; a=1"].concat(), [b"a=1; ", other].concat()] {
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
