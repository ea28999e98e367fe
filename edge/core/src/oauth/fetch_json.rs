//! JSON from outside: the status is checked, the body bounded and then parsed.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::{
    http::{
        body::ReadBody,
        web::{Incoming, Outgoing},
    },
    runtime::{clock::within, platform::Platform, unavailable::Unavailable},
};

/// What an answer must be.
pub(super) struct Expected {
    /// The name of the server in errors.
    pub(super) from: &'static str,
    /// Whether a status comes with the JSON.
    pub(super) is_status: fn(&StatusCode) -> bool,
    /// Largest body read.
    pub(super) max_bytes: usize,
    /// The error for a body that is not the JSON asked for. serde's own would quote the body.
    pub(super) malformed: &'static str,
}

/// Why there is no JSON.
pub(super) enum FetchError {
    /// The answer has another status.
    Status(StatusCode, HeaderMap),
    /// There is no answer, or it cannot be read.
    Unavailable(Unavailable),
}

impl From<Unavailable> for FetchError {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error)
    }
}

/// Sends a request and reads its answer. `limit` is for both together: a request's own timeout ends with the answer's
/// head, and a slow body would hold up the caller.
pub(super) async fn fetch_json<T: DeserializeOwned, P: Platform>(
    platform: &P,
    request: Outgoing<P::Body>,
    limit: Duration,
    expected: &Expected,
) -> Result<T, FetchError> {
    let work = async { Ok(read_json(platform.send(request).await?, expected).await) };
    within(platform, limit, expected.from, work).await?
}

/// Reads an answer.
pub(super) async fn read_json<T: DeserializeOwned>(
    answer: Incoming<impl ReadBody>,
    expected: &Expected,
) -> Result<T, FetchError> {
    if !(expected.is_status)(&answer.status) {
        return Err(FetchError::Status(answer.status, answer.headers));
    }
    let body = answer.body.read(expected.max_bytes).await.map_err(|e| Unavailable::new(expected.from, e))?;
    serde_json::from_slice(&body).map_err(|_| Unavailable::new(expected.from, expected.malformed).into())
}
