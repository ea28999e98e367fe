//! Where a request may come from.
//!
//! - `fetch_metadata`: what browsers report of a request
//! - `navigation`: which page began a navigation
//! - `answer`: which headers every answer has, and who may read it
//! - [`rate`]: how often a caller may do something

use http::{HeaderMap, HeaderName, Method, header};

use self::{
    fetch_metadata::{SEC_FETCH_DEST, SEC_FETCH_MODE, SEC_FETCH_SITE, SEC_FETCH_USER, forbidden},
    navigation::{check_navigation, has_allowed_referrer},
};
use crate::{
    config::Config,
    error::Error,
    http::{
        cookie::{self, Embed, MAX_COOKIE_BYTES},
        web::single,
    },
    route::{Csrf, Row},
    runtime::reason::Reason,
};

mod answer;
mod fetch_metadata;
mod navigation;
pub mod rate;

pub use self::{
    answer::{finish, finish_closed, is_preflight, preflight},
    navigation::{check_started_at, check_started_here, check_visited, is_navigation, is_started_elsewhere},
};

/// The header that a script must send. No form and no link can send it (M7).
pub const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf");

/// Largest size of all headers of a request, names and values together.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Refuses headers that are too large, which some runtimes let through (S70).
///
/// # Errors
/// [`Error::HeadersTooLarge`].
pub fn check_size(headers: &HeaderMap) -> Result<(), Error> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if cookie::bytes(headers) > MAX_COOKIE_BYTES || bytes > MAX_HEADER_BYTES {
        return Err(Error::HeadersTooLarge);
    }
    Ok(())
}

/// Refuses a request that another site makes in the user's name.
///
/// `parameters` are the values of the row's placeholders.
///
/// # Errors
/// [`Error::Forbidden`], with a reason for the log.
pub fn check(
    config: &Config,
    row: &Row,
    parameters: &[String],
    method: &Method,
    headers: &HeaderMap,
) -> Result<(), Error> {
    match row.csrf {
        Csrf::HeaderUnlessNavigable if is_navigable(config, parameters, method, headers) => {
            check_no_upgrade(headers)?;
            check_navigable(config, headers)
        }
        Csrf::Header | Csrf::HeaderUnlessNavigable => {
            check_no_upgrade(headers)?;
            if single(headers, &CSRF_HEADER) != Some("1") {
                return forbidden(Reason::CsrfHeader);
            }
            check_origin(config, headers, !method.is_safe())
        }
        Csrf::FetchMetadata => {
            check_no_upgrade(headers)?;
            check_origin(config, headers, false)
        }
        Csrf::Navigation => check_navigation(headers),
        Csrf::Signature | Csrf::Token | Csrf::Public => Ok(()),
    }
}

/// Refuses a request for a WebSocket. No row opens one: browsers send cookies with its request, and no preflight before it
/// (S86).
///
/// # Errors
/// [`Error::Forbidden`].
pub fn check_no_upgrade(headers: &HeaderMap) -> Result<(), Error> {
    if headers.contains_key(header::SEC_WEBSOCKET_KEY) || headers.contains_key(header::UPGRADE) {
        return forbidden(Reason::ConnectionUpgrade);
    }
    Ok(())
}

/// Checks the origin that the browser reports. `must_report`: a request that reports none is refused.
fn check_origin(config: &Config, headers: &HeaderMap, must_report: bool) -> Result<(), Error> {
    let has_origin = headers.contains_key(header::ORIGIN);
    let origin = single(headers, &header::ORIGIN);
    // `null` is the origin of a sandboxed or local page, and never a configured one.
    if has_origin && !origin.is_some_and(|origin| config.allows_origin(origin)) {
        return forbidden(Reason::OriginNotAllowed);
    }
    // Then the browser sends the cookie with requests from any site.
    let must_report = must_report || config.sessions.embed == Embed::CrossSite;
    if !headers.contains_key(&SEC_FETCH_SITE) {
        // Not a current browser. It must send its origin with a request that changes something.
        return if must_report && !has_origin { forbidden(Reason::OriginUnreported) } else { Ok(()) };
    }
    match single(headers, &SEC_FETCH_SITE) {
        Some("same-origin") => Ok(()),
        // Another origin of the same site is trusted only if it is a configured host page (S80).
        Some("same-site") if has_origin => Ok(()),
        Some("cross-site") if has_origin && config.sessions.embed == Embed::CrossSite => Ok(()),
        _ => forbidden(Reason::SecFetchSite),
    }
}

/// Whether a request of a service, whose name and path are `parameters`, needs no `X-CSRF`: it has none, and a rule of the
/// service marks it as navigable.
fn is_navigable(config: &Config, parameters: &[String], method: &Method, headers: &HeaderMap) -> bool {
    let [service, path] = parameters else { return false };
    !headers.contains_key(&CSRF_HEADER)
        && config.service(service).is_some_and(|service| service.is_navigable(method, &format!("/{path}")))
}

/// Refuses a request without `X-CSRF`, unless the browser reports each of these: the edge's own page or a configured host
/// page makes it, and follows a link at the top level or shows a picture, sound or film. What a browser does not report
/// counts as refused, because nothing else tells the request from that of another site (S164).
fn check_navigable(config: &Config, headers: &HeaderMap) -> Result<(), Error> {
    check_visited(headers)?;
    let has_origin = headers.contains_key(header::ORIGIN);
    if has_origin && !single(headers, &header::ORIGIN).is_some_and(|origin| config.allows_origin(origin)) {
        return forbidden(Reason::OriginNotAllowed);
    }
    let is_own = single(headers, &SEC_FETCH_SITE) == Some("same-origin");
    let is_ours = match single(headers, &SEC_FETCH_SITE) {
        Some("same-origin") => true,
        // Neither kind of request has an `Origin`.
        Some("same-site") => has_allowed_referrer(config, headers),
        // Also with pages of other sites (`EMBED=cross-site`): there the cookie comes with requests of any page.
        _ => false,
    };
    if !is_ours {
        return forbidden(Reason::SecFetchSite);
    }
    // Not all browsers report whether the user followed the link.
    let is_by_user = !headers.contains_key(&SEC_FETCH_USER) || single(headers, &SEC_FETCH_USER) == Some("?1");
    match (single(headers, &SEC_FETCH_MODE), single(headers, &SEC_FETCH_DEST)) {
        (Some("navigate"), Some("document")) if is_by_user => Ok(()),
        // A link with `download` in Chromium. Other sites' requests of that kind are refused above.
        (Some("navigate"), Some("empty")) if is_by_user && is_own => Ok(()),
        (Some("no-cors"), Some("image" | "audio" | "video")) => Ok(()),
        _ => forbidden(Reason::NotNavigable),
    }
}

/// Whether [`check`] let a request of a service through as one that a link or an image made.
#[must_use]
pub fn is_by_link(headers: &HeaderMap) -> bool {
    !headers.contains_key(&CSRF_HEADER)
}

/// Whether a person rather than a program will read the answer.
#[must_use]
pub fn accepts_html(headers: &HeaderMap) -> bool {
    single(headers, &header::ACCEPT).is_some_and(|accept| accept.contains("text/html"))
}

#[cfg(test)]
mod tests;
