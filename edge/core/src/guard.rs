//! Where a request may come from, and what every answer carries.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use url::Url;

use crate::{
    config::Config,
    error::Error,
    http::{
        cookie::{self, Embed, MAX_COOKIE_BYTES},
        origin::Origin,
        web::{Response, single},
    },
    route::{Cache, Cors, Csrf, Row},
};

/// The header a script must send; one that no form and no link can (M7).
pub const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
/// Names the request in answers and in the log.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Most bytes of headers read, names and values together.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Refuses what is too large to be read with care, wherever a runtime lets it in (S70).
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
/// # Errors
/// [`Error::Forbidden`] with the reason for the log.
pub fn check(config: &Config, row: &Row, method: &Method, headers: &HeaderMap) -> Result<(), Error> {
    match row.csrf {
        Csrf::Header => {
            refuse_upgrade(headers)?;
            if single(headers, &CSRF_HEADER) != Some("1") {
                return forbidden("X-CSRF header missing, repeated or wrong");
            }
            check_origin(config, headers, !method.is_safe())
        }
        Csrf::FetchMetadata => {
            refuse_upgrade(headers)?;
            check_origin(config, headers, false)
        }
        Csrf::Navigation => check_navigation(headers),
        Csrf::Signature | Csrf::Token | Csrf::Public => Ok(()),
    }
}

fn forbidden<T>(reason: &'static str) -> Result<T, Error> {
    Err(Error::Forbidden { reason })
}

/// No row opens a WebSocket: browsers send cookies along with one, and no preflight before it (S86).
fn refuse_upgrade(headers: &HeaderMap) -> Result<(), Error> {
    if headers.contains_key(header::SEC_WEBSOCKET_KEY) || headers.contains_key(header::UPGRADE) {
        return forbidden("an upgrade of the connection");
    }
    Ok(())
}

/// Whether the browser says that the request comes from where it may. `must_say`: silence will not do.
fn check_origin(config: &Config, headers: &HeaderMap, must_say: bool) -> Result<(), Error> {
    let has_origin = headers.contains_key(header::ORIGIN);
    let origin = single(headers, &header::ORIGIN);
    // `null` is a sandboxed or local page: never one of the configured origins.
    if has_origin && !origin.is_some_and(|origin| config.allows_origin(origin)) {
        return forbidden("Origin is not allowed");
    }
    // Where the cookie comes along from everywhere, a request that does not say where it comes from comes from nowhere.
    let must_say = must_say || config.sessions.embed == Embed::CrossSite;
    if !headers.contains_key(&SEC_FETCH_SITE) {
        // Not a current browser. It must name its origin before it may change anything.
        return if must_say && !has_origin { forbidden("neither Origin nor Sec-Fetch-Site") } else { Ok(()) };
    }
    match single(headers, &SEC_FETCH_SITE) {
        Some("same-origin") => Ok(()),
        // Another origin of the same site is as foreign as any, unless it is a configured host page (S80).
        Some("same-site") if has_origin => Ok(()),
        Some("cross-site") if has_origin && config.sessions.embed == Embed::CrossSite => Ok(()),
        _ => forbidden("Sec-Fetch-Site is not allowed"),
    }
}

fn check_navigation(headers: &HeaderMap) -> Result<(), Error> {
    let said = |name: &HeaderName, wanted: &str| !headers.contains_key(name) || single(headers, name) == Some(wanted);
    if said(&SEC_FETCH_MODE, "navigate") && said(&SEC_FETCH_DEST, "document") {
        return Ok(());
    }
    forbidden("not a top-level navigation")
}

/// Refuses a navigation of a browser that only guesses where its user will go: it begins no sign-in (ASVS 7.6.2).
///
/// # Errors
/// [`Error::Forbidden`].
pub fn check_visited(headers: &HeaderMap) -> Result<(), Error> {
    if headers.get_all(&SEC_PURPOSE).iter().any(|purpose| purpose.as_bytes().starts_with(b"prefetch")) {
        return forbidden("prefetched, not visited");
    }
    Ok(())
}

/// Refuses a navigation that acts on the session unless the edge's own page or a configured host page began it. The
/// cookie proves nothing here: a browser sends it along with navigations that any sibling of the site begins (M6).
///
/// # Errors
/// [`Error::Forbidden`].
pub fn check_begun_here(config: &Config, headers: &HeaderMap) -> Result<(), Error> {
    let is_own = single(headers, &SEC_FETCH_SITE) == Some("same-origin");
    let is_of_host_page = !is_sent_on(headers) && is_referred(config, headers);
    if is_own || is_of_host_page { Ok(()) } else { forbidden("another site began what acts on the session") }
}

/// Refuses a navigation that asks for a session for a page unless a page of that very origin began it: whoever chose the
/// challenge can take the session. That the browser comes from near, or from nowhere, says nothing of that; and a redirect
/// of the page's site does not change what began the navigation.
///
/// # Errors
/// [`Error::Forbidden`].
pub fn check_begun_at(page: &Origin, headers: &HeaderMap) -> Result<(), Error> {
    if referrer(headers).is_some_and(|origin| origin == page.as_str()) {
        return Ok(());
    }
    forbidden("another page asked for a page's session, or one that does not say which it is")
}

/// The origin of the page that the browser comes from. A page can keep it out of what it sends, but not put another's in.
fn referrer(headers: &HeaderMap) -> Option<String> {
    let page = Url::parse(single(headers, &header::REFERER)?).ok()?;
    Some(page.origin().ascii_serialization())
}

/// Whether the page that the browser comes from is the edge's own or a configured host page.
fn is_referred(config: &Config, headers: &HeaderMap) -> bool {
    referrer(headers).is_some_and(|origin| config.allows_origin(&origin))
}

/// Whether another site has a part in a navigation: the `Referer` stays that of the page where it began, also when what the
/// user clicked there led to a site that redirects here.
fn is_sent_on(headers: &HeaderMap) -> bool {
    headers.contains_key(&SEC_FETCH_SITE) && single(headers, &SEC_FETCH_SITE) != Some("same-site")
}

/// Whether another page began a navigation than the edge's own and the configured host pages: its user may have done nothing
/// for it (M58). A sibling of the site is as foreign as any (M6). What they typed or bookmarked is theirs. `Sec-Fetch-User`
/// decides nothing: whichever click there was may have been for something else.
#[must_use]
pub fn is_begun_elsewhere(config: &Config, headers: &HeaderMap) -> bool {
    // A browser that is not current says nothing of this; it is as free as ever.
    if !headers.contains_key(&SEC_FETCH_SITE) {
        return false;
    }
    let is_own = matches!(single(headers, &SEC_FETCH_SITE), Some("same-origin" | "none"));
    let is_named = single(headers, &header::ORIGIN).is_some_and(|origin| config.allows_origin(origin));
    let is_of_host_page = is_named || is_referred(config, headers);
    let is_near = config.sessions.embed == Embed::CrossSite || !is_sent_on(headers);
    !(is_own || is_of_host_page && is_near)
}

/// Whether a request asks which cross-origin requests are allowed.
#[must_use]
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Answers a preflight.
///
/// # Errors
/// [`Error::Forbidden`] from an origin that is not allowed, [`Error::NotFound`] where there is no row.
pub fn preflight<B>(config: &Config, row: Option<&Row>, headers: &HeaderMap) -> Result<Response<B>, Error> {
    let row = row.ok_or(Error::NotFound)?;
    let origin = single(headers, &header::ORIGIN).unwrap_or_default();
    let mut response = Response::empty(StatusCode::NO_CONTENT);
    match row.cors {
        Cors::Hosts if config.allows_origin(origin) => allow_host(origin, &mut response),
        Cors::Hosts | Cors::None => return forbidden("preflight from an origin that is not allowed"),
        Cors::Anyone => response.set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    }
    response.set(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, PATCH, DELETE");
    response.set(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "content-type, idempotency-key, if-match, if-modified-since, if-none-match, if-range, if-unmodified-since, \
         last-event-id, range, traceparent, x-causeway-user, x-csrf",
    );
    response.set(header::ACCESS_CONTROL_MAX_AGE, "600");
    Ok(response)
}

/// What a host page's script may read of an answer beside what it always may.
const EXPOSED: &str =
    "content-disposition, content-range, etag, link, retry-after, x-ratelimit-remaining, x-request-id";

fn allow_host<B>(origin: &str, response: &mut Response<B>) {
    response.set(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    response.set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    response.set(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

/// Whether people rather than programs read the answer.
#[must_use]
pub fn accepts_html(headers: &HeaderMap) -> bool {
    single(headers, &header::ACCEPT).is_some_and(|accept| accept.contains("text/html"))
}

/// Puts on an answer what every answer of its row carries.
pub fn finish<B>(
    config: &Config,
    row: Option<&Row>,
    request: &HeaderMap,
    request_id: &str,
    response: &mut Response<B>,
) {
    let kept = response.headers.remove(header::CACHE_CONTROL);
    finish_closed(request_id, response);
    if let Some(kept) = kept
        && row.is_some_and(|row| row.cache == Cache::ByHandler)
    {
        response.headers.insert(header::CACHE_CONTROL, kept);
    }
    let cors = row.map_or(Cors::None, |row| row.cors);
    match (cors, single(request, &header::ORIGIN)) {
        (Cors::Hosts, Some(origin)) if config.allows_origin(origin) => allow_host(origin, response),
        (Cors::Anyone, _) => {
            response.set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
            response.set(HeaderName::from_static("cross-origin-resource-policy"), "cross-origin");
        }
        _ => {}
    }
    if config.public_origin.as_str().starts_with("https://") {
        response.set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
}

/// What even an edge without configuration puts on its answers.
pub fn finish_closed<B>(request_id: &str, response: &mut Response<B>) {
    let fixed = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        response.headers.insert(name, HeaderValue::from_static(value));
    }
    if !response.headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        response.set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    }
    response.add(header::VARY, "Origin, Cookie, Sec-Fetch-Site");
    response.set(REQUEST_ID, request_id);
}

#[cfg(test)]
mod tests;
