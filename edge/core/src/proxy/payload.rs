//! The body of a request that is passed on.
//!
//! A small body is held in memory, so that it can be sent again; a large one is streamed. A body of undeclared length is
//! counted while it is streamed, and cut off if it is too long. Some runtimes cannot cut a body off: an HTTP/1.1 client
//! may end a failed chunked body as if it were complete. There such a body is held in memory, too.

use std::future::pending;

use http::{HeaderMap, HeaderValue, Method, header};

use super::deadline::Deadline;
use crate::{
    error::Error,
    http::{
        body::{BodyError, ByteLimit, ReadBody},
        web::{Body, single},
    },
    runtime::{
        clock::{Clock, within},
        dependency::Dependency,
        reason::Reason,
        unavailable::Unavailable,
    },
};

/// Longest body of declared length that is held in memory.
const MAX_REPLAYABLE_BYTES: u64 = 64 * 1024;
/// Longest body of undeclared length that is held in memory. Many requests may hold one at the same time.
const MAX_HELD_BYTES: usize = 1024 * 1024;

/// A body to send.
pub(crate) enum Payload<B> {
    /// No body.
    Empty,
    /// In memory.
    Replayable(Vec<u8>),
    /// Streamed: can be sent once, after which `body` is `None`.
    Once { body: Option<B>, length: Option<u64>, limit: ByteLimit },
}

impl<B: ReadBody> Payload<B> {
    /// Takes a request's body.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::LengthRequired`], [`Error::TooSlow`] or [`Error::BadRequest`], if that is known
    /// before the body is sent.
    pub(crate) async fn take(
        clock: &impl Clock,
        method: &Method,
        headers: &HeaderMap,
        body: B,
        limit_bytes: usize,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        // The body of such a request means nothing (RFC 9110, 9.3.1), and would only confuse the next server.
        if matches!(*method, Method::GET | Method::HEAD) {
            return Ok(Self::Empty);
        }
        let limit = ByteLimit::new(limit_bytes);
        match declared_length(headers)? {
            Some(0) => Ok(Self::Empty),
            Some(length) if u64::try_from(limit_bytes).is_ok_and(|limit| length > limit) => Err(Error::TooLarge),
            Some(length) if length <= MAX_REPLAYABLE_BYTES => {
                hold(clock, body, limit_bytes, deadline).await.map(Self::Replayable)
            }
            // Not counted: the connection that it comes from ends it at its declared length.
            Some(length) => Ok(Self::Once { body: Some(body), length: Some(length), limit }),
            // A browser's request of these methods usually has no body, and nothing declares that (RFC 9110, 9.3.5).
            // Streamed, it could be sent only once.
            None if matches!(*method, Method::DELETE | Method::PATCH)
                && !headers.contains_key(header::CONTENT_TYPE) =>
            {
                let bytes = hold_undeclared(clock, body, limit_bytes, deadline).await?;
                Ok(if bytes.is_empty() { Self::Empty } else { Self::Replayable(bytes) })
            }
            None => match body.limited(limit.clone()) {
                Ok(body) => Ok(Self::Once { body: Some(body), length: None, limit }),
                Err(body) => hold_undeclared(clock, body, limit_bytes, deadline).await.map(Self::Replayable),
            },
        }
    }

    /// Whether [`Payload::next`] returns the same body every time.
    pub(super) fn is_replayable(&self) -> bool {
        !matches!(self, Self::Once { .. })
    }

    /// The body to send. Adds the header that declares its length.
    pub(super) fn next(&mut self, method: &Method, headers: &mut HeaderMap) -> Body<B> {
        match self {
            Self::Empty => {
                // Without a declared length a runtime might send an empty chunked body (RFC 9110, 8.6).
                if !method.is_safe() {
                    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
                }
                Body::Empty
            }
            Self::Replayable(bytes) => Body::Bytes(bytes.clone().into()),
            Self::Once { body, length, .. } => {
                if let Some(length) = length {
                    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(*length));
                }
                body.take().map_or(Body::Empty, Body::Native)
            }
        }
    }

    /// Completes if the body turns out to be too large, or if the client breaks it off, while it is sent.
    pub(super) async fn failed(&self) -> BodyError {
        match self {
            Self::Once { limit, .. } => limit.failed().await,
            Self::Empty | Self::Replayable(_) => pending().await,
        }
    }
}

/// How many bytes a request declares for its body; `None` if it declares nothing.
///
/// # Errors
/// [`Error::BadRequest`] if the declaration is malformed or contradictory (S96).
fn declared_length(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    if !headers.contains_key(header::CONTENT_LENGTH) {
        return Ok(None);
    }
    let contradictory = Error::BadRequest { reason: Reason::ContentLength };
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(contradictory);
    }
    // `parse` alone would take a sign, too.
    let digits = single(headers, &header::CONTENT_LENGTH).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).map(Some).ok_or(contradictory)
}

/// Reads a body of undeclared length into memory. One that only memory is too small for must declare its length.
async fn hold_undeclared(
    clock: &impl Clock,
    body: impl ReadBody,
    limit_bytes: usize,
    deadline: Deadline,
) -> Result<Vec<u8>, Error> {
    match hold(clock, body, limit_bytes.min(MAX_HELD_BYTES), deadline).await {
        Err(Error::TooLarge) if limit_bytes > MAX_HELD_BYTES => Err(Error::LengthRequired),
        held => held,
    }
}

/// Reads a body into memory.
async fn hold(
    clock: &impl Clock,
    body: impl ReadBody,
    limit_bytes: usize,
    deadline: Deadline,
) -> Result<Vec<u8>, Error> {
    let read = async { Ok::<_, Unavailable>(body.read(limit_bytes).await) };
    let read = within(clock, deadline.remaining(clock), Dependency::Client, read).await.map_err(|_| Error::TooSlow)?;
    Ok(read?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        http::body::BodyError,
        testing::{body::InMemoryBody, platform::InMemoryPlatform, run::run},
    };

    /// A body of a runtime that cannot cut one off.
    #[derive(Debug)]
    struct Uncuttable(usize);

    impl ReadBody for Uncuttable {
        async fn read(self, limit_bytes: usize) -> Result<Vec<u8>, BodyError> {
            if self.0 > limit_bytes { Err(BodyError::TooLarge) } else { Ok(vec![0; self.0]) }
        }

        fn limited(self, _limit: ByteLimit) -> Result<Self, Self> {
            Err(self)
        }
    }

    #[test]
    fn m67_a_short_body_of_undeclared_length_can_be_sent_again() {
        for (method, length) in [(Method::DELETE, 0), (Method::PATCH, 0), (Method::DELETE, 5)] {
            let clock = InMemoryPlatform::new(|_| None);
            let (headers, deadline) = (HeaderMap::new(), Deadline::after(&clock, Duration::from_secs(1)));
            let body = InMemoryBody::from(vec![0; length]);
            let mut payload = run(Payload::take(&clock, &method, &headers, body, 9, deadline)).unwrap();
            assert!(payload.is_replayable());
            let mut sent = HeaderMap::new();
            let is_empty = matches!(payload.next(&method, &mut sent), Body::Empty);
            assert_eq!((is_empty, sent.contains_key(header::CONTENT_LENGTH)), (length == 0, length == 0));
        }
    }

    #[test]
    fn s105_a_body_of_undeclared_length_that_cannot_be_cut_off_is_held_or_refused() {
        const MIB: usize = 1024 * 1024;
        for (length, limit, expected) in [
            (MIB, 2 * MIB, Ok(())),
            (MIB + 1, 2 * MIB, Err(Error::LengthRequired)),
            (MIB, MIB, Ok(())),
            (MIB + 1, MIB, Err(Error::TooLarge)),
            (1000, 999, Err(Error::TooLarge)),
        ] {
            let clock = InMemoryPlatform::new(|_| None);
            let (headers, deadline) = (HeaderMap::new(), Deadline::after(&clock, Duration::from_secs(1)));
            let taken = run(Payload::take(&clock, &Method::POST, &headers, Uncuttable(length), limit, deadline));
            let checked = taken.map(|mut payload| {
                assert!(payload.is_replayable());
                let Body::Bytes(bytes) = payload.next(&Method::POST, &mut HeaderMap::new()) else { panic!() };
                assert_eq!(bytes.len(), length);
            });
            assert_eq!(checked, expected, "{length} {limit}");
        }
    }

    #[test]
    fn s96_a_contradictory_length_is_refused() {
        let length = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            declared_length(&headers)
        };
        assert_eq!(length(&[]), Ok(None));
        assert_eq!(length(&[("transfer-encoding", "chunked")]), Ok(None));
        assert_eq!(length(&[("content-length", "12")]), Ok(Some(12)));
        for pairs in [
            &[("content-length", "1"), ("content-length", "2")][..],
            &[("content-length", "1"), ("content-length", "1")],
            &[("content-length", "1, 1")],
            &[("content-length", "1"), ("transfer-encoding", "chunked")],
            &[("content-length", "+1")],
            &[("content-length", "-1")],
            &[("content-length", "0x1")],
            &[("content-length", "")],
            &[("content-length", "99999999999999999999")],
        ] {
            assert!(length(pairs).is_err(), "{pairs:?}");
        }
    }
}
