//! Accepts connections and serves a router on them, each bounded in the time it may take to ask for something and to take
//! what it is sent.
//!
//! What `axum::serve` does, with hyper's clock: without one, a connection that never finishes its headers stays for ever.

use std::time::Duration;

use axum::Router;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

/// Longest a request's headers may take, and a connection may idle between requests; shorter than a drain.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest a client may take nothing of what is being written to it; the edge's own hub is as patient with a stream.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Most bytes held for a connection between a body and its client (a chunk may exceed it alone). A slow reader of a
/// stream holds this much and its place.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// See [`HEADER_TIMEOUT`].
    pub headers: Duration,
    /// See [`WRITE_TIMEOUT`].
    pub writes: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { headers: HEADER_TIMEOUT, writes: WRITE_TIMEOUT }
    }
}

/// How long to wait when no connection can be accepted; usually there are too many already.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Serves until stopped, then lets what was asked be answered, and returns.
pub async fn serve(listener: TcpListener, router: Router, patience: Patience, stop: CancellationToken) {
    let connections = GracefulShutdown::new();
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience.headers).max_buf_size(MAX_BUFFER_BYTES);
    while let Some(accepted) = stop.run_until_cancelled(accept(&listener)).await {
        let service = TowerToHyperService::new(router.clone());
        let mut accepted = TimeoutStream::new(accepted);
        accepted.set_write_timeout(Some(patience.writes));
        let connection = connections.watch(builder.serve_connection(TokioIo::new(Box::pin(accepted)), service));
        tokio::spawn(async move {
            // A client's way to go is no matter for the log.
            let _ = connection.await;
        });
    }
    drop(listener);
    connections.shutdown().await;
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((connection, _)) => {
                // Small answers and events go at once.
                let _ = connection.set_nodelay(true);
                return connection;
            }
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
