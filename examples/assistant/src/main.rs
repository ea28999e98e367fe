//! An example backend. It reads users' messages from one topic, answers on another, and shows what a backend of
//! Causeway has to do. There is no model behind it.
//!
//! - [`assistant`]: reads the inbound topic and writes the answers.
//! - [`answer`]: what the assistant answers.
//! - [`event`]: reads and builds records, as CloudEvents.
//! - [`recent_ids`]: recognizes events that were answered already.
//! - [`kafka`]: the Kafka calls.
//!
//! Its offsets are kept in memory only. After a restart, it answers messages written from then on. A backend that must
//! not miss a message commits its offsets, through a consumer group or in its own store.
//!
//! Environment: `KAFKA_BROKERS` (default `127.0.0.1:9092`), `ASSISTANT_INBOUND_TOPIC` (`chat.inbound`),
//! `ASSISTANT_OUTBOUND_TOPIC` (`chat.outbound`).

mod answer;
mod assistant;
mod event;
mod kafka;
mod recent_ids;

use std::{process::ExitCode, sync::Arc};

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{assistant::Assistant, kafka::Kafka};

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,rskafka=off"));
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).with_writer(std::io::stderr).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the assistant failed");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let brokers =
        setting("KAFKA_BROKERS", "127.0.0.1:9092").split(',').map(|broker| broker.trim().to_owned()).collect();
    let assistant = Assistant::new(
        Arc::new(Kafka::new(brokers)),
        setting("ASSISTANT_INBOUND_TOPIC", "chat.inbound"),
        setting("ASSISTANT_OUTBOUND_TOPIC", "chat.outbound"),
    );
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        result = assistant.run() => result,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

fn setting(key: &str, default: &str) -> String {
    std::env::var(key).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
}
