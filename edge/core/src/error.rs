//! The errors of requests, and what the client sees of them: status, a stable code, one sentence. The log gets the detail.
//! Failures of seals, cookies and sessions all have the same status, code and sentence.
//!
//! - `answer`: the sentence, the problem document and the page

use causeway_protocol::deliver::{WIRE_VERSION, WIRE_VERSION_CODE};
use http::{Method, StatusCode};
use serde_json::Value;

use crate::{
    http::body::BodyError,
    runtime::{
        clock::Clock,
        event_name::EventName,
        reason::Reason,
        redact::without_secrets,
        telemetry::{Event, Field, Level, Log, ReasonCode},
        unavailable::Unavailable,
    },
};

mod answer;

/// Why a request was rejected or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong; nothing is served.
    #[error("configuration is invalid")]
    Misconfigured,
    /// No such route, channel, service or asset.
    #[error("nothing at this path")]
    NotFound,
    /// The path exists, the method does not.
    #[error("method not allowed")]
    MethodNotAllowed {
        /// Value for `Allow`.
        allow: String,
    },
    /// No valid session.
    #[error("no valid session: {reason}")]
    Unauthenticated {
        /// For the log.
        reason: Reason,
    },
    /// The upstream needs an account of a provider that this session lacks, or that must be connected again.
    #[error("sign in with {provider} again")]
    ProviderSignInNeeded {
        /// The provider's id.
        provider: String,
    },
    /// The upstream demands that the user authenticates again, in a way that it names.
    #[error("the upstream demands another authentication by {provider}")]
    StepUpNeeded {
        /// The provider's id.
        provider: String,
        /// The sealed demand, with which the sign-in begins.
        step_up: String,
    },
    /// The upstream still demands what the user's last sign-in was for.
    #[error("the upstream demands another authentication right after one")]
    StepUpInVain,
    /// The request comes from a page or site that may not send it.
    #[error("forbidden: {reason}")]
    Forbidden {
        /// For the log.
        reason: Reason,
    },
    /// The service is not for users of the session's provider.
    #[error("the service is not for users of the session's provider")]
    NotForUser,
    /// The request is malformed.
    #[error("bad request: {reason}")]
    BadRequest {
        /// Also sent to the client: contains no internals.
        reason: Reason,
    },
    /// The bridge speaks another version of the contract. It repeats the request until both speak the same.
    #[error("the edge speaks version {WIRE_VERSION} of the contract with the bridge, the request version {version}")]
    WireVersion {
        /// The version of the request.
        version: u32,
    },
    /// More cookies or headers than the edge reads (RFC 6585 §5).
    #[error("headers too large")]
    HeadersTooLarge,
    /// The body exceeds the route's limit.
    #[error("body too large")]
    TooLarge,
    /// The body has no declared length and is too large for that (RFC 9110 §15.5.12).
    #[error("body of unknown length too large")]
    LengthRequired,
    /// The body took too long to arrive.
    #[error("body too slow")]
    TooSlow,
    /// The client disconnected before the answer, and the work was cancelled.
    #[error("client left")]
    ClientDisconnected,
    /// The route does not accept the body's type.
    #[error("unsupported media type")]
    UnsupportedMediaType,
    /// The page shows a user who is no longer the one signed in.
    #[error("another user is signed in than the page shows")]
    UserChanged,
    /// The account that began the session cannot be disconnected, only signed out.
    #[error("the session's own account cannot be disconnected")]
    OwnAccount,
    /// Another user signed in with the session's own provider.
    #[error("another account of the session's own provider")]
    OtherAccount,
    /// The `Idempotency-Key` was used for another event.
    #[error("idempotency key reused for another event")]
    IdempotencyKeyReused,
    /// The user exceeds a rate limit.
    #[error("too many requests")]
    TooManyRequests,
    /// A sign-in was rejected.
    #[error("sign-in refused: {reason}")]
    SignInRefused {
        /// For the log and the reject counter.
        reason: Reason,
    },
    /// A provider's logout token was rejected.
    #[error("logout refused: {reason}")]
    LogoutRefused {
        /// For the log and the reject counter.
        reason: Reason,
    },
    /// A dependency does not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A dependency does not answer, and it said for how long.
    #[error("{unavailable}, for {retry_after_seconds} s")]
    UpstreamRateLimited {
        /// The dependency.
        unavailable: Unavailable,
        /// When to ask again, in seconds.
        retry_after_seconds: u32,
    },
    /// An upstream's answer cannot be passed on.
    #[error("upstream answered what is not passed on: {reason}")]
    BadGateway {
        /// For the log.
        reason: Reason,
    },
    /// The runtime rejected the edge's response.
    #[error("the runtime refused the answer: {detail}")]
    Unanswerable {
        /// For the log.
        detail: String,
    },
}

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::TooLarge,
            BodyError::Broken(_) => Self::BadRequest { reason: Reason::BodyIncomplete },
        }
    }
}

impl Error {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Misconfigured | Self::Unavailable(_) | Self::UpstreamRateLimited { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthenticated { .. } | Self::ProviderSignInNeeded { .. } | Self::StepUpNeeded { .. } => {
                StatusCode::UNAUTHORIZED
            }
            Self::Forbidden { .. } | Self::NotForUser | Self::StepUpInVain => StatusCode::FORBIDDEN,
            Self::BadRequest { .. } | Self::SignInRefused { .. } | Self::LogoutRefused { .. } => {
                StatusCode::BAD_REQUEST
            }
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::UserChanged | Self::OwnAccount | Self::OtherAccount | Self::WireVersion { .. } => {
                StatusCode::CONFLICT
            }
            Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::LengthRequired => StatusCode::LENGTH_REQUIRED,
            Self::TooSlow | Self::ClientDisconnected => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BadGateway { .. } => StatusCode::BAD_GATEWAY,
            Self::Unanswerable { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Misconfigured => "misconfigured",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed { .. } => "method-not-allowed",
            Self::Unauthenticated { .. } => "unauthenticated",
            Self::ProviderSignInNeeded { .. } => "provider-sign-in-needed",
            Self::StepUpNeeded { .. } => "step-up-needed",
            Self::StepUpInVain => "step-up-in-vain",
            Self::Forbidden { .. } => "forbidden",
            Self::NotForUser => "not-for-user",
            Self::BadRequest { .. } => "bad-request",
            Self::TooManyRequests => "too-many-requests",
            Self::UserChanged => "user-changed",
            Self::OwnAccount => "own-account",
            Self::OtherAccount => "other-account",
            Self::IdempotencyKeyReused => "idempotency-key-reused",
            Self::WireVersion { .. } => WIRE_VERSION_CODE,
            Self::HeadersTooLarge => "headers-too-large",
            Self::TooLarge => "too-large",
            Self::LengthRequired => "length-required",
            Self::TooSlow => "too-slow",
            Self::ClientDisconnected => "client-left",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::SignInRefused { .. } => "sign-in-refused",
            Self::LogoutRefused { .. } => "logout-refused",
            Self::Unavailable(_) | Self::UpstreamRateLimited { .. } => "unavailable",
            Self::BadGateway { .. } => "bad-gateway",
            Self::Unanswerable { .. } => "internal",
        }
    }

    /// The reason of this error in the log.
    #[must_use]
    pub fn log_reason(&self) -> ReasonCode {
        match self {
            Self::Unauthenticated { reason }
            | Self::Forbidden { reason }
            | Self::BadRequest { reason }
            | Self::SignInRefused { reason }
            | Self::LogoutRefused { reason }
            | Self::BadGateway { reason } => ReasonCode::new(reason.as_str()),
            Self::Unavailable(unavailable) | Self::UpstreamRateLimited { unavailable, .. } => {
                ReasonCode::unavailable(unavailable.dependency)
            }
            other => ReasonCode::new(other.code()),
        }
    }

    /// After how many seconds to retry, where that makes sense.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u32> {
        match self {
            Self::Unavailable(_) => Some(2),
            Self::UpstreamRateLimited { retry_after_seconds, .. } => Some(*retry_after_seconds),
            Self::TooManyRequests => Some(5),
            Self::Misconfigured => Some(60),
            _ => None,
        }
    }
}

/// Logs a rejected request. These lines are how rejects are counted: the edge has no metrics registry.
pub fn reject(to: &(impl Clock + Log), error: &Error, method: Option<&Method>) {
    let level = if error.status().is_server_error() { Level::Error } else { Level::Info };
    Event::new(level, EventName::Reject)
        .with("reason", error.log_reason())
        .with("code", error.code())
        .with("status", error.status())
        .with("method", method)
        .with("detail", error)
        .write(to);
}

impl Field for &Error {
    fn value(self) -> Value {
        without_secrets(&self.to_string()).into()
    }
}
