//! Fetches JSON from another server: checks the status, limits the size of the body and parses it.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::{
    http::{
        body::ReadBody,
        web::{Incoming, Outgoing},
    },
    runtime::{clock::within, dependency::Dependency, platform::Platform, unavailable::Unavailable},
};

/// What a response must look like.
pub(super) struct Expected {
    /// The server's name in error messages.
    pub(super) from: Dependency,
    /// Whether a response with this status has the JSON in its body.
    pub(super) is_status: fn(&StatusCode) -> bool,
    /// The largest body accepted, in bytes.
    pub(super) max_bytes: usize,
    /// The error message for a body that is not the expected JSON. serde's own message would quote the body.
    pub(super) malformed: &'static str,
}

/// Why no JSON was returned.
pub(super) enum FetchError {
    /// The response has an unexpected status.
    Status(StatusCode, HeaderMap),
    /// There is no response, or it cannot be read.
    Unavailable(Unavailable),
}

impl From<Unavailable> for FetchError {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error)
    }
}

/// Sends a request and reads the response. `timeout` covers both: a request's own timeout ends when the response headers
/// arrive, so a slow body would block the caller.
pub(super) async fn fetch_json<T: DeserializeOwned, P: Platform>(
    platform: &P,
    request: Outgoing<P::Body>,
    timeout: Duration,
    expected: &Expected,
) -> Result<T, FetchError> {
    let fetch = async { Ok(read_json(platform.send(request).await?, expected).await) };
    within(platform, timeout, expected.from, fetch).await?
}

/// Checks a response and parses its body.
pub(super) async fn read_json<T: DeserializeOwned>(
    response: Incoming<impl ReadBody>,
    expected: &Expected,
) -> Result<T, FetchError> {
    if !(expected.is_status)(&response.status) {
        return Err(FetchError::Status(response.status, response.headers));
    }
    let body = response.body.read(expected.max_bytes).await.map_err(|e| Unavailable::new(expected.from, e))?;
    serde_json::from_slice(&body).map_err(|_| Unavailable::new(expected.from, expected.malformed).into())
}
