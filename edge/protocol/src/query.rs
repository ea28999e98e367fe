//! Requests without a body: what they say is JSON in base64url, the only parameter of the query.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde::{Serialize, de::DeserializeOwned};

/// The path and query of a request.
pub(crate) fn target(path: &str, parameter: &str, request: &impl Serialize) -> String {
    format!("{path}?{parameter}={}", BASE64.encode(serde_json::to_vec(request).unwrap_or_default()))
}

/// Reads the query of a [`target`]. `None` for anything that it does not write, or that is longer than the limit.
pub(crate) fn read<T: DeserializeOwned>(query: &str, parameter: &str, max_bytes: usize) -> Option<T> {
    let text = query.strip_prefix(parameter)?.strip_prefix('=').filter(|text| text.len() <= max_bytes)?;
    serde_json::from_slice(&BASE64.decode(text).ok()?).ok()
}
