//! The headers by which browsers report where a request comes from, and the refusal of one that may not come from there.

use http::HeaderName;

use crate::{error::Error, runtime::reason::Reason};

pub(super) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
pub(super) const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
pub(super) const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
pub(super) const SEC_FETCH_USER: HeaderName = HeaderName::from_static("sec-fetch-user");

pub(super) fn forbidden<T>(reason: Reason) -> Result<T, Error> {
    Err(Error::Forbidden { reason })
}
