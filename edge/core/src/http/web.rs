//! Requests and responses without a runtime. A body that only passes through stays in the runtime's own type.
//!
//! They may carry cookies, tokens or client secrets. So their `Debug` output shows only the destination and lengths, and a
//! body in memory is wiped when it is dropped.

use std::{borrow::Cow, fmt, net::IpAddr, ops::Deref, time::Duration};

use causeway_protocol::trace::TRACEPARENT_HEADER;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use url::Url;
use zeroize::Zeroizing;

/// Carries the request's id in answers, and to the bridge.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Says which sites' pages may show an answer (Fetch Standard, §3.7).
pub const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// The header that identifies a request's trace (W3C Trace Context).
pub const TRACEPARENT: HeaderName = HeaderName::from_static(TRACEPARENT_HEADER);

/// The `User-Agent` of the edge's requests. GitHub rejects requests without one.
pub const USER_AGENT: &str = concat!("causeway/", env!("CARGO_PKG_VERSION"));

/// A request to the edge.
pub struct Request<B> {
    /// The method.
    pub method: Method,
    /// The path as on the request line, still percent-encoded, with its leading `/`.
    pub path: String,
    /// The query without the `?`, still percent-encoded.
    pub query: Option<String>,
    /// All headers.
    pub headers: HeaderMap,
    /// The client's address, if the runtime reports it in a way that no client can forge.
    pub client_address: Option<IpAddr>,
    /// The body, unread.
    pub body: B,
}

impl<B> Request<B> {
    /// The value of a header that must not be repeated. `None` if it is absent, repeated or not ASCII.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        single(&self.headers, name)
    }
}

impl<B> fmt::Debug for Request<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, headers, .. } = self;
        f.debug_struct("Request").field("method", method).field("headers", &headers.len()).finish_non_exhaustive()
    }
}

/// See [`Request::header`].
#[must_use]
pub fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_some() {
        return None;
    }
    first.to_str().ok()
}

/// The body of an answer, or of a request to an upstream.
pub enum Body<B> {
    /// No body.
    Empty,
    /// A whole body in memory.
    Bytes(Bytes),
    /// A stream of the runtime, passed through unchanged.
    Native(B),
}

impl<B> fmt::Debug for Body<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Native(_) => f.write_str("Native"),
        }
    }
}

/// A body in memory. It is either a constant or wiped when it is dropped, so callers need not know which bodies contain a
/// secret.
pub struct Bytes(Memory);

enum Memory {
    Static(&'static [u8]),
    Wiped(Zeroizing<Vec<u8>>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Memory::Static(bytes) => bytes,
            Memory::Wiped(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Memory::Wiped(Zeroizing::new(bytes)))
    }
}

impl From<String> for Bytes {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&'static [u8]> for Bytes {
    fn from(bytes: &'static [u8]) -> Self {
        Self(Memory::Static(bytes))
    }
}

/// The edge's answer. Its body is already in the content coding that its headers name.
pub struct Response<B> {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body<B>,
}

impl<B> fmt::Debug for Response<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, headers, body } = self;
        let mut output = f.debug_struct("Response");
        output.field("status", status).field("headers", &headers.len()).field("body", body).finish()
    }
}

/// Room for the headers of most answers.
const USUAL_HEADERS: usize = 16;

impl<B> Response<B> {
    /// An answer without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::with_capacity(USUAL_HEADERS), body: Body::Empty }
    }

    /// An answer with a body in memory.
    #[must_use]
    pub fn bytes(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut response = Self { body: Body::Bytes(body.into()), ..Self::empty(status) };
        response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }

    /// An answer with a JSON body. The values given here have string keys and no maps of other types, so they always
    /// serialize.
    #[must_use]
    pub fn json(status: StatusCode, content_type: &'static str, value: &impl Serialize) -> Self {
        Self::bytes(status, content_type, serde_json::to_vec(value).unwrap_or_default())
    }

    /// A redirect that turns any method into GET (RFC 9700 §4.12 wants 303, never 307).
    #[must_use]
    pub fn see_other(location: &str) -> Self {
        let mut response = Self::empty(StatusCode::SEE_OTHER);
        response.set(header::LOCATION, location);
        response
    }

    /// Sets a header. A value that is not valid in a header is left out; it could split the header in two.
    pub fn set(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
    }

    /// Adds a header, and keeps others with the same name. A value that is not valid in a header is left out.
    pub fn add(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
    }
}

/// A request that the edge sends.
pub struct Outgoing<B> {
    /// The name of the destination in the log. Empty if the host identifies it.
    pub service: Cow<'static, str>,
    /// The method.
    pub method: Method,
    /// The absolute URL. Its host comes from configuration or from a provider's validated metadata.
    pub url: url::Url,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body<B>,
    /// The time limit for the answer's head, including the time for sending the request.
    pub timeout: Duration,
    /// How long the answer's body may be silent before it is aborted.
    pub idle: Duration,
    /// Whether the answer's body stays in its content coding. Otherwise a runtime that can decode it does.
    pub keeps_coding: bool,
}

impl<B> fmt::Debug for Outgoing<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, url, headers, body, .. } = self;
        let mut output = f.debug_struct("Outgoing");
        output.field("method", method).field("host", &url.host_str()).field("headers", &headers.len());
        output.field("body", body).finish_non_exhaustive()
    }
}

/// The time of four keep-alives of an event stream. A sender of a whole body is never silent for as long.
const DEFAULT_IDLE: Duration = Duration::from_secs(60);

impl<B> Outgoing<B> {
    /// A request without headers or body.
    #[must_use]
    pub fn new(method: Method, url: url::Url, timeout: Duration) -> Self {
        Self {
            service: Cow::Borrowed(""),
            method,
            url,
            headers: HeaderMap::new(),
            body: Body::Empty,
            timeout,
            idle: DEFAULT_IDLE,
            keeps_coding: false,
        }
    }

    /// Sets the name of the destination in the log.
    #[must_use]
    pub fn to(mut self, service: impl Into<Cow<'static, str>>) -> Self {
        self.service = service.into();
        self
    }

    /// Sets a header to a value made by this program.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Sends a bearer token (RFC 6750).
    #[must_use]
    pub fn with_bearer(mut self, token: &SecretString) -> Self {
        let text = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
        if let Ok(mut value) = HeaderValue::from_str(&text) {
            value.set_sensitive(true);
            self.headers.insert(header::AUTHORIZATION, value);
        }
        self
    }
}

/// An upstream's answer.
pub struct Incoming<B> {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, unread.
    pub body: B,
}

impl<B> fmt::Debug for Incoming<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, headers, .. } = self;
        f.debug_struct("Incoming").field("status", status).field("headers", &headers.len()).finish_non_exhaustive()
    }
}

/// A configured base URL without its trailing slash, so that paths can be appended.
#[must_use]
pub fn without_slash(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

#[cfg(test)]
mod tests;
