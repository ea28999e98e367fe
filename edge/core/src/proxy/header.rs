//! Headers are rebuilt from an allow-list in both directions, so nothing has to be remembered to be removed.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{error::Error, oauth::identity::USER_AGENT};

const REQUEST_HEADERS: [HeaderName; 7] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::RANGE,
];

const RESPONSE_HEADERS: [HeaderName; 9] = [
    header::CONTENT_TYPE,
    header::CONTENT_LANGUAGE,
    header::CONTENT_RANGE,
    header::CONTENT_DISPOSITION,
    header::ETAG,
    header::LAST_MODIFIED,
    header::LINK,
    header::RETRY_AFTER,
    HeaderName::from_static("x-ratelimit-remaining"),
];

/// The request headers that go upstream.
#[must_use]
pub fn request_headers(from: &HeaderMap) -> HeaderMap {
    let mut to = copy(from, &REQUEST_HEADERS);
    to.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    // Nothing is ever unpacked here, so nothing can grow here (S105).
    to.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    to
}

/// Whether an answer is packed, though that was asked not to be.
#[must_use]
pub fn is_packed(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// How many bytes a request says that its body has; `None` if it does not say.
///
/// # Errors
/// [`Error::BadRequest`] if it says two things (S96).
pub fn declared_length(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let contradictory = Error::BadRequest { reason: "the length of the body is contradictory" };
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = values.next() else { return Ok(None) };
    let digits = first.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|text| text.parse().ok()) {
        Some(length) if values.next().is_none() && !headers.contains_key(header::TRANSFER_ENCODING) => Ok(Some(length)),
        _ => Err(contradictory),
    }
}

/// The response headers that go to the browser: nothing that sets cookies, opens CORS, redirects or asks for credentials.
#[must_use]
pub fn response_headers(from: &HeaderMap) -> HeaderMap {
    copy(from, &RESPONSE_HEADERS)
}

fn copy(from: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut to = HeaderMap::new();
    for name in names {
        for value in from.get_all(name) {
            to.append(name.clone(), value.clone());
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_identities_never_cross() {
        let mut from = HeaderMap::new();
        for name in [
            "cookie",
            "authorization",
            "dpop",
            "forwarded",
            "x-forwarded-for",
            "x_forwarded_user",
            "x-original-url",
            "host",
            "connection",
            "set-cookie",
            "www-authenticate",
            "location",
            "access-control-allow-origin",
            "clear-site-data",
            "strict-transport-security",
        ] {
            from.insert(HeaderName::from_static(name), http::HeaderValue::from_static("x"));
        }
        from.insert(header::ACCEPT, http::HeaderValue::from_static("a/b"));
        let to = request_headers(&from);
        let names: Vec<_> = to.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["accept", "user-agent", "accept-encoding"]);
        assert_eq!(response_headers(&from).len(), 0);
    }

    #[test]
    fn s96_a_length_that_says_two_things_is_refused() {
        let length = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            declared_length(&headers)
        };
        assert_eq!(length(&[]), Ok(None));
        assert_eq!(length(&[("transfer-encoding", "chunked")]), Ok(None));
        assert_eq!(length(&[("content-length", "12")]), Ok(Some(12)));
        for pairs in [
            &[("content-length", "1"), ("content-length", "2")][..],
            &[("content-length", "1"), ("content-length", "1")],
            &[("content-length", "1, 1")],
            &[("content-length", "1"), ("transfer-encoding", "chunked")],
            &[("content-length", "+1")],
            &[("content-length", "-1")],
            &[("content-length", "0x1")],
            &[("content-length", "")],
            &[("content-length", "99999999999999999999")],
        ] {
            assert!(length(pairs).is_err(), "{pairs:?}");
        }
    }
}
