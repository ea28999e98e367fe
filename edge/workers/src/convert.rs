//! Requests, responses, headers and bodies between the runtime's types and core's.

use causeway_core::{
    platform::{BodyError, ReadBody},
    web::{self, Outgoing},
};
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use js_sys::Uint8Array;
use wasm_bindgen::JsCast as _;
use web_sys::ReadableStream;
use worker::{Headers, Request, RequestInit, RequestRedirect, Response, ResponseBody, ResponseBuilder, Result};

/// A body of the runtime's own; it passes through without being copied into Wasm.
#[derive(Debug)]
pub(crate) struct NativeBody(pub(crate) Option<ReadableStream>);

impl ReadBody for NativeBody {
    async fn read(self, limit_bytes: usize) -> std::result::Result<Vec<u8>, BodyError> {
        let mut bytes = Vec::new();
        let Some(stream) = self.0 else { return Ok(bytes) };
        let stream = wasm_streams::ReadableStream::from_raw(stream.unchecked_into());
        let mut chunks = stream.into_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| BodyError::Broken(format!("{error:?}")))?;
            let chunk: Uint8Array = chunk.dyn_into().map_err(|_| BodyError::Broken("not bytes".to_owned()))?;
            let length = usize::try_from(chunk.length()).unwrap_or(usize::MAX);
            if bytes.len().saturating_add(length) > limit_bytes {
                return Err(BodyError::TooLarge);
            }
            bytes.extend(chunk.to_vec());
        }
        Ok(bytes)
    }
}

/// The runtime's request as core's.
pub(crate) fn request(request: &Request) -> web::Request<NativeBody> {
    let url = request.inner().url();
    let target = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let target = target.find('/').and_then(|at| target.get(at..)).unwrap_or("/");
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    web::Request {
        method: Method::from_bytes(request.inner().method().as_bytes()).unwrap_or_default(),
        path: path.to_owned(),
        query,
        headers: header_map(request.headers()),
        body: NativeBody(request.inner().body()),
    }
}

/// Core's response as the runtime's.
pub(crate) fn response(response: web::Response<NativeBody>) -> Result<Response> {
    let builder =
        ResponseBuilder::new().with_status(response.status.as_u16()).with_headers(headers(&response.headers)?);
    Ok(match response.body {
        web::Body::Empty | web::Body::Native(NativeBody(None)) => builder.empty(),
        web::Body::Bytes(bytes) => builder.fixed(bytes.into_owned()),
        web::Body::Native(NativeBody(Some(stream))) => builder.stream(stream),
    })
}

/// Core's outgoing request as the runtime's. Redirects are never followed.
pub(crate) fn outgoing(request: Outgoing<NativeBody>) -> Result<Request> {
    let mut init = RequestInit::new();
    init.with_method(request.method.as_str().to_owned().into())
        .with_redirect(RequestRedirect::Manual)
        .with_headers(headers(&request.headers)?);
    match request.body {
        web::Body::Empty | web::Body::Native(NativeBody(None)) => {}
        web::Body::Bytes(bytes) => {
            init.with_body(Some(Uint8Array::from(bytes.as_ref()).into()));
        }
        web::Body::Native(NativeBody(Some(stream))) => {
            init.with_body(Some(stream.into()));
        }
    }
    Request::new_with_init(request.url.as_str(), &init)
}

/// The runtime's answer as core's.
pub(crate) fn incoming(response: Response) -> web::Incoming<NativeBody> {
    let status = StatusCode::from_u16(response.status_code()).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = header_map(response.headers());
    let body = match response.into_parts().1 {
        ResponseBody::Stream(stream) => Some(stream),
        // A fetched answer has a stream or nothing.
        ResponseBody::Empty | ResponseBody::Body(_) => None,
    };
    web::Incoming { status, headers, body: NativeBody(body) }
}

fn header_map(headers: &Headers) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers.entries() {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            map.append(name, value);
        }
    }
    map
}

fn headers(map: &HeaderMap) -> Result<Headers> {
    let headers = Headers::new();
    for (name, value) in map {
        if let Ok(value) = value.to_str() {
            headers.append(name.as_str(), value)?;
        }
    }
    Ok(headers)
}
