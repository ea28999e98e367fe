//! What the HTTP side answers when it refuses: one status and one word per reason, in a problem document.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use causeway_protocol::problem::{PROBLEM_JSON, Problem};

/// Why a request is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The request does not say what it should.
    #[error("the request is malformed: {0}")]
    Malformed(String),
    /// The signature is missing, wrong or old.
    #[error("the signature does not hold: {0}")]
    Unauthorized(String),
    /// There is no such channel.
    #[error("there is no such channel")]
    UnknownChannel,
    /// There is no such path.
    #[error("there is no such path")]
    NotFound,
    /// The path has other methods.
    #[error("the path does not take this method")]
    MethodNotAllowed,
    /// The body took too long to arrive.
    #[error("the body took too long to arrive")]
    TooSlow,
    /// The body, or the record made of it, is larger than allowed.
    #[error("the event is too large")]
    TooLarge,
    /// The id was used for another event.
    #[error("the id was used for another event")]
    IdReused,
    /// Too much is waiting already.
    #[error("too many events are waiting")]
    Busy,
    /// Kafka did not take the event, or did not say so in time.
    #[error("kafka did not take the event: {0}")]
    Unavailable(String),
    /// As many streams are served as may be.
    #[error("too many streams: {0}")]
    StreamsFull(&'static str),
    /// The user has as many streams as a user may.
    #[error("too many streams of this user")]
    UserStreamsFull,
    /// The edge believed in a session that was ended elsewhere.
    #[error("the session is over")]
    SessionEnded,
    /// The user's buffer can't be read.
    #[error("the stream can't be opened: {0}")]
    StreamUnavailable(String),
}

impl Rejection {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::UnknownChannel | Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::SessionEnded => StatusCode::GONE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::IdReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::UserStreamsFull => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy | Self::Unavailable(_) | Self::StreamsFull(_) | Self::StreamUnavailable(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// One stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Unauthorized(_) => "unauthorized",
            Self::UnknownChannel => "unknown_channel",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooSlow => "too_slow",
            Self::TooLarge => "too_large",
            Self::IdReused => "id_reused",
            Self::Busy => "busy",
            Self::Unavailable(_) | Self::StreamUnavailable(_) => "unavailable",
            Self::SessionEnded => "session_ended",
            Self::StreamsFull(_) | Self::UserStreamsFull => "too_many_streams",
        }
    }

    /// One sentence for people, without the inside of the bridge.
    fn title(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "The request is malformed.",
            Self::Unauthorized(_) => "The request is not signed by the edge.",
            Self::UnknownChannel => "There is no such channel.",
            Self::NotFound => "There is nothing here.",
            Self::MethodNotAllowed => "The path does not take this method.",
            Self::TooSlow => "The body took too long to arrive.",
            Self::TooLarge => "The event is too large.",
            Self::IdReused => "The id was used for another event.",
            Self::Busy => "Too many events are waiting; try again shortly.",
            Self::Unavailable(_) => "The event could not be stored; try again shortly.",
            Self::SessionEnded => "The session is over.",
            Self::StreamsFull(_) => "Too many streams are open; try again shortly.",
            Self::UserStreamsFull => "This user has too many streams open.",
            Self::StreamUnavailable(_) => "The stream could not be opened; try again shortly.",
        }
    }

    /// The answer; what is known beyond it goes to the log under the same request id.
    #[must_use]
    pub fn into_response(self, request_id: &str) -> Response {
        let status = self.status();
        tracing::warn!(request_id, status = status.as_u16(), reason = %self, "request refused");
        let problem = Problem::new(status.as_u16(), self.code(), self.title(), request_id);
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            // Spread over a few seconds, or all would come back in the same one.
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(fastrand::u16(1..=3)));
        }
        response
    }
}
