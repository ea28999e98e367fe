//! Requests, responses, headers and bodies between the runtime's types and core's.

use std::{pin::pin, time::Duration};

use causeway_core::http::{
    body::{BodyError, ByteLimit, ReadBody},
    web::{self, Outgoing},
};
use futures_util::{
    Stream, StreamExt as _,
    future::{Either, select},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use js_sys::{Array, JSON, Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{AbortController, ReadableStream, WorkerGlobalScope};
use worker::{
    AbortSignal, CacheMode, Delay, EncodeBody, Error, Headers, Request, RequestInit, RequestRedirect, Response,
    ResponseBody, ResponseBuilder, Result, wasm_bindgen_futures::JsFuture,
};

/// A body of the runtime. Its bytes enter Wasm only if they are read or their timing is checked.
#[derive(Debug, Default)]
pub(crate) struct NativeBody {
    stream: Option<ReadableStream>,
    /// Set if it is the body of an answer to a call.
    call: Option<PendingCall>,
}

/// A call whose answer's body is still unread.
#[derive(Debug)]
struct PendingCall {
    /// How long the body may be silent.
    idle: Duration,
    abort: AbortOnDrop,
}

/// Aborts a call when its answer, or the rest of it, is no longer wanted. If only its promises were dropped, the call would
/// continue, or its body would end as if it were complete. Aborting a completed call has no effect.
#[derive(Debug)]
pub(crate) struct AbortOnDrop(AbortController);

impl AbortOnDrop {
    /// A controller for one call.
    ///
    /// # Errors
    /// The runtime provides none.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(AbortController::new()?))
    }

    pub(crate) fn signal(&self) -> AbortSignal {
        self.0.signal().into()
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Chunk = std::result::Result<Uint8Array, JsValue>;

/// The chunks of a stream, up to its first error.
fn chunks(stream: ReadableStream) -> impl Stream<Item = Chunk> {
    wasm_streams::ReadableStream::from_raw(stream.unchecked_into())
        .into_stream()
        .map(|chunk| chunk.and_then(|chunk| chunk.dyn_into()))
}

/// An answer's chunks. A chunk that does not arrive in time becomes an error, which is the last item.
fn with_idle_timeout(stream: ReadableStream, PendingCall { idle, abort }: PendingCall) -> impl Stream<Item = Chunk> {
    async_stream::stream! {
        let _abort = abort;
        let mut chunks = pin!(chunks(stream));
        loop {
            let chunk = match select(chunks.next(), Delay::from(idle)).await {
                Either::Left((chunk, _)) => chunk,
                Either::Right(_) => Some(Err(JsValue::from_str("silent for too long"))),
            };
            let Some(chunk) = chunk else { return };
            let is_last = chunk.is_err();
            yield chunk;
            if is_last {
                return;
            }
        }
    }
}

impl NativeBody {
    /// The body with a stream, if it has one.
    pub(crate) fn new(stream: Option<ReadableStream>) -> Self {
        Self { stream, call: None }
    }

    /// The stream for the runtime to send.
    fn into_stream(self) -> Option<ReadableStream> {
        let stream = self.stream?;
        Some(match self.call {
            Some(call) => readable(with_idle_timeout(stream, call)),
            // The runtime moves the chunks itself as long as this program does not read them.
            None => stream,
        })
    }
}

fn readable(chunks: impl Stream<Item = Chunk> + 'static) -> ReadableStream {
    wasm_streams::ReadableStream::from_stream(chunks.map(|chunk| chunk.map(JsValue::from))).into_raw().unchecked_into()
}

fn length_of(chunk: &Uint8Array) -> usize {
    usize::try_from(chunk.length()).unwrap_or(usize::MAX)
}

impl ReadBody for NativeBody {
    async fn read(self, limit_bytes: usize) -> std::result::Result<Vec<u8>, BodyError> {
        let mut bytes = Vec::new();
        let Some(stream) = self.stream else { return Ok(bytes) };
        let mut chunks = match self.call {
            Some(call) => with_idle_timeout(stream, call).boxed_local(),
            None => chunks(stream).boxed_local(),
        };
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| BodyError::Broken(format!("{error:?}")))?;
            if bytes.len().saturating_add(length_of(&chunk)) > limit_bytes {
                return Err(BodyError::TooLarge);
            }
            bytes.extend(chunk.to_vec());
        }
        Ok(bytes)
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
/// Its headers cannot be read.
pub(crate) fn request(request: &Request) -> Result<web::Request<NativeBody>> {
    let url = request.inner().url();
    let target = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let target = target.find('/').and_then(|at| target.get(at..)).unwrap_or("/");
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let headers = header_map(request.headers())?;
    // Cloudflare sets it and overwrites what a client sent.
    let client_address = web::single(&headers, &CONNECTING_IP).and_then(|text| text.parse().ok());
    Ok(web::Request {
        method: Method::from_bytes(request.inner().method().as_bytes()).unwrap_or_default(),
        path: path.to_owned(),
        query,
        headers,
        client_address,
        body: NativeBody::new(request.inner().body()),
    })
}

/// Core's response as the runtime's.
pub(crate) fn response(response: web::Response<NativeBody>) -> Result<Response> {
    // A body is in the content coding that its headers name. By itself the runtime would compress it again.
    let builder = ResponseBuilder::new()
        .with_status(response.status.as_u16())
        .with_headers(headers(&response.headers)?)
        .with_encode_body(EncodeBody::Manual);
    Ok(match response.body {
        web::Body::Empty => builder.empty(),
        web::Body::Bytes(bytes) => builder.fixed(bytes.to_vec()),
        web::Body::Native(body) => match body.into_stream() {
            Some(stream) => builder.stream(stream),
            None => builder.empty(),
        },
    })
}

/// Core's outgoing request as the runtime's. Redirects are not followed. No shared cache is used, because an answer to one
/// user's token must not reach another user.
pub(crate) fn outgoing(request: Outgoing<NativeBody>) -> Result<Request> {
    let mut init = RequestInit::new();
    init.with_method(request.method.as_str().to_owned().into())
        .with_redirect(RequestRedirect::Manual)
        .with_cache(CacheMode::NoStore)
        .with_headers(headers(&request.headers)?);
    match request.body {
        web::Body::Empty => {}
        web::Body::Bytes(bytes) => {
            init.with_body(Some(Uint8Array::from(bytes.as_ref()).into()));
        }
        // The runtime sends a stream whose length it knows with that length, and any other in chunks.
        web::Body::Native(body) => {
            init.with_body(body.into_stream().map(JsValue::from));
        }
    }
    Request::new_with_init(request.url.as_str(), &init)
}

/// Sends a request. `keeps_coding`: a compressed answer stays compressed, instead of being decoded.
///
/// # Errors
/// The call failed or was aborted.
pub(crate) async fn fetch(request: &Request, keeps_coding: bool, signal: &AbortSignal) -> Result<Response> {
    let options = web_sys::RequestInit::new();
    options.set_signal(Some(signal));
    if keeps_coding {
        // Only `fetch` itself has this option: workerd ignores it in a `Request`, and the crate's `Fetch` cannot pass it.
        Reflect::set(&options, &JsValue::from_str("encodeResponseBody"), &JsValue::from_str("manual"))?;
    }
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    let response = JsFuture::from(scope.fetch_with_request_and_init(request.inner(), &options)).await?;
    Ok(response.dyn_into::<web_sys::Response>()?.into())
}

/// The runtime's answer to a call as core's, with a body that may be silent for at most `idle`.
///
/// # Errors
/// Its headers cannot be read.
pub(crate) fn incoming(response: Response, idle: Duration, abort: AbortOnDrop) -> Result<web::Incoming<NativeBody>> {
    let status = StatusCode::from_u16(response.status_code()).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = header_map(response.headers())?;
    let stream = match response.into_parts().1 {
        ResponseBody::Stream(stream) => Some(stream),
        // A fetched answer has a stream or no body.
        ResponseBody::Empty | ResponseBody::Body(_) => None,
    };
    Ok(web::Incoming { status, headers, body: NativeBody { stream, call: Some(PendingCall { idle, abort }) } })
}

/// The runtime's headers as core's. All of them cross from JavaScript as one string: a crossing for each would cost more than
/// everything else that the edge does for most requests.
fn header_map(headers: &Headers) -> Result<HeaderMap> {
    let pairs = String::from(JSON::stringify(&Array::from(&headers.0))?);
    let pairs: Vec<(String, String)> = serde_json::from_str(&pairs)?;
    let mut map = HeaderMap::with_capacity(pairs.len());
    for (name, value) in pairs {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            map.append(name, value);
        }
    }
    Ok(map)
}

/// Core's headers as the runtime's, which are strings that workerd reads and writes as UTF-8. All headers from workerd are
/// UTF-8. If another is not, the whole message is rejected: without one of its headers its meaning could change.
fn headers(map: &HeaderMap) -> Result<Headers> {
    let pairs = map.iter().map(|(name, value)| match std::str::from_utf8(value.as_bytes()) {
        Ok(value) => Ok((name.as_str(), value)),
        Err(_) => Err(Error::from(format!("{name} is no text"))),
    });
    let pairs = serde_json::to_string(&pairs.collect::<Result<Vec<_>>>()?)?;
    Ok(Headers(web_sys::Headers::new_with_str_sequence_sequence(&JSON::parse(&pairs)?)?))
}
