//! A stand-in Kafka broker for machines without Java, on 127.0.0.1 only: librdkafka's mock cluster.
//!
//! `causeway-embedded-broker [--port PORT] [TOPIC:PARTITIONS …]` prints one line, `bootstrap 127.0.0.1:PORT`, once it
//! accepts connections, and ends on SIGTERM or SIGINT.
//!
//! The mock cluster chooses its own port. `--port` opens a second one that forwards to it: clients bootstrap there, and
//! then learn and use the cluster's own port.
//!
//! Unlike a real broker:
//! - records are kept in memory, a few MiB per partition, and are lost when the process ends;
//! - topics cannot be created over the protocol. They are named as arguments; a producer that asks for another one gets it,
//!   with 4 partitions;
//! - there is no deletion, retention by time, compaction, quota, access control, TLS or SASL, and only one broker;
//! - aborted transactions stay readable.

use std::{net::SocketAddr, process::ExitCode};

use anyhow::{Context as _, bail};
use rdkafka::mocking::MockCluster;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
};

/// The command line's arguments.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments {
    port: Option<u16>,
    topics: Vec<(String, i32)>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("embedded-broker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let arguments = parse(std::env::args().skip(1))?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let cluster = MockCluster::new(1).context("the mock cluster does not start")?;
    for (topic, partitions) in &arguments.topics {
        cluster.create_topic(topic, *partitions, 1).with_context(|| format!("topic {topic} can't be created"))?;
    }
    let inner: SocketAddr = cluster.bootstrap_servers().parse().context("the mock cluster's address")?;
    let Some(port) = arguments.port else {
        announce(inner);
        tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
        return Ok(());
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await.with_context(|| format!("port {port}"))?;
    announce(listener.local_addr()?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        failed = forward(listener, inner) => failed?,
    }
    Ok(())
}

async fn forward(listener: TcpListener, inner: SocketAddr) -> anyhow::Result<()> {
    loop {
        let (mut outside, _) = listener.accept().await?;
        tokio::spawn(async move {
            // The client notices a broken connection by itself.
            if let Ok(mut inside) = TcpStream::connect(inner).await {
                let _ = copy_bidirectional(&mut outside, &mut inside).await;
            }
        });
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> anyhow::Result<Arguments> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        if word == "--port" {
            let port = words.next().and_then(|port| port.parse().ok());
            arguments.port = Some(port.context("--port needs a number from 0 to 65535")?);
        } else if let Some((topic, partitions)) = word.split_once(':').filter(|(topic, _)| !topic.is_empty()) {
            let partitions: i32 = partitions.parse().with_context(|| format!("{word} is not TOPIC:PARTITIONS"))?;
            if !(1..=1000).contains(&partitions) {
                bail!("{word}: a topic has from 1 to 1000 partitions");
            }
            arguments.topics.push((topic.to_owned(), partitions));
        } else {
            bail!("{word} is unknown. Usage: causeway-embedded-broker [--port PORT] [TOPIC:PARTITIONS …]");
        }
    }
    Ok(arguments)
}

// Scripts wait for this line on standard output.
#[allow(clippy::print_stdout)]
fn announce(address: SocketAddr) {
    println!("bootstrap {address}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> impl Iterator<Item = String> {
        text.split_whitespace().map(str::to_owned)
    }

    #[test]
    fn reads_port_and_topics() {
        let arguments = parse(words("--port 9092 chat.inbound:4 chat.outbound:1")).unwrap();
        let topics = vec![("chat.inbound".to_owned(), 4), ("chat.outbound".to_owned(), 1)];
        assert_eq!(arguments, Arguments { port: Some(9092), topics });
    }

    #[test]
    fn rejects_invalid_arguments() {
        for bad in ["--port", "--port x", "chat.inbound", "a:0", ":4", "--help"] {
            assert!(parse(words(bad)).is_err(), "{bad}");
        }
    }
}
