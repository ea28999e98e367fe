//! Accepts connections and serves a router on them. Limits how long a client may take to send a request and to read the
//! response.
//!
//! `axum::serve` has no such limit: a connection that never finishes its headers would stay open for ever.

use std::time::Duration;

use axum::Router;
use causeway_protocol::buffer::MAX_STALL;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

/// The longest time for a request's headers, and for a connection to idle between requests. Shorter than the drain.
pub const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest time in which a client may read nothing of what is written to it. The edge's hub has the same limit.
pub const WRITE_TIMEOUT: Duration = MAX_STALL;

/// The maximum number of bytes buffered between a response body and its client; a single chunk may exceed it. A slow
/// reader of a stream costs this much memory and its read position.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// Time limits for clients.
#[derive(Clone, Copy, Debug)]
pub struct ClientTimeouts {
    /// See [`HEADERS_TIMEOUT`].
    pub headers: Duration,
    /// See [`WRITE_TIMEOUT`].
    pub writes: Duration,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        Self { headers: HEADERS_TIMEOUT, writes: WRITE_TIMEOUT }
    }
}

/// The wait after a failure to accept a connection, which usually means that too many are open.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Serves until stopped, then finishes the requests in progress and returns.
pub async fn serve(listener: TcpListener, router: Router, client_timeouts: ClientTimeouts, stop: CancellationToken) {
    let connections = GracefulShutdown::new();
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(client_timeouts.headers).max_buf_size(MAX_BUFFER_BYTES);
    while let Some(accepted) = stop.run_until_cancelled(accept(&listener)).await {
        let service = TowerToHyperService::new(router.clone());
        let mut accepted = TimeoutStream::new(accepted);
        accepted.set_write_timeout(Some(client_timeouts.writes));
        let connection = connections.watch(builder.serve_connection(TokioIo::new(Box::pin(accepted)), service));
        // Spawned as it is: a block around it would hold the memory of two. Its error only says how the client
        // disconnected, so it is not logged.
        drop(tokio::spawn(connection));
    }
    drop(listener);
    connections.shutdown().await;
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((connection, _)) => {
                // Small responses and events must not wait for Nagle's algorithm.
                let _ = connection.set_nodelay(true);
                return connection;
            }
            Err(error) => {
                tracing::error!(%error, "connections can't be accepted, trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
