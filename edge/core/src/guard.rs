//! Where a request may come from, and which headers every answer has; [`rate`]: how often.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use url::Url;

use crate::{
    config::Config,
    error::Error,
    http::{
        cookie::{self, Embed, MAX_COOKIE_BYTES},
        origin::Origin,
        web::{CROSS_ORIGIN_RESOURCE_POLICY, REQUEST_ID, Response, single},
    },
    route::{Cache, Cors, Csrf, Handler, Parameters, Row},
    runtime::reason::Reason,
};

pub mod rate;

/// The header that a script must send. No form and no link can send it (M7).
pub const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_USER: HeaderName = HeaderName::from_static("sec-fetch-user");
/// The headers by which browsers say that their user did not ask for a page yet. All but the first are of older browsers.
const PURPOSES: [HeaderName; 4] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-purpose"),
    HeaderName::from_static("x-moz"),
];
/// The purposes for which nothing begins, anywhere in such a header's value.
const UNVISITED: [&str; 3] = ["prefetch", "prerender", "preview"];

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

fn forbidden<T>(reason: Reason) -> Result<T, Error> {
    Err(Error::Forbidden { reason })
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

/// Whether a browser follows a link at the top level, so that a person sees the answer.
#[must_use]
pub fn is_navigation(headers: &HeaderMap) -> bool {
    single(headers, &SEC_FETCH_MODE) == Some("navigate") && single(headers, &SEC_FETCH_DEST) == Some("document")
}

fn check_navigation(headers: &HeaderMap) -> Result<(), Error> {
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
fn has_allowed_referrer(config: &Config, headers: &HeaderMap) -> bool {
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

/// Whether a request is a CORS preflight.
#[must_use]
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Answers a preflight.
///
/// # Errors
/// [`Error::Forbidden`] for an origin that is not allowed, [`Error::NotFound`] without a row.
pub fn preflight<B>(
    config: &Config,
    route: Option<(&Row, Parameters)>,
    headers: &HeaderMap,
) -> Result<Response<B>, Error> {
    let (row, parameters) = route.ok_or(Error::NotFound)?;
    let origin = single(headers, &header::ORIGIN).unwrap_or_default();
    let mut response = Response::empty(StatusCode::NO_CONTENT);
    match row.cors {
        Cors::Hosts if config.allows_origin(origin) => allow_host(origin, &mut response),
        Cors::Hosts | Cors::None => return forbidden(Reason::PreflightOrigin),
        Cors::Anyone => response.set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    }
    response.set(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, PATCH, DELETE");
    let mut allowed = "content-type, idempotency-key, if-match, if-modified-since, if-none-match, if-range, \
                       if-unmodified-since, last-event-id, range, traceparent, x-causeway-repeat, \
                       x-causeway-user, x-csrf"
        .to_owned();
    let service = parameters.first().filter(|_| row.handler == Handler::Proxy).and_then(|name| config.service(name));
    for name in service.iter().flat_map(|service| &service.request_headers) {
        allowed.push_str(", ");
        allowed.push_str(name.as_str());
    }
    response.set(header::ACCESS_CONTROL_ALLOW_HEADERS, &allowed);
    response.set(header::ACCESS_CONTROL_MAX_AGE, "600");
    Ok(response)
}

/// The headers that a host page's script may read, besides those that CORS always allows.
const EXPOSED: &str = "azure-asyncoperation, content-disposition, content-range, etag, link, location, \
                       operation-location, retry-after, x-ratelimit-remaining, x-request-id";

fn allow_host<B>(origin: &str, response: &mut Response<B>) {
    response.set(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    response.headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, const { HeaderValue::from_static("true") });
    response.headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, const { HeaderValue::from_static(EXPOSED) });
}

/// Whether a person rather than a program will read the answer.
#[must_use]
pub fn accepts_html(headers: &HeaderMap) -> bool {
    single(headers, &header::ACCEPT).is_some_and(|accept| accept.contains("text/html"))
}

/// Sets the headers that every answer of a row has.
pub fn finish<B>(
    config: &Config,
    row: Option<&Row>,
    origin: Option<&str>,
    request_id: &str,
    response: &mut Response<B>,
) {
    let by_handler = response.headers.remove(header::CACHE_CONTROL);
    finish_closed(request_id, response);
    if let Some(by_handler) = by_handler
        && row.is_some_and(|row| row.cache == Cache::ByHandler)
    {
        response.headers.insert(header::CACHE_CONTROL, by_handler);
    }
    let cors = row.map_or(Cors::None, |row| row.cors);
    match (cors, origin) {
        (Cors::Hosts, Some(origin)) if config.allows_origin(origin) => allow_host(origin, response),
        (Cors::Anyone, _) => {
            response.headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, const { HeaderValue::from_static("*") });
            response.headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, const { HeaderValue::from_static("cross-origin") });
        }
        _ => {}
    }
    if config.public_origin.as_str().starts_with("https://") {
        response
            .headers
            .insert(header::STRICT_TRANSPORT_SECURITY, const { HeaderValue::from_static("max-age=31536000") });
    }
}

/// Sets the headers that every answer has, even without a configuration.
pub fn finish_closed<B>(request_id: &str, response: &mut Response<B>) {
    response.headers.insert(header::CACHE_CONTROL, const { HeaderValue::from_static("no-store") });
    response.headers.insert(header::X_CONTENT_TYPE_OPTIONS, const { HeaderValue::from_static("nosniff") });
    response.headers.insert(header::REFERRER_POLICY, const { HeaderValue::from_static("no-referrer") });
    if !response.headers.contains_key(&CROSS_ORIGIN_RESOURCE_POLICY) {
        response.headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, const { HeaderValue::from_static("same-origin") });
    }
    if !response.headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        response.headers.insert(
            header::CONTENT_SECURITY_POLICY,
            const { HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'") },
        );
    }
    response.headers.append(header::VARY, const { HeaderValue::from_static("Origin, Cookie, Sec-Fetch-Site") });
    response.set(REQUEST_ID, request_id);
}

#[cfg(test)]
mod tests;
