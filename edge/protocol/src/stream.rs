//! How the edge asks the bridge for a user's stream on Spin: `GET /v1/stream?open=…`, signed like every request. The
//! signature covers the query, so nothing in it can be changed on the way.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde::{Deserialize, Serialize};

use crate::subject::Subject;

/// Path of the bridge's stream endpoint.
pub const STREAM_PATH: &str = "/v1/stream";

/// Redis channel on which the edge tells the bridges that a session's streams are over; the message is [`EndStreams`]
/// as JSON.
pub const END_CHANNEL: &str = "causeway:end";

/// Redis key under which the edge also leaves the reason ([`crate::hub::EndReason::as_str`]), for a bridge that missed
/// the message.
#[must_use]
pub fn ended_key(session: &str) -> String {
    format!("causeway:ended:{session}")
}

/// Longest `open` parameter worth reading, in bytes.
const MAX_OPEN_BYTES: usize = 2048;

/// What a stream is opened with. The edge decided all of it; the client chose only `last_event_id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamRequest {
    /// Whose stream.
    pub subject: Subject,
    /// Handle of the session that reads; its end ends the stream.
    pub session: String,
    /// The client's `Last-Event-ID`, unchecked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event_id: Option<String>,
    /// When the session ends at the latest, in milliseconds from now.
    pub session_ends_in_ms: u64,
    /// Uniform in 0..=1, spreads rotations and reconnects.
    pub jitter: f64,
}

/// The `open` parameter is missing or not one the edge would send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a stream request")]
pub struct StreamRequestError;

impl StreamRequest {
    /// Path and query that ask for it.
    #[must_use]
    pub fn target(&self) -> String {
        format!("{STREAM_PATH}?open={}", BASE64.encode(serde_json::to_vec(self).unwrap_or_default()))
    }

    /// Reads the query of a [`StreamRequest::target`].
    ///
    /// # Errors
    /// [`StreamRequestError`] for whatever `target` did not write.
    pub fn from_query(query: &str) -> Result<Self, StreamRequestError> {
        let open = query.strip_prefix("open=").filter(|open| open.len() <= MAX_OPEN_BYTES).ok_or(StreamRequestError)?;
        let json = BASE64.decode(open).map_err(|_| StreamRequestError)?;
        serde_json::from_slice(&json).map_err(|_| StreamRequestError)
    }
}

/// Says that the streams of a session are over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndStreams {
    /// Whose.
    pub subject: Subject,
    /// Handle of the session that ended.
    pub session: String,
    /// Why.
    pub reason: crate::hub::EndReason,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_survives_its_url() {
        let request = StreamRequest {
            subject: Subject::new("t", "u").unwrap(),
            session: "s".repeat(43),
            last_event_id: Some("\"&?#\u{1}".to_owned()),
            session_ends_in_ms: u64::MAX,
            jitter: 0.25,
        };
        let target = request.target();
        let query = target.strip_prefix("/v1/stream?").unwrap();
        assert_eq!(StreamRequest::from_query(query), Ok(request));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in ["", "open=", "open=%%%", "x=1", &format!("open={}", "A".repeat(5000))] {
            assert_eq!(StreamRequest::from_query(bad), Err(StreamRequestError), "{bad}");
        }
    }
}
