//! Outbound HTTP: sends the requests of `wasi:http/client` through one client with pooled connections.
//!
//! Redirects are not followed. Requests to hosts that the manifest does not allow are refused.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::Sleep;
use tower_service::Service;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::guest::App;

/// Spin's time limit for each phase where the guest sets none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

tokio::task_local! {
    /// The guest's time limit for opening a connection, for the current request.
    static CONNECT_TIMEOUT: Duration;
}

/// The client that all guests share.
pub(crate) type OutboundClient = Client<TimedConnector, WasiBody>;

/// Creates the client, with the system's certificate authorities.
pub(crate) fn client() -> anyhow::Result<OutboundClient> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    let connector =
        HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().wrap_connector(http);
    Ok(Client::builder(TokioExecutor::new()).build(TimedConnector(connector)))
}

/// Opens connections within [`CONNECT_TIMEOUT`].
#[derive(Clone)]
pub(crate) struct TimedConnector(HttpsConnector<HttpConnector>);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for TimedConnector {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let limit = CONNECT_TIMEOUT.try_with(Clone::clone).unwrap_or(DEFAULT_TIMEOUT);
        let connecting = self.0.call(uri);
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
            }
        })
    }
}

/// The hooks of one instance.
pub(crate) struct Outbound(pub(crate) Arc<App>);

type Transmission = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _response_consumed: Transmission,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Transmission), Error>> + Send> {
        let app = Arc::clone(&self.0);
        Box::new(async move {
            if !app.allowed.allows(request.uri(), "https") {
                let authority = request.uri().authority().map_or("", |authority| authority.as_str());
                eprintln!("spin-host: {authority} is not in allowed_outbound_hosts");
                return Err(Error::HttpRequestDenied);
            }
            let response = send(&app.client, request, options.unwrap_or_default()).await?;
            // The pool drives the connection, so nothing is left to wait for.
            Ok((response, Box::new(async { Ok(()) }) as Transmission))
        })
    }
}

async fn send(
    client: &OutboundClient,
    request: Request<WasiBody>,
    options: RequestOptions,
) -> Result<Response<WasiBody>, Error> {
    let connect = options.connect_timeout.unwrap_or(DEFAULT_TIMEOUT);
    let first_byte = options.first_byte_timeout.unwrap_or(DEFAULT_TIMEOUT);
    let between_bytes = options.between_bytes_timeout.unwrap_or(DEFAULT_TIMEOUT);
    let responding = CONNECT_TIMEOUT.scope(connect, client.request(request));
    let response = tokio::time::timeout(connect.saturating_add(first_byte), responding)
        .await
        .map_err(|_| Error::ConnectionReadTimeout)?
        .map_err(error)?;
    Ok(response.map(|body| TimedBody { body, limit: between_bytes, waiting: None }.boxed_unsync()))
}

/// The error code for the guest.
fn error(error: legacy::Error) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<std::io::Error>() {
            match io.kind() {
                std::io::ErrorKind::ConnectionRefused => return Error::ConnectionRefused,
                std::io::ErrorKind::TimedOut => return Error::ConnectionTimeout,
                std::io::ErrorKind::InvalidData => return Error::TlsProtocolError,
                _ => {}
            }
        }
        cause = current.source();
    }
    if error.is_connect() { Error::DestinationUnavailable } else { Error::ConnectionTerminated }
}

/// A response body that fails if its server sends nothing for longer than the guest's limit.
struct TimedBody {
    body: Incoming,
    limit: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.waiting = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::from)));
        }
        let limit = this.limit;
        let waiting = this.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
