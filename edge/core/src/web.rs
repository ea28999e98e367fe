//! Requests and responses without a runtime. A body that only passes through stays in the runtime's own type.

use std::{borrow::Cow, net::IpAddr, time::Duration};

use causeway_protocol::trace::TRACEPARENT_HEADER;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Serialize;

/// Names what a request is part of (W3C Trace Context).
pub const TRACEPARENT: HeaderName = HeaderName::from_static(TRACEPARENT_HEADER);

/// A request as it reached the edge.
#[derive(Debug)]
pub struct Request<B> {
    /// The method.
    pub method: Method,
    /// Path as on the request line, still percent-encoded, beginning with `/`.
    pub path: String,
    /// Query without the `?`, still percent-encoded.
    pub query: Option<String>,
    /// All headers.
    pub headers: HeaderMap,
    /// Whom the runtime had the request from, where it says so in a way that no client can forge.
    pub client_address: Option<IpAddr>,
    /// The body, unread.
    pub body: B,
}

impl<B> Request<B> {
    /// The only value of a header that must not repeat: `None` if it is absent, repeated or not ASCII text.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        single(&self.headers, name)
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

/// The body of an answer or of a request to an upstream.
#[derive(Debug)]
pub enum Body<B> {
    /// None.
    Empty,
    /// Whole, in memory.
    Bytes(Cow<'static, [u8]>),
    /// A stream of the runtime's own, passed on untouched.
    Native(B),
}

/// The edge's answer.
#[derive(Debug)]
pub struct Response<B> {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body<B>,
}

impl<B> Response<B> {
    /// An answer without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Body::Empty }
    }

    /// An answer with a body in memory.
    #[must_use]
    pub fn bytes(status: StatusCode, content_type: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        let mut response = Self { status, headers: HeaderMap::new(), body: Body::Bytes(body.into()) };
        response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }

    /// An answer in JSON.
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

    /// Sets a header; a value that is no header text is left out rather than split into two.
    pub fn set(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
    }

    /// Adds a header beside those of the same name.
    pub fn add(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
    }
}

/// A request the edge sends.
#[derive(Debug)]
pub struct Outgoing<B> {
    /// What it goes to, by the name the log calls it; empty where the host says enough.
    pub service: Cow<'static, str>,
    /// The method.
    pub method: Method,
    /// Absolute URL; its host comes from configuration or from a provider's validated metadata.
    pub url: url::Url,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body<B>,
    /// How long to wait for the answer's head. Sending the request counts.
    pub timeout: Duration,
    /// How long the answer's body may be silent before it breaks off.
    pub idle: Duration,
}

/// Four keep-alives of an event stream; a program that sends something whole is never silent for as long.
const DEFAULT_IDLE: Duration = Duration::from_secs(60);

impl<B> Outgoing<B> {
    /// A request without headers and body.
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
        }
    }

    /// Names what it goes to.
    #[must_use]
    pub fn to(mut self, service: impl Into<Cow<'static, str>>) -> Self {
        self.service = service.into();
        self
    }

    /// Sets a header from text this program made.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

/// An upstream's answer.
#[derive(Debug)]
pub struct Incoming<B> {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, unread.
    pub body: B,
}
