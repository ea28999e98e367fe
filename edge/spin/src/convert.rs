//! Requests, responses, headers and bodies between the SDK's types and core's.

use bytes::Bytes;
use causeway_core::{
    platform::{BodyError, ReadBody},
    web::{self, Outgoing},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use spin_sdk::{
    http::{FullBody, IntoResponse as _, Request},
    wasip3::{
        http::types,
        http_compat::{IncomingRequestBody, RequestOptionsExtension, http_from_wasi_response},
        wit_future,
    },
};

/// A body of the runtime's own. An upstream's stays in the host: no byte of it passes through the guest.
pub(crate) enum NativeBody {
    Request(IncomingRequestBody),
    Upstream(types::Response),
}

impl ReadBody for NativeBody {
    async fn read(self, limit_bytes: usize) -> Result<Vec<u8>, BodyError> {
        let broken = |detail: &dyn std::fmt::Debug| BodyError::Broken(format!("{detail:?}"));
        let collected = match self {
            Self::Request(body) => Limited::new(body, limit_bytes).collect().await,
            Self::Upstream(response) => {
                let response = http_from_wasi_response(response).map_err(|e| broken(&e))?;
                Limited::new(response.into_body(), limit_bytes).collect().await
            }
        };
        match collected {
            Ok(collected) => Ok(collected.to_bytes().to_vec()),
            Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
            Err(error) => Err(broken(&error)),
        }
    }
}

/// The runtime's request as core's.
pub(crate) fn request(request: Request) -> web::Request<NativeBody> {
    let (parts, body) = request.into_parts();
    web::Request {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body: NativeBody::Request(body),
    }
}

/// Core's response as the runtime's; what the runtime says, if it refuses it.
pub(crate) fn response(response: web::Response<NativeBody>) -> Result<types::Response, String> {
    let body = match response.body {
        web::Body::Native(NativeBody::Upstream(upstream)) => {
            return pass_through(upstream, response.status, &response.headers);
        }
        web::Body::Bytes(bytes) => Bytes::from(bytes.into_owned()),
        // Core never answers with a request's body.
        web::Body::Empty | web::Body::Native(NativeBody::Request(_)) => Bytes::new(),
    };
    let mut whole = http::Response::new(FullBody::new(body));
    *whole.status_mut() = response.status;
    *whole.headers_mut() = response.headers;
    whole.into_response().map_err(|error| format!("{error:?}"))
}

/// The host recognises its own stream in the new response and moves the bytes itself; the guest's task ends here.
fn pass_through(upstream: types::Response, status: StatusCode, headers: &HeaderMap) -> Result<types::Response, String> {
    let list: Vec<(String, Vec<u8>)> =
        headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    let fields = types::Fields::from_list(&list).map_err(|error| format!("{error:?}"))?;
    let (_result, result) = wit_future::new(|| Ok(()));
    let (body, trailers) = types::Response::consume_body(upstream, result);
    let (response, _sent) = types::Response::new(fields, Some(body), trailers);
    response.set_status_code(status.as_u16()).map_err(|()| format!("no status: {status}"))?;
    Ok(response)
}

/// An answer that says nothing: for a host that refuses even what [`response`] cannot fail with.
pub(crate) fn nothing(status: StatusCode) -> types::Response {
    let (_result, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = types::Response::new(types::Fields::new(), None, trailers);
    // Refuses only what is no status.
    let _ = response.set_status_code(status.as_u16());
    response
}

/// How long an upstream may be silent within a body, in nanoseconds: four of the bridge's keep-alives.
const BETWEEN_BYTES_NS: u64 = 60_000_000_000;

/// Core's outgoing request as the runtime's.
pub(crate) fn outgoing(request: Outgoing<NativeBody>) -> Result<http::Request<FullBody<Bytes>>, &'static str> {
    let body = match request.body {
        web::Body::Empty => Bytes::new(),
        web::Body::Bytes(bytes) => Bytes::from(bytes.into_owned()),
        web::Body::Native(_) => return Err("a body that is not in memory cannot be sent"),
    };
    let mut out = http::Request::new(FullBody::new(body));
    *out.method_mut() = request.method;
    *out.uri_mut() = request.url.as_str().parse().map_err(|_| "not a URI")?;
    *out.headers_mut() = request.headers;
    let options = types::RequestOptions::new();
    let timeout_ns = u64::try_from(request.timeout.as_nanos()).unwrap_or(u64::MAX);
    // A host that does not support a timeout says so here; the deadline around the call holds all the same.
    let _ = options.set_connect_timeout(Some(timeout_ns));
    let _ = options.set_first_byte_timeout(Some(timeout_ns));
    let _ = options.set_between_bytes_timeout(Some(BETWEEN_BYTES_NS));
    out.extensions_mut().insert(RequestOptionsExtension(options));
    Ok(out)
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
