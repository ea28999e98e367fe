//! Requests, responses, headers and bodies between the SDK's types and core's.

use std::{future::ready, pin::pin, time::Duration};

use bytes::Bytes;
use causeway_core::{
    http::{
        body::{BodyError, ByteLimit, ReadBody},
        client_address::client_address,
        web::{self, Outgoing},
    },
    runtime::platform::Insertion,
};
use futures_util::{Stream, StreamExt as _, future::LocalBoxFuture};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::PathAndQuery};
use http_body::Frame;
use http_body_util::{BodyExt as _, BodyStream, Full, LengthLimitError, Limited, StreamBody};
use spin_sdk::wasip3::{
    http::types,
    http_compat::{BodyResult, BodyWriter, IncomingBody, IncomingMessage, IncomingRequestBody},
    spawn,
    wit_bindgen::{FutureReader, StreamReader},
    wit_future, wit_stream,
};
use url::Position;
use zeroize::Zeroizing;

use crate::document;

/// A body of the runtime, in the message that it came with. An upstream's stays in the host: no byte of it passes through
/// the guest. Most requests have no body, so nothing is asked about it until it is used.
pub(crate) enum NativeBody {
    /// A client's, which the host can move by itself.
    Request(types::Request),
    /// A client's whose bytes are counted, so it has to pass through the guest.
    Limited(types::Request, ByteLimit),
    /// An upstream's.
    Upstream(types::Response),
    /// An upstream's document, which the guest changes.
    Document(types::Response, Insertion),
}

impl ReadBody for NativeBody {
    async fn read(self, limit_bytes: usize) -> Result<Vec<u8>, BodyError> {
        match self {
            Self::Request(request) | Self::Limited(request, _) => read(request, limit_bytes).await,
            Self::Upstream(response) | Self::Document(response, _) => read(response, limit_bytes).await,
        }
    }

    fn limited(self, limit: ByteLimit) -> Result<Self, Self> {
        Ok(match self {
            Self::Request(request) | Self::Limited(request, _) => Self::Limited(request, limit),
            // An upstream's body is not counted: it never enters the guest.
            Self::Upstream(_) | Self::Document(..) => self,
        })
    }
}

async fn read(message: impl IncomingMessage, limit_bytes: usize) -> Result<Vec<u8>, BodyError> {
    let broken = |detail: &dyn std::fmt::Debug| BodyError::Broken(format!("{detail:?}"));
    let body = IncomingBody::new(message).map_err(|error| broken(&error))?;
    match Limited::new(body, limit_bytes).collect().await {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Err(error) => Err(broken(&error)),
    }
}

const CLIENT_ADDRESS: HeaderName = HeaderName::from_static("spin-client-addr");

/// The runtime's request as core's. The SDK's conversion asks the host for twice as much.
///
/// # Errors
/// The request has no valid method, path or header. The host has parsed it, so that does not happen.
pub(crate) fn request(request: types::Request) -> Result<web::Request<NativeBody>, types::ErrorCode> {
    let method = Method::try_from(request.get_method()).map_err(|_| types::ErrorCode::HttpRequestMethodInvalid)?;
    let target = request.get_path_with_query().map_or(Ok(PathAndQuery::from_static("/")), PathAndQuery::try_from);
    let target = target.map_err(|_| types::ErrorCode::HttpRequestUriInvalid)?;
    let headers = request_headers(request.get_headers().copy_all())
        .map_err(|error| types::ErrorCode::InternalError(Some(error.to_string())))?;
    Ok(web::Request {
        method,
        path: target.path().to_owned(),
        query: target.query().map(str::to_owned),
        // Spin appends its value to the client's: only the last one is trustworthy.
        client_address: client_address(&headers, &CLIENT_ADDRESS),
        headers,
        body: NativeBody::Request(request),
    })
}

/// All headers, or none of them: a request must not lose one on its way.
fn request_headers(list: Vec<(String, Vec<u8>)>) -> Result<HeaderMap, http::Error> {
    let mut headers = HeaderMap::with_capacity(list.len());
    for (name, value) in list {
        headers.try_append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?)?;
    }
    Ok(headers)
}

/// Core's response as the runtime's, or the runtime's error if it rejects the response. It says its length: otherwise the
/// host would send chunks, and wait for trailers before the last one. The host sends no body to HEAD.
pub(crate) fn response(response: web::Response<NativeBody>, is_head: bool) -> Result<types::Response, String> {
    let web::Response { status, mut headers, body } = response;
    let bytes = match body {
        web::Body::Native(NativeBody::Upstream(upstream)) => return pass_through(upstream, status, &headers),
        web::Body::Native(NativeBody::Document(document, insertion)) => {
            return document::respond(document, insertion, |body, trailers| {
                head(status, &headers, Some(body), trailers)
            });
        }
        web::Body::Bytes(bytes) if !bytes.is_empty() => bytes,
        // Core never answers with a request's body.
        web::Body::Bytes(_) | web::Body::Empty | web::Body::Native(_) => {
            // These two have no length. To HEAD, it would be that of the answer to GET, which is not known (RFC 9110 §8.6).
            if !is_head && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
            }
            let (_result, trailers) = wit_future::new(|| Ok(None));
            return head(status, &headers, None, trailers);
        }
    };
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    let (mut writer, contents) = wit_stream::new();
    let (result, trailers) = wit_future::new(|| Err(types::ErrorCode::InternalError(Some("broke off".to_owned()))));
    let response = head(status, &headers, Some(contents), trailers)?;
    spawn(async move {
        // The buffer comes back, and is wiped as `bytes` is. A client may disconnect before all is written.
        let buffer = Zeroizing::new(writer.write_all(bytes.to_vec()).await);
        drop(writer);
        if buffer.is_empty() {
            let _ = result.write(Ok(None)).await;
        }
    });
    Ok(response)
}

/// Answers with an upstream's body. The host recognizes its own stream and moves the bytes itself; the guest's task ends.
fn pass_through(upstream: types::Response, status: StatusCode, headers: &HeaderMap) -> Result<types::Response, String> {
    let (_result, result) = wit_future::new(|| Ok(()));
    let (body, trailers) = types::Response::consume_body(upstream, result);
    head(status, headers, Some(body), trailers)
}

fn head(
    status: StatusCode,
    headers: &HeaderMap,
    body: Option<StreamReader<u8>>,
    trailers: FutureReader<BodyResult>,
) -> Result<types::Response, String> {
    let fields = fields(headers).map_err(|error| format!("{error:?}"))?;
    let (response, _sent) = types::Response::new(fields, body, trailers);
    // It is 200 already.
    if status != StatusCode::OK {
        response.set_status_code(status.as_u16()).map_err(|()| format!("no status: {status}"))?;
    }
    Ok(response)
}

/// An empty answer, for a host that rejects even a problem document.
pub(crate) fn empty(status: StatusCode) -> types::Response {
    let (_result, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = types::Response::new(types::Fields::new(), None, trailers);
    // Fails only for an invalid status.
    let _ = response.set_status_code(status.as_u16());
    response
}

/// Core's outgoing request as the runtime's, and the future that writes its body if the guest has to.
pub(crate) fn outgoing(
    mut request: Outgoing<NativeBody>,
) -> Result<(types::Request, Option<Writing>), types::ErrorCode> {
    match std::mem::replace(&mut request.body, web::Body::Empty) {
        web::Body::Empty => Ok((host_written(&request, None)?, None)),
        web::Body::Bytes(bytes) => {
            request.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            guest_written(&request, Full::new(Bytes::from_owner(bytes)))
        }
        web::Body::Native(NativeBody::Request(client)) => Ok((host_written(&request, Some(client))?, None)),
        web::Body::Native(NativeBody::Limited(client, limit)) => {
            guest_written(&request, StreamBody::new(counted(IncomingBody::new(client)?, limit)))
        }
        web::Body::Native(NativeBody::Upstream(_) | NativeBody::Document(..)) => {
            Err(types::ErrorCode::InternalError(Some("an answer's body cannot be sent".to_owned())))
        }
    }
}

/// The data of a body, counted. Trailers are dropped.
fn counted(body: IncomingRequestBody, limit: ByteLimit) -> impl Stream<Item = Result<Frame<Bytes>, String>> {
    let is_data = |frame: &Result<Frame<Bytes>, _>| ready(frame.as_ref().is_ok_and(Frame::is_data) || frame.is_err());
    BodyStream::new(body).take_while(is_data).map(move |frame| {
        let frame = frame.map_err(|error| {
            limit.broken(format_args!("{error:?}"));
            "broke off".to_owned()
        })?;
        let length = frame.data_ref().map_or(0, Bytes::len);
        if limit.take(length) { Ok(frame) } else { Err("longer than allowed".to_owned()) }
    })
}

/// Writes a request's body. May continue after the answer's head has arrived.
pub(crate) type Writing = LocalBoxFuture<'static, ()>;

/// A request whose body the guest writes.
fn guest_written<B>(
    request: &Outgoing<NativeBody>,
    body: B,
) -> Result<(types::Request, Option<Writing>), types::ErrorCode>
where
    B: http_body::Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (writer, contents, trailers) = BodyWriter::new();
    let writing = async move {
        // An upstream that stops reading reports why in its answer.
        let _ = writer.send_http_body(&mut pin!(body)).await;
    };
    Ok((with_body(request, Some(contents), trailers)?, Some(Box::pin(writing))))
}

/// A request without a body, or with a client's. The host recognizes its own stream and moves the bytes itself.
fn host_written(
    request: &Outgoing<NativeBody>,
    client: Option<types::Request>,
) -> Result<types::Request, types::ErrorCode> {
    let body = client.map(|client| {
        let (_result, result) = wit_future::new(|| Ok(()));
        types::Request::consume_body(client, result).0
    });
    let (_trailers, trailers) = wit_future::new(|| Ok(None));
    with_body(request, body, trailers)
}

fn with_body(
    request: &Outgoing<NativeBody>,
    body: Option<StreamReader<u8>>,
    trailers: FutureReader<BodyResult>,
) -> Result<types::Request, types::ErrorCode> {
    let invalid = |()| types::ErrorCode::HttpRequestUriInvalid;
    let fields = fields(&request.headers).map_err(|e| types::ErrorCode::InternalError(Some(format!("{e:?}"))))?;
    let (out, _sent) = types::Request::new(fields, body, trailers, Some(options(request)));
    out.set_method(&request.method.clone().into()).map_err(|()| types::ErrorCode::HttpRequestMethodInvalid)?;
    let scheme = match request.url.scheme() {
        "https" => types::Scheme::Https,
        _ => types::Scheme::Http,
    };
    out.set_scheme(Some(&scheme)).map_err(invalid)?;
    out.set_authority(Some(request.url.authority())).map_err(invalid)?;
    let target = &request.url[Position::BeforePath..Position::AfterQuery];
    out.set_path_with_query(Some(target)).map_err(invalid)?;
    Ok(out)
}

fn options(request: &Outgoing<NativeBody>) -> types::RequestOptions {
    let options = types::RequestOptions::new();
    let nanoseconds = |time: Duration| Some(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    // A host may not support a timeout. The deadline around the call applies in any case.
    let _ = options.set_connect_timeout(nanoseconds(request.timeout));
    let _ = options.set_first_byte_timeout(nanoseconds(request.timeout));
    let _ = options.set_between_bytes_timeout(nanoseconds(request.idle));
    options
}

fn fields(headers: &HeaderMap) -> Result<types::Fields, types::HeaderError> {
    let list: Vec<(String, Vec<u8>)> =
        headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    types::Fields::from_list(&list)
}

/// The runtime's answer as core's.
pub(crate) fn incoming(response: types::Response) -> web::Incoming<NativeBody> {
    let status = StatusCode::from_u16(response.get_status_code()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut headers = HeaderMap::new();
    for (name, value) in response.get_headers().copy_all() {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    web::Incoming { status, headers, body: NativeBody::Upstream(response) }
}
