//! A plain consumer of a whole topic, from its end: what librdkafka needs to receive a record.

use std::{
    io::{self, Read as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};

use crate::{PATIENCE, announce, clock};

/// How often it looks whether it should end.
const POLL: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Part of each record that counts.
    #[arg(long)]
    run: String,
}

pub(crate) fn run(broker: &str, topic: &str, options: &Options) -> anyhow::Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        // It joins no group, but librdkafka asks for one.
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "100")
        .create()?;
    consumer.assign(&ends(&consumer, topic)?)?;

    let ended = Arc::new(AtomicBool::new(false));
    let (ages, received) = mpsc::channel();
    // Printing must not delay the next record.
    let printer = thread::spawn(move || print_ages(&received));
    thread::spawn({
        let ended = Arc::clone(&ended);
        move || {
            let _ = io::stdin().read_to_end(&mut Vec::new());
            ended.store(true, Ordering::Relaxed);
        }
    });
    announce()?;
    while !ended.load(Ordering::Relaxed) {
        let Some(message) = consumer.poll(POLL) else { continue };
        let message = message?;
        let now = clock::nanoseconds();
        if let Some(at) = message.payload().and_then(|value| written_at(value, &options.run)) {
            ages.send(now.saturating_sub(at)).context("standard output is closed")?;
        }
    }
    drop(ages);
    printer.join().map_err(|_| anyhow::anyhow!("printing failed"))??;
    Ok(())
}

/// The ends of the topic's partitions, so that no record is missed that is written from now on.
fn ends(consumer: &BaseConsumer, topic: &str) -> anyhow::Result<TopicPartitionList> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let found = metadata.topics().first().with_context(|| format!("topic {topic} does not exist"))?;
    let mut list = TopicPartitionList::new();
    for partition in found.partitions() {
        let (_, end) = consumer.fetch_watermarks(topic, partition.id(), PATIENCE)?;
        list.add_partition_offset(topic, partition.id(), Offset::Offset(end))?;
    }
    Ok(list)
}

fn written_at(value: &[u8], run: &str) -> Option<i64> {
    let text = str::from_utf8(value).ok()?;
    let (_, rest) = text.contains(run).then(|| text.split_once("\"at\":"))??;
    rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// Prints what has come since it printed last.
#[allow(clippy::cast_precision_loss)]
fn print_ages(received: &mpsc::Receiver<i64>) -> io::Result<()> {
    while let Ok(first) = received.recv() {
        let mut out = io::BufWriter::new(io::stdout().lock());
        for age in std::iter::once(first).chain(received.try_iter()) {
            writeln!(out, "{:.3}", age as f64 / 1e6)?;
        }
        out.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_read_from_records_of_the_run_only() {
        let value = br#"{"text":"x","run":"mine","at":17}"#;
        assert_eq!(written_at(value, "mine"), Some(17));
        assert_eq!(written_at(value, "other"), None);
        assert_eq!(written_at(b"mine, without a time", "mine"), None);
    }
}
