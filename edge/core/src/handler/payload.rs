//! The body of a request that is passed on: held in memory if it is small, so that it can be sent again; streamed if it
//! is not. One that does not say how long it is must be counted, and broken off if it is too long. Where the runtime
//! cannot do that (an HTTP/1.1 client may end a chunked body that failed as if that were all), it is held, too.

use std::future::pending;

use http::{HeaderMap, HeaderValue, Method, header};

use super::deadline::Deadline;
use crate::{
    error::Error,
    http::{
        body::{BodyError, ByteLimit, ReadBody},
        web::Body,
    },
    proxy::header::declared_length,
    runtime::{
        clock::{Clock, within},
        unavailable::Unavailable,
    },
};

/// A body that says that it is no longer than this rests in memory.
const REPLAYABLE_BYTES: u64 = 64 * 1024;
/// The longest body that does not say how long it is and rests in memory: many do at once.
const HELD_BYTES: usize = 1024 * 1024;

/// A body on its way.
pub(super) enum Payload<B> {
    /// None.
    Empty,
    /// In memory.
    Replayable(Vec<u8>),
    /// Can be sent once; then there is only its limit left.
    Once { body: Option<B>, length: Option<u64>, limit: ByteLimit },
}

impl<B: ReadBody> Payload<B> {
    /// Takes a request's body.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::LengthRequired`], [`Error::TooSlow`] or [`Error::BadRequest`], as far as that shows
    /// before it is sent.
    pub(super) async fn take(
        clock: &impl Clock,
        method: &Method,
        headers: &HeaderMap,
        body: B,
        limit_bytes: usize,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        // Whatever such a request brings means nothing (RFC 9110, 9.3.1), and would only confuse whoever comes next.
        if matches!(*method, Method::GET | Method::HEAD) {
            return Ok(Self::Empty);
        }
        let limit = ByteLimit::new(limit_bytes);
        match declared_length(headers)? {
            Some(0) => Ok(Self::Empty),
            Some(length) if u64::try_from(limit_bytes).is_ok_and(|limit| length > limit) => Err(Error::TooLarge),
            Some(length) if length <= REPLAYABLE_BYTES => {
                hold(clock, body, limit_bytes, deadline).await.map(Self::Replayable)
            }
            // Untouched: the account it comes from ends it where it said that it would end.
            Some(length) => Ok(Self::Once { body: Some(body), length: Some(length), limit }),
            // What such a request of a browser usually is: without a body, which nothing says (RFC 9110, 9.3.5). It must
            // not be taken for one that can be sent only once.
            None if matches!(*method, Method::DELETE | Method::PATCH)
                && !headers.contains_key(header::CONTENT_TYPE) =>
            {
                match hold(clock, body, limit_bytes.min(HELD_BYTES), deadline).await {
                    Ok(bytes) if bytes.is_empty() => Ok(Self::Empty),
                    Err(Error::TooLarge) if limit_bytes > HELD_BYTES => Err(Error::LengthRequired),
                    held => held.map(Self::Replayable),
                }
            }
            None => match body.limited(limit.clone()) {
                Ok(body) => Ok(Self::Once { body: Some(body), length: None, limit }),
                Err(body) => match hold(clock, body, limit_bytes.min(HELD_BYTES), deadline).await {
                    Err(Error::TooLarge) if limit_bytes > HELD_BYTES => Err(Error::LengthRequired),
                    held => held.map(Self::Replayable),
                },
            },
        }
    }

    /// Whether [`Payload::next`] gives the same again.
    pub(super) fn is_replayable(&self) -> bool {
        !matches!(self, Self::Once { .. })
    }

    /// What is sent, and the header that says how long it is.
    pub(super) fn next(&mut self, method: &Method, headers: &mut HeaderMap) -> Body<B> {
        match self {
            Self::Empty => {
                // Said, or a runtime that leaves it open might send chunks of nothing (RFC 9110, 8.6).
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

    /// Completes if it turns out while it is sent that it is too large, or that the client broke off.
    pub(super) async fn failed(&self) -> BodyError {
        match self {
            Self::Once { limit, .. } => limit.failed().await,
            Self::Empty | Self::Replayable(_) => pending().await,
        }
    }
}

async fn hold(
    clock: &impl Clock,
    body: impl ReadBody,
    limit_bytes: usize,
    deadline: Deadline,
) -> Result<Vec<u8>, Error> {
    let read = async { Ok::<_, Unavailable>(body.read(limit_bytes).await) };
    let read = within(clock, deadline.left(clock), "client", read).await.map_err(|_| Error::TooSlow)?;
    Ok(read?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        http::body::BodyError,
        testing::{
            platform::{InMemoryPlatform, Text},
            run::run,
        },
    };

    /// A body of a runtime that cannot break one off.
    #[derive(Debug)]
    struct Unbreakable(usize);

    impl ReadBody for Unbreakable {
        async fn read(self, limit_bytes: usize) -> Result<Vec<u8>, BodyError> {
            if self.0 > limit_bytes { Err(BodyError::TooLarge) } else { Ok(vec![0; self.0]) }
        }

        fn limited(self, _limit: ByteLimit) -> Result<Self, Self> {
            Err(self)
        }
    }

    #[test]
    fn m67_a_request_without_a_body_that_does_not_say_so_can_be_sent_again() {
        for (method, length) in [(Method::DELETE, 0), (Method::PATCH, 0), (Method::DELETE, 5)] {
            let clock = InMemoryPlatform::new(|_| None);
            let (headers, deadline) = (HeaderMap::new(), Deadline::after(&clock, Duration::from_secs(1)));
            let body = Text::from(vec![0; length]);
            let mut payload = run(Payload::take(&clock, &method, &headers, body, 9, deadline)).unwrap();
            assert!(payload.is_replayable());
            let mut sent = HeaderMap::new();
            let is_empty = matches!(payload.next(&method, &mut sent), Body::Empty);
            assert_eq!((is_empty, sent.contains_key(header::CONTENT_LENGTH)), (length == 0, length == 0));
        }
    }

    #[test]
    fn s105_a_body_of_unknown_length_that_could_not_be_broken_off_is_held_or_refused() {
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
            let taken = run(Payload::take(&clock, &Method::POST, &headers, Unbreakable(length), limit, deadline));
            let is_whole = taken.map(|mut payload| {
                assert!(payload.is_replayable());
                let Body::Bytes(bytes) = payload.next(&Method::POST, &mut HeaderMap::new()) else { panic!() };
                assert_eq!(bytes.len(), length);
            });
            assert_eq!(is_whole, expected, "{length} {limit}");
        }
    }
}
