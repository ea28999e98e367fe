//! Accepts HTTP connections and passes requests to the guest as Spin's HTTP trigger does.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header, uri};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::net::{TcpListener, TcpStream};
use wasmtime_wasi_http::{Error, WasiBody, handler::ProxyHandler};

use crate::{route::Routes, worker::Workers};

/// Paths that Spin answers itself.
const RESERVED: &str = "/.well-known/spin/";

/// A served application.
pub(crate) struct Server {
    /// The component's routes.
    pub(crate) routes: Routes,
    /// The component's instances.
    pub(crate) handler: ProxyHandler<Workers>,
}

impl Server {
    /// Accepts connections for as long as the listener lives.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, client)) => {
                    tokio::spawn(Arc::clone(&self).connection(stream, client));
                }
                // Most likely there are no file descriptors left. Wait until some are closed.
                Err(error) => {
                    eprintln!("spin-host: cannot accept a connection: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, client: SocketAddr) {
        // Events are small writes, and their readers wait for them.
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request| {
            let server = Arc::clone(&self);
            async move { Ok::<_, Infallible>(server.respond(request, client).await) }
        });
        // A client may disconnect at any time.
        let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
    }

    async fn respond(&self, request: Request<Incoming>, client: SocketAddr) -> Response<WasiBody> {
        let path = request.uri().path();
        if let Some(reserved) = path.strip_prefix(RESERVED) {
            return match reserved {
                "health" => Response::new(Full::from("OK").map_err(Error::from).boxed_unsync()),
                _ => empty(StatusCode::NOT_FOUND),
            };
        }
        let Some(route) = self.routes.matching(path) else {
            return empty(StatusCode::NOT_FOUND);
        };
        let route = route.headers(path);
        let mut request = request.map(|body| body.map_err(Error::from).boxed_unsync());
        if let Err(error) = prepare(&mut request, route, client) {
            eprintln!("spin-host: refused a request: {error}");
            return empty(StatusCode::INTERNAL_SERVER_ERROR);
        }
        match self.handler.handle((), request).await {
            Ok(response) => response,
            Err(error) => {
                eprintln!("spin-host: a request failed: {error:?}");
                empty(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

fn empty(status: StatusCode) -> Response<WasiBody> {
    let mut response = Response::new(Empty::new().map_err(Error::from).boxed_unsync());
    *response.status_mut() = status;
    response
}

/// Makes the URI absolute and adds Spin's headers about the request's origin and route.
///
/// They are appended. If the client sent a header of the same name, its value remains and comes first.
fn prepare(
    request: &mut Request<WasiBody>,
    route: [(&'static str, String); 4],
    client: SocketAddr,
) -> Result<(), http::Error> {
    let host = request.headers().get(header::HOST).map(|host| uri::Authority::try_from(host.as_bytes())).transpose()?;
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(uri::Scheme::HTTP);
    parts.authority = parts.authority.or(host);
    let uri = Uri::from_parts(parts)?;
    let full_url = uri.to_string();
    *request.uri_mut() = uri;
    let own =
        [("spin-full-url", full_url), ("spin-base-path", "/".to_owned()), ("spin-client-addr", client.to_string())];
    for (name, value) in own.into_iter().chain(route) {
        request.headers_mut().append(HeaderName::from_static(name), HeaderValue::try_from(value)?);
    }
    Ok(())
}
