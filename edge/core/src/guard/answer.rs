//! Which headers every answer has, and which pages may read it.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::fetch_metadata::forbidden;
use crate::{
    config::Config,
    error::Error,
    http::web::{CROSS_ORIGIN_RESOURCE_POLICY, REQUEST_ID, Response, single},
    route::{Cache, Cors, Csrf, Handler, Parameters, Row},
    runtime::reason::Reason,
};

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

/// Sets the headers that every answer of a row has.
pub fn finish<B>(
    config: &Config,
    row: Option<&Row>,
    origin: Option<&str>,
    request_id: &str,
    response: &mut Response<B>,
) {
    let by_handler = response.headers.remove(header::CACHE_CONTROL);
    // The handler of a row that uses no credentials knows what its answer depends on. A cache would keep it once for each
    // origin and each cookie, if it were told to.
    if !(row.is_some_and(|row| row.csrf == Csrf::Public) && response.headers.contains_key(header::VARY)) {
        vary_by_sender(response);
    }
    set_common(request_id, response);
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
    vary_by_sender(response);
    set_common(request_id, response);
}

/// An answer may depend on who asks, and from where.
fn vary_by_sender<B>(response: &mut Response<B>) {
    response.headers.append(header::VARY, const { HeaderValue::from_static("Origin, Cookie, Sec-Fetch-Site") });
}

fn set_common<B>(request_id: &str, response: &mut Response<B>) {
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
    response.set(REQUEST_ID, request_id);
}
