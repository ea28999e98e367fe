//! Reads the settings, builds the bridge, serves, drains. With `--check` it only reads the settings.

use std::process::ExitCode;

use anyhow::Context as _;
use kafka_bridge::{
    config::{BufferStore, Config},
    file_limit, kafka,
    server::{self, Listeners, Tuning},
    span::Exporter,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

const USAGE: &str = "usage: kafka-bridge [--check]

Settings are environment variables. --check reads them, says whether they are right, and ends.";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.iter().map(|it| it.to_str()).collect::<Vec<_>>().as_slice() {
        [] => serve().await,
        [Some("--check")] => check(),
        [Some("--help" | "-h")] => {
            eprintln!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Says whether the bridge would start. It connects to nothing.
fn check() -> ExitCode {
    let checked = Config::from_env().map_err(anyhow::Error::from).and_then(|config| {
        Exporter::check_env()?;
        Ok(config)
    });
    match checked {
        Ok(config) => {
            eprintln!("channels: {:?}", config.channels);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> ExitCode {
    // The Kafka clients log every connection and retry. The bridge itself logs those that matter.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,rskafka=off,rdkafka=off"));
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).with_writer(std::io::stderr).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the bridge failed");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let config = Config::from_env()?;
    file_limit::raise(config.max_streams);
    if let BufferStore::Edge(url) = &config.buffer_store
        && url.scheme() == "http"
    {
        tracing::info!("BRIDGE_EDGE_URL is not https: deliveries are signed but not encrypted");
    }
    let edge = TcpListener::bind(config.listen).await.with_context(|| format!("BRIDGE_LISTEN {}", config.listen))?;
    let admin = match config.admin_listen {
        Some(at) => Some(TcpListener::bind(at).await.with_context(|| format!("BRIDGE_ADMIN_LISTEN {at}"))?),
        None => None,
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let kafka = kafka::clients(&config.kafka)?;
    let exporter = Exporter::from_env()?;
    let spans = exporter.as_ref().map(Exporter::spans).unwrap_or_default();
    tracing::info!(
        listen = %edge.local_addr()?,
        admin_listen = ?config.admin_listen,
        channels = ?config.channels,
        buffer_store = ?config.buffer_store,
        traces = exporter.is_some(),
        "the bridge is starting"
    );
    let ended = server::run(config, kafka, Listeners { edge, admin }, Tuning::default(), spans, shutdown).await;
    if let Some(exporter) = exporter {
        exporter.shutdown().await;
    }
    Ok(ended?)
}
