//! How the edge on Spin opens a user's stream at the bridge, and ends it.
//!
//! It sends `GET /v1/stream?open=…`, signed like every request. The signature covers the query, so it cannot be changed
//! in transit.

use serde::{Deserialize, Serialize};

use crate::{channel::Channel, deliver::Versioned, hub::EndReason, query, session::SessionHandle, subject::Subject};

/// Path of the bridge's stream endpoint.
pub const STREAM_PATH: &str = "/v1/stream";

/// The Redis channel on which the edge tells the bridges to end a session's streams. The message is [`EndStreams`] as
/// JSON.
pub const END_CHANNEL: &str = "causeway:end";

/// The Redis key under which the edge also stores the reason ([`EndReason::as_str`]), for a bridge that missed the
/// message.
#[must_use]
pub fn ended_key(session: &SessionHandle) -> String {
    format!("causeway:ended:{}", session.as_str())
}

/// The parameter that holds a request.
const PARAMETER: &str = "open";

/// The longest `open` parameter that is read, in bytes.
const MAX_OPEN_BYTES: usize = 4096;

/// A request for a stream. The edge decides all of it except `last_event_id`, which comes from the client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamRequest {
    /// [`crate::deliver::WIRE_VERSION`].
    pub version: u32,
    /// The user of the stream.
    pub subject: Subject,
    /// The session that reads. Its end ends the stream.
    pub session: SessionHandle,
    /// The channels to hear. Empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
    /// The client's `Last-Event-ID`, unchecked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event_id: Option<String>,
    /// When the session ends at the latest, in milliseconds from now.
    pub session_ends_in_ms: u64,
    /// Uniform in 0..=1. It spreads rotations and reconnects.
    pub jitter: f64,
}

/// The `open` parameter is missing or is not one that the edge sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a stream request")]
pub struct StreamRequestError;

impl StreamRequest {
    /// The path and query of the request.
    #[must_use]
    pub fn target(&self) -> String {
        query::target(STREAM_PATH, PARAMETER, self)
    }

    /// Reads the query of a [`StreamRequest::target`].
    ///
    /// # Errors
    /// [`StreamRequestError`] for anything that `target` does not write.
    pub fn from_query(query: &str) -> Result<Self, StreamRequestError> {
        query::read(query, PARAMETER, MAX_OPEN_BYTES).ok_or(StreamRequestError)
    }

    /// The version of a query's sender, whatever else the query contains.
    #[must_use]
    pub fn version_of_query(query: &str) -> Option<u32> {
        query::read(query, PARAMETER, MAX_OPEN_BYTES).map(|versioned: Versioned| versioned.version)
    }
}

/// Tells the bridges to end the streams of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndStreams {
    /// The user of the session.
    pub subject: Subject,
    /// The session that ended.
    pub session: SessionHandle,
    /// Why it ended.
    pub reason: EndReason,
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};

    use super::*;

    #[test]
    fn a_request_round_trips_through_its_url() {
        let request = StreamRequest {
            version: 2,
            channels: vec![Channel::parse("chat").unwrap()],
            subject: Subject::new("t", "u").unwrap(),
            session: SessionHandle::from_digest(&[1; 32]),
            last_event_id: Some("\"&?#\u{1}".to_owned()),
            session_ends_in_ms: u64::MAX,
            jitter: 0.25,
        };
        let target = request.target();
        let query = target.strip_prefix("/v1/stream?").unwrap();
        assert_eq!(StreamRequest::from_query(query), Ok(request));
    }

    #[test]
    fn the_version_of_another_layout_is_found() {
        let query = format!("open={}", BASE64.encode(r#"{"version":3,"user":"u"}"#));
        assert_eq!(StreamRequest::from_query(&query), Err(StreamRequestError));
        assert_eq!(StreamRequest::version_of_query(&query), Some(3));
        assert_eq!(StreamRequest::version_of_query("open=e30"), None);
    }

    #[test]
    fn anything_else_is_rejected() {
        for bad in ["", "open=", "open=%%%", "x=1", &format!("open={}", "A".repeat(5000))] {
            assert_eq!(StreamRequest::from_query(bad), Err(StreamRequestError), "{bad}");
        }
    }
}
