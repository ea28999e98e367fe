//! Headers are rebuilt from an allow-list in each direction, so no header is forgotten when it should be removed.
//!
//! - [`request`]: from the browser to the upstream
//! - [`named`]: those that a service wants in addition
//! - [`response`]: from the upstream to the browser

pub(crate) mod named;
pub(crate) mod request;
pub(crate) mod response;

use http::{HeaderMap, HeaderName, header};

/// Whether a body has a content coding such as gzip. Requests ask upstreams for none, but not every upstream listens.
pub(crate) fn has_content_coding(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The listed headers, with all their values.
fn copy_listed(from: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut to = HeaderMap::new();
    for name in names {
        for value in from.get_all(name) {
            to.append(name.clone(), value.clone());
        }
    }
    to
}
