//! Clients that each write a record and wait until Kafka has it, over and over, through one producer.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, Producer as _},
    util::Timeout,
};
use rskafka::{
    client::{
        ClientBuilder,
        partition::{Compression, PartitionClient, UnknownTopicHandling},
        producer::{BatchProducer, BatchProducerBuilder, aggregator::RecordAggregator},
    },
    record::Record,
};
use tokio::task::JoinSet;

use crate::{PATIENCE, announce, print, write};

/// The bridge's own.
const LINGER: Duration = Duration::from_millis(2);
const BATCH_BYTES: usize = 512 * 1024;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Who writes.
    #[arg(long)]
    library: Library,
    /// How many clients write at a time.
    #[arg(long)]
    clients: usize,
    /// For how many seconds.
    #[arg(long)]
    seconds: f64,
    /// The users that are written for in turn.
    #[arg(long)]
    users: usize,
    /// The value of each record.
    #[arg(long)]
    value: String,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Library {
    /// rskafka, each record in a request of its own.
    Rskafka,
    /// rskafka with its `BatchProducer`.
    RskafkaBatched,
    /// librdkafka without lingering.
    Librdkafka,
}

/// A record on its way.
type Writing<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

/// Writes a user's record, and returns when it is acknowledged.
trait Writer: Send + Sync {
    fn write<'a>(&'a self, user: usize, value: &'a str) -> Writing<'a>;
}

#[tokio::main]
pub(crate) async fn run(broker: &str, topic: &str, options: &Options) -> anyhow::Result<()> {
    ensure!(options.users > 0 && options.clients > 0, "there must be users and clients");
    let writer: Arc<dyn Writer> = match options.library {
        Library::Rskafka => Arc::new(Single(partitions(broker, topic).await?)),
        Library::RskafkaBatched => Arc::new(Batched::new(partitions(broker, topic).await?)),
        Library::Librdkafka => Arc::new(Librdkafka::connect(broker, topic)?),
    };
    announce()?;

    let value: Arc<str> = options.value.as_str().into();
    let turn = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let end = began + Duration::try_from_secs_f64(options.seconds)?;
    let mut clients = JoinSet::new();
    for _ in 0..options.clients {
        let (writer, value, turn, users) = (Arc::clone(&writer), Arc::clone(&value), Arc::clone(&turn), options.users);
        clients.spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < end {
                let started = Instant::now();
                writer.write(turn.fetch_add(1, Ordering::Relaxed) % users, &value).await?;
                times.push(started.elapsed());
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    for done in clients.join_all().await {
        times.extend(done?);
    }
    let seconds = began.elapsed().as_secs_f64();
    times.sort_unstable();
    let milliseconds = |percent| percentile(&times, percent).map(|time| time.as_secs_f64() * 1e3);
    let (p50, p99) = milliseconds(50).zip(milliseconds(99)).context("no record was written")?;
    Ok(print(&format!("{} {seconds:.3} {p50:.3} {p99:.3}", times.len()))?)
}

fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied()
}

/// The clients of a topic's partitions. All share one connection for each broker.
async fn partitions(broker: &str, topic: &str) -> anyhow::Result<Vec<Arc<PartitionClient>>> {
    let client = ClientBuilder::new(vec![broker.to_owned()]).build().await?;
    let topics = client.list_topics().await?;
    let found = topics.into_iter().find(|found| found.name == topic);
    let mut partitions = Vec::new();
    for partition in found.with_context(|| format!("topic {topic} does not exist"))?.partitions {
        partitions.push(Arc::new(client.partition_client(topic, partition, UnknownTopicHandling::Error).await?));
    }
    ensure!(!partitions.is_empty(), "topic {topic} has no partition");
    Ok(partitions)
}

/// A user's records all go to one partition.
fn of_user<T>(partitions: &[T], user: usize) -> anyhow::Result<&T> {
    partitions.get(user % partitions.len()).context("the topic has no partition")
}

fn record(user: usize, value: &str) -> Record {
    let [id, kind, subject] = headers(user).map(|(name, value)| (name.to_owned(), value.into_bytes()));
    Record {
        key: Some(key(user).into_bytes()),
        value: Some(value.as_bytes().to_vec()),
        headers: [id, kind, subject].into(),
        timestamp: chrono::Utc::now(),
    }
}

fn key(user: usize) -> String {
    format!("github:{user}")
}

/// As long as those of an event.
fn headers(user: usize) -> [(&'static str, String); 3] {
    [("ce_id", format!("{user:036}")), ("ce_type", "message".to_owned()), ("ce_subject", key(user))]
}

struct Single(Vec<Arc<PartitionClient>>);

impl Writer for Single {
    fn write<'a>(&'a self, user: usize, value: &'a str) -> Writing<'a> {
        Box::pin(async move {
            of_user(&self.0, user)?.produce(vec![record(user, value)], Compression::NoCompression).await?;
            Ok(())
        })
    }
}

struct Batched(Vec<BatchProducer<RecordAggregator>>);

impl Batched {
    fn new(partitions: Vec<Arc<PartitionClient>>) -> Self {
        let producer = |client| {
            let builder = BatchProducerBuilder::new(client).with_linger(LINGER);
            builder.with_compression(Compression::NoCompression).build(RecordAggregator::new(BATCH_BYTES))
        };
        Self(partitions.into_iter().map(producer).collect())
    }
}

impl Writer for Batched {
    fn write<'a>(&'a self, user: usize, value: &'a str) -> Writing<'a> {
        Box::pin(async move {
            of_user(&self.0, user)?.produce(record(user, value)).await?;
            Ok(())
        })
    }
}

struct Librdkafka {
    producer: FutureProducer,
    topic: String,
}

impl Librdkafka {
    fn connect(broker: &str, topic: &str) -> anyhow::Result<Self> {
        let producer: FutureProducer = write::config(broker).create()?;
        producer.client().fetch_metadata(Some(topic), PATIENCE)?;
        Ok(Self { producer, topic: topic.to_owned() })
    }
}

impl Writer for Librdkafka {
    fn write<'a>(&'a self, user: usize, value: &'a str) -> Writing<'a> {
        Box::pin(async move {
            let key = key(user);
            let headers = headers(user)
                .iter()
                .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(value.as_str()) }));
            let record = FutureRecord::to(&self.topic).key(&key).payload(value).headers(headers);
            self.producer.send(record, Timeout::After(PATIENCE)).await.map_err(|(error, _)| error)?;
            Ok(())
        })
    }
}
