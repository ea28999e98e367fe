//! Why a request is rejected. Each reason has one status and one code, sent as a problem document.

use std::borrow::Cow;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use causeway_protocol::problem::{PROBLEM_JSON, Problem};

/// Why a request is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The request can't be parsed, or a field has an illegal value.
    #[error("the request is malformed: {0}")]
    Malformed(String),
    /// The edge speaks another version of the contract.
    #[error("the edge speaks version {theirs} of the contract, this bridge {ours}")]
    Version {
        /// The edge's version.
        theirs: u32,
        /// [`causeway_protocol::deliver::WIRE_VERSION`].
        ours: u32,
    },
    /// The signature is missing, invalid or stale.
    #[error("the signature is not valid: {0}")]
    Unauthorized(String),
    /// The channel does not exist.
    #[error("there is no such channel")]
    UnknownChannel,
    /// The path does not exist.
    #[error("there is no such path")]
    NotFound,
    /// The path exists, but not for this method.
    #[error("the path does not take this method")]
    MethodNotAllowed,
    /// The body took too long to arrive.
    #[error("the body took too long to arrive")]
    TooSlow,
    /// The body, or the record made from it, is too large.
    #[error("the event is too large")]
    TooLarge,
    /// The id was used for another event.
    #[error("the id was used for another event")]
    IdReused,
    /// The user has repeated so many events that there is no search left for one more.
    #[error("too many repeats of this user")]
    TooManyRepeats,
    /// Too many events or bytes are queued.
    #[error("too many events are waiting")]
    Busy,
    /// Kafka did not acknowledge the event in time, or rejected it.
    #[error("kafka did not store the event: {0}")]
    Unavailable(String),
    /// The bridge has as many open streams as it may have.
    #[error("too many streams: {0}")]
    StreamsFull(&'static str),
    /// The user has as many open streams as a user may have.
    #[error("too many streams of this user")]
    UserStreamsFull,
    /// The session has ended, and this edge instance did not know that yet.
    #[error("the session has ended")]
    SessionEnded,
    /// The user's buffer can't be read.
    #[error("the stream can't be opened: {0}")]
    StreamUnavailable(String),
    /// As many scans run as may.
    #[error("too many replays")]
    ReplaysFull,
    /// As many scans of the user run as may of one.
    #[error("too many replays of this user")]
    UserReplaysFull,
    /// Kafka can't be read, or not in time.
    #[error("records can't be read again: {0}")]
    ReplayUnavailable(String),
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
            Self::Version { .. } => StatusCode::CONFLICT,
            Self::SessionEnded => StatusCode::GONE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::IdReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRepeats | Self::UserStreamsFull | Self::UserReplaysFull => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy
            | Self::Unavailable(_)
            | Self::StreamsFull(_)
            | Self::StreamUnavailable(_)
            | Self::ReplaysFull
            | Self::ReplayUnavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A stable code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Version { .. } => "wire_version",
            Self::Unauthorized(_) => "unauthorized",
            Self::UnknownChannel => "unknown_channel",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooSlow => "too_slow",
            Self::TooLarge => "too_large",
            Self::IdReused => "id_reused",
            Self::TooManyRepeats => "too_many_repeats",
            Self::Busy => "busy",
            Self::Unavailable(_) | Self::StreamUnavailable(_) | Self::ReplayUnavailable(_) => "unavailable",
            Self::SessionEnded => "session_ended",
            Self::StreamsFull(_) | Self::UserStreamsFull => "too_many_streams",
            Self::ReplaysFull | Self::UserReplaysFull => "too_many_replays",
        }
    }

    /// A sentence for people. It reveals nothing about internals.
    fn title(&self) -> Cow<'static, str> {
        let title = match self {
            Self::Version { .. } => return Cow::Owned(format!("Versions differ: {self}.")),
            Self::Malformed(_) => "The request is malformed.",
            Self::Unauthorized(_) => "The request is not signed by the edge.",
            Self::UnknownChannel => "There is no such channel.",
            Self::NotFound => "There is nothing here.",
            Self::MethodNotAllowed => "The path does not take this method.",
            Self::TooSlow => "The body took too long to arrive.",
            Self::TooLarge => "The event is too large.",
            Self::IdReused => "The id was used for another event.",
            Self::TooManyRepeats => "This user repeats too many events; try again shortly.",
            Self::Busy => "Too many events are waiting; try again shortly.",
            Self::Unavailable(_) => "The event could not be stored; try again shortly.",
            Self::SessionEnded => "The session has ended.",
            Self::StreamsFull(_) => "Too many streams are open; try again shortly.",
            Self::UserStreamsFull => "This user has too many streams open.",
            Self::StreamUnavailable(_) => "The stream could not be opened; try again shortly.",
            Self::ReplaysFull => "Too many replays run; try again shortly.",
            Self::UserReplaysFull => "This user has too many replays running.",
            Self::ReplayUnavailable(_) => "Earlier records could not be read; try again shortly.",
        };
        Cow::Borrowed(title)
    }

    /// The response. Details are only logged, with the same request id.
    #[must_use]
    pub fn into_response(self, request_id: &str) -> Response {
        let status = self.status();
        tracing::warn!(request_id, status = status.as_u16(), reason = %self, "request rejected");
        let problem = Problem::new(status.as_u16(), self.code(), &self.title(), request_id);
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            // Random, so that rejected clients do not all retry in the same second.
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(fastrand::u16(1..=3)));
        }
        response
    }
}
