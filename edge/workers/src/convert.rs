//! Requests, responses, headers and bodies between the runtime's types and core's.

use std::{cell::RefCell, time::Duration};

use causeway_core::{
    http::{
        body::{BodyError, ByteLimit, ReadBody, longest_transfer},
        web::{self, Outgoing},
    },
    runtime::platform::Insertion,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue, closure::Closure};
use web_sys::{AbortController, Headers, ReadableStream, Request, Response};
use worker::{Error, Result, wasm_bindgen_futures::JsFuture};

use crate::message::{self, Answer};

/// A body of the runtime. Its bytes enter Wasm only if they are read.
#[derive(Debug, Default)]
pub(crate) struct NativeBody {
    /// A stream, or of an answer to a call what `js/body.js` makes of it.
    source: Option<JsValue>,
    /// Set if it is the body of an answer to a call.
    call: Option<PendingCall>,
}

/// A call whose answer's body is still unread.
#[derive(Debug)]
struct PendingCall {
    /// How long the body may be silent.
    idle: Duration,
    /// How long all of it may take, if its length is known.
    longest: Option<Duration>,
    abort: AbortOnDrop,
}

/// Aborts a call when its answer, or the rest of it, is no longer wanted. If only its promises were dropped, the call would
/// continue, or its body would end as if it were complete. Aborting a completed call has no effect.
#[derive(Debug)]
pub(crate) struct AbortOnDrop(Option<AbortController>);

impl AbortOnDrop {
    /// A controller for one call.
    ///
    /// # Errors
    /// The runtime provides none.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Some(AbortController::new()?)))
    }

    fn controller(&self) -> Result<&AbortController> {
        self.0.as_ref().ok_or_else(|| Error::from("no controller"))
    }

    /// Leaves the call to those that have its controller.
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(controller) = &self.0 {
            controller.abort();
        }
    }
}

impl NativeBody {
    /// The body with a stream, if it has one.
    pub(crate) fn new(stream: Option<ReadableStream>) -> Self {
        Self { source: stream.map(JsValue::from), call: None }
    }

    /// What the runtime sends, or `undefined`.
    fn into_js(self) -> Result<JsValue> {
        let Some(source) = self.source else { return Ok(JsValue::UNDEFINED) };
        // The runtime moves the chunks itself as long as this program does not read them.
        let Some(PendingCall { idle, longest, abort }) = self.call else { return Ok(source) };
        let watched = message::watched(&source, abort.controller()?, milliseconds(idle), longest.map(milliseconds))?;
        abort.disarm();
        Ok(watched)
    }
}

/// A document with what an insertion adds.
///
/// # Errors
/// The runtime rejects it.
pub(crate) fn inserted(document: NativeBody, insertion: Insertion) -> Result<NativeBody> {
    let Insertion { element, attributes, html } = insertion;
    let attributes = attributes.iter().map(|&name| name.to_owned()).collect();
    let html = Closure::<dyn Fn(Array) -> String>::new(move |values: Array| {
        html(&values.iter().map(|value| value.as_string()).collect::<Vec<_>>())
    });
    // The runtime calls it until the document ends, and then collects it.
    let stream = message::inserted(&document.into_js()?, element, attributes, &html.into_js_value())?;
    Ok(NativeBody::new(stream))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

impl ReadBody for NativeBody {
    async fn read(self, limit_bytes: usize) -> std::result::Result<Vec<u8>, BodyError> {
        let Some(source) = self.source else { return Ok(Vec::new()) };
        let broken = |error: &dyn std::fmt::Debug| BodyError::Broken(format!("{error:?}"));
        let (abort, idle) = match self.call {
            Some(call) => (call.abort, Some(milliseconds(call.idle))),
            None => (AbortOnDrop::new().map_err(|e| broken(&e))?, None),
        };
        let controller = abort.controller().map_err(|e| broken(&e))?;
        let limit = u32::try_from(limit_bytes).unwrap_or(u32::MAX).into();
        let reading = message::read_body(&source, limit, controller, idle).map_err(|e| broken(&e))?;
        let bytes = JsFuture::from(reading).await.map_err(|e| broken(&e))?;
        let bytes = bytes.dyn_into::<Uint8Array>().map_err(|_| BodyError::TooLarge)?;
        // Nothing is left to abort. The runtime would make an exception, with a stack, of each that it aborts.
        abort.disarm();
        Ok(bytes.to_vec())
    }

    fn limited(self, _limit: ByteLimit) -> std::result::Result<Self, Self> {
        // To count a body, its chunks must pass through this program. If such a stream fails or is aborted after the head of
        // the answer has arrived, the runtime ends the request's body with the last chunk of a complete one.
        Err(self)
    }
}

const CONNECTING_IP: HeaderName = HeaderName::from_static("cf-connecting-ip");

/// The runtime's request as core's.
///
/// # Errors
/// Its method or one of its headers is not valid.
pub(crate) fn request(request: &Request) -> Result<web::Request<NativeBody>> {
    let head = message::request_head(request)?;
    let mut lines = lines(&head)?;
    let (method, url) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let target = url.split_once("://").map_or(url, |(_, rest)| rest);
    let target = target.find('/').and_then(|at| target.get(at..)).unwrap_or("/");
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let headers = header_map(lines)?;
    // Cloudflare sets it and overwrites what a client sent.
    let client_address = web::single(&headers, &CONNECTING_IP).and_then(|text| text.parse().ok());
    Ok(web::Request {
        method: Method::from_bytes(method.as_bytes()).map_err(|_| Error::from("the method is not valid"))?,
        path: path.to_owned(),
        query,
        headers,
        client_address,
        body: NativeBody::new(request.body()),
    })
}

/// Core's response as the runtime's.
///
/// # Errors
/// The runtime rejects it.
pub(crate) fn response(response: web::Response<NativeBody>) -> Result<Response> {
    let web::Response { status, headers, body } = response;
    let (status, is_coded) = (status.as_u16(), headers.contains_key(header::CONTENT_ENCODING));
    Ok(match body {
        web::Body::Native(body) => message::respond(status, None, &head(headers.iter())?, &body.into_js()?, is_coded)?,
        web::Body::Empty => {
            with_shared(&headers, |shared, own| message::respond(status, shared, own, &JsValue::UNDEFINED, is_coded))?
        }
        web::Body::Bytes(bytes) => with_shared(&headers, |shared, own| match std::str::from_utf8(&bytes) {
            // The runtime takes a short text faster than bytes.
            Ok(text) if text.len() <= MAX_TEXT_BYTES => message::respond_text(status, shared, own, text, is_coded),
            _ => message::respond_bytes(status, shared, own, &bytes, is_coded),
        })?,
    })
}

/// Longest body that is handed over as text.
const MAX_TEXT_BYTES: usize = 4096;

/// Headers that the edge's own answers have with one of a few values. The runtime copies them much faster from one of its own
/// objects than it reads them.
const SHARED: [HeaderName; 11] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::X_CONTENT_TYPE_OPTIONS,
    header::REFERRER_POLICY,
    web::CROSS_ORIGIN_RESOURCE_POLICY,
    header::CONTENT_SECURITY_POLICY,
    header::VARY,
    header::STRICT_TRANSPORT_SECURITY,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
];

/// Most sets of [`SHARED`] headers that an isolate keeps.
const MAX_SHARED: usize = 16;

thread_local! {
    /// Sets of headers and the runtime's objects for them, the one that was made last at the end.
    static SHARED_HEADERS: RefCell<Vec<(String, Headers)>> = const { RefCell::new(Vec::new()) };
}

/// Gives `respond` the runtime's object for the headers that many answers share, and the other headers as text.
fn with_shared<T>(
    headers: &HeaderMap,
    respond: impl FnOnce(Option<&Headers>, &str) -> std::result::Result<T, JsValue>,
) -> Result<T> {
    let is_shared = |(name, _): &(&HeaderName, &HeaderValue)| SHARED.contains(name);
    let shared = head(headers.iter().filter(is_shared))?;
    let own = head(headers.iter().filter(|header| !is_shared(header)))?;
    SHARED_HEADERS.with_borrow_mut(|known| {
        let at = match known.iter().position(|(text, _)| *text == shared) {
            Some(at) => at,
            None => {
                if known.len() >= MAX_SHARED {
                    known.remove(0);
                }
                let object = message::shared_headers(&shared)?;
                known.push((shared, object));
                known.len().saturating_sub(1)
            }
        };
        Ok(respond(known.get(at).map(|(_, object)| object), &own)?)
    })
}

/// Sends a request, and returns the answer and the call, which is aborted when it is dropped.
///
/// # Errors
/// The call failed.
pub(crate) async fn send(request: Outgoing<NativeBody>) -> Result<web::Incoming<NativeBody>> {
    let Outgoing { method, url, headers, body, idle, keeps_coding, .. } = request;
    let (method, url, head) = (method.as_str(), url.as_str(), head(headers.iter())?);
    let abort = AbortOnDrop::new()?;
    let signal = abort.controller()?.signal();
    let sent = match body {
        web::Body::Empty => message::send(url, method, &head, &JsValue::UNDEFINED, &signal, keeps_coding)?,
        web::Body::Bytes(bytes) => message::send_bytes(url, method, &head, &bytes, &signal, keeps_coding)?,
        // The runtime sends a stream whose length it knows with that length, and any other in chunks.
        web::Body::Native(body) => message::send(url, method, &head, &body.into_js()?, &signal, keeps_coding)?,
    };
    let answer = JsFuture::from(sent).await?.unchecked_into();
    incoming(&answer, idle, abort)
}

/// The runtime's answer to a call as core's, with a body that may be silent for at most `idle`.
fn incoming(answer: &Answer, idle: Duration, abort: AbortOnDrop) -> Result<web::Incoming<NativeBody>> {
    let head = answer.head();
    let mut lines = lines(&head)?;
    let status = StatusCode::from_bytes(lines.next().unwrap_or_default().as_bytes()).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = header_map(lines)?;
    let longest = longest_transfer(&headers, idle);
    let source = Some(answer.body()).filter(|body| !body.is_null());
    let body = NativeBody { source, call: Some(PendingCall { idle, longest, abort }) };
    Ok(web::Incoming { status, headers, body })
}

/// The lines of a head from JavaScript.
///
/// # Errors
/// There are more or fewer than it says: a line break in one of them would shift all that follow.
fn lines(head: &str) -> Result<impl Iterator<Item = &str>> {
    let (count, rest) = head.split_once('\n').unwrap_or_default();
    let lines = rest.split('\n');
    if count.parse() != Ok(lines.clone().count()) {
        return Err(Error::from("a header has a line break"));
    }
    Ok(lines)
}

/// The headers that lines of names and values are.
///
/// # Errors
/// Core's type rejects one: a message must not lose one of its headers on its way.
fn header_map<'a>(mut lines: impl Iterator<Item = &'a str>) -> Result<HeaderMap> {
    let mut map = HeaderMap::with_capacity(16);
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        let rejected = || Error::from("a header is not valid");
        let (name, value) = (HeaderName::try_from(name), HeaderValue::try_from(value));
        map.try_append(name.map_err(|_| rejected())?, value.map_err(|_| rejected())?).map_err(|_| rejected())?;
    }
    Ok(map)
}

/// Headers as lines of names and values. They are strings to the runtime, which reads and writes them as UTF-8. All headers
/// from the runtime are UTF-8. If another is not, the whole message is rejected: without one of its headers its meaning
/// could change. None contains a line break, which [`HeaderValue`] excludes.
fn head<'h>(headers: impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)>) -> Result<String> {
    let mut head = String::with_capacity(512);
    for (name, value) in headers {
        let Ok(value) = std::str::from_utf8(value.as_bytes()) else {
            return Err(Error::from(format!("{name} is no text")));
        };
        if !head.is_empty() {
            head.push('\n');
        }
        head.push_str(name.as_str());
        head.push('\n');
        head.push_str(value);
    }
    Ok(head)
}
