//! Accepts connections and serves a router on them, each bounded in the time it may take to ask for something.
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
use tokio_util::sync::CancellationToken;

/// Longest a request's headers may take, and a connection may idle between requests; shorter than a drain.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait when no connection can be accepted; usually there are too many already.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Serves until stopped, then lets what was asked be answered, and returns.
pub async fn serve(listener: TcpListener, router: Router, header_timeout: Duration, stop: CancellationToken) {
    let connections = GracefulShutdown::new();
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(header_timeout);
    while let Some(accepted) = stop.run_until_cancelled(accept(&listener)).await {
        let service = TowerToHyperService::new(router.clone());
        let connection = connections.watch(builder.serve_connection(TokioIo::new(accepted), service));
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
