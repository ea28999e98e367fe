//! Which page began a navigation, and whether a user did.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;

use super::fetch_metadata::{SEC_FETCH_DEST, SEC_FETCH_MODE, SEC_FETCH_SITE, forbidden};
use crate::{
    config::Config,
    error::Error,
    http::{cookie::Embed, origin::Origin, web::single},
    runtime::reason::Reason,
};

/// The headers by which browsers say that their user did not ask for a page yet. All but the first are of older browsers.
const PURPOSES: [HeaderName; 4] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-purpose"),
    HeaderName::from_static("x-moz"),
];
/// The purposes for which nothing begins, anywhere in such a header's value.
const UNVISITED: [&str; 3] = ["prefetch", "prerender", "preview"];

/// Whether a browser follows a link at the top level, so that a person sees the answer.
#[must_use]
pub fn is_navigation(headers: &HeaderMap) -> bool {
    single(headers, &SEC_FETCH_MODE) == Some("navigate") && single(headers, &SEC_FETCH_DEST) == Some("document")
}

/// Refuses what is no navigation at the top level.
pub(super) fn check_navigation(headers: &HeaderMap) -> Result<(), Error> {
    let is_absent_or =
        |name: &HeaderName, value: &str| !headers.contains_key(name) || single(headers, name) == Some(value);
    if is_absent_or(&SEC_FETCH_MODE, "navigate") && is_absent_or(&SEC_FETCH_DEST, "document") {
        return Ok(());
    }
    forbidden(Reason::NotTopLevelNavigation)
}

/// Refuses a prefetch: a browser's guess where its user may go next begins no sign-in (ASVS 7.6.2, S160).
///
/// # Errors
/// [`Error::Forbidden`].
pub fn check_visited(headers: &HeaderMap) -> Result<(), Error> {
    let is_unvisited = |value: &HeaderValue| {
        let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        UNVISITED.iter().any(|purpose| value.contains(purpose))
    };
    if PURPOSES.iter().any(|name| headers.get_all(name).iter().any(is_unvisited)) {
        return forbidden(Reason::Prefetch);
    }
    Ok(())
}

/// Refuses a navigation that acts on the session, unless the edge's own page or a configured host page began it. The cookie
/// proves nothing here: a browser also sends it with navigations that sibling origins of the same site begin (M6).
///
/// # Errors
/// [`Error::Forbidden`].
pub fn check_started_here(config: &Config, headers: &HeaderMap) -> Result<(), Error> {
    let is_own = single(headers, &SEC_FETCH_SITE) == Some("same-origin");
    let is_of_host_page = !is_via_other_site(headers) && has_allowed_referrer(config, headers);
    if is_own || is_of_host_page { Ok(()) } else { forbidden(Reason::NavigationFromOtherSite) }
}

/// Refuses a navigation that asks for a session for a page, unless a page of exactly that origin began it: the page that chose the
/// challenge can redeem the session. Only the `Referer` proves that. `Sec-Fetch-Site` names no origin, and redirects of the
/// page's site do not change the `Referer`.
///
/// # Errors
/// [`Error::Forbidden`].
pub fn check_started_at(page: &Origin, headers: &HeaderMap) -> Result<(), Error> {
    if referrer(headers).is_some_and(|origin| origin == page.as_str()) {
        return Ok(());
    }
    forbidden(Reason::HandoffFromOtherPage)
}

/// The origin of the page that began a navigation. A page can withhold it, but cannot claim another's.
fn referrer(headers: &HeaderMap) -> Option<String> {
    let page = Url::parse(single(headers, &header::REFERER)?).ok()?;
    Some(page.origin().ascii_serialization())
}

/// Whether the edge's own page or a configured host page began a navigation.
pub(super) fn has_allowed_referrer(config: &Config, headers: &HeaderMap) -> bool {
    referrer(headers).is_some_and(|origin| config.allows_origin(&origin))
}

/// Whether another site took part in a navigation. The `Referer` stays that of the page where the navigation began, even if
/// a link there led to a site that redirected here.
fn is_via_other_site(headers: &HeaderMap) -> bool {
    headers.contains_key(&SEC_FETCH_SITE) && single(headers, &SEC_FETCH_SITE) != Some("same-site")
}

/// Whether a page other than the edge's own and the configured host pages began a navigation. Its user may not have asked for
/// it (M58). Sibling origins of the same site are not trusted either (M6). An address that the user typed or bookmarked
/// counts as their own. `Sec-Fetch-User` decides nothing: the click may have been for something else.
#[must_use]
pub fn is_started_elsewhere(config: &Config, headers: &HeaderMap) -> bool {
    // Browsers that are not current do not report this, and are not restricted.
    if !headers.contains_key(&SEC_FETCH_SITE) {
        return false;
    }
    let is_own = matches!(single(headers, &SEC_FETCH_SITE), Some("same-origin" | "none"));
    let has_host_origin = single(headers, &header::ORIGIN).is_some_and(|origin| config.allows_origin(origin));
    let is_of_host_page = has_host_origin || has_allowed_referrer(config, headers);
    let is_direct = config.sessions.embed == Embed::CrossSite || !is_via_other_site(headers);
    !(is_own || is_of_host_page && is_direct)
}
