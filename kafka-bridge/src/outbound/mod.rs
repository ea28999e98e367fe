//! Delivers Kafka records to the users' buffers, at the edge or in Redis.
//!
//! Of each channel:
//! - [`channel`]: what is delivered, and what is demanded of its records.
//! - [`supervisor`]: keeps this instance's partitions running.
//! - [`survey`]: reads what is known of them, and claims them.
//! - [`plan`]: decides at which offset and in which epoch each starts.
//!
//! Of each partition:
//! - [`partition_reader`]: the task that runs its parts.
//! - [`partition`]: what they share.
//! - [`fetcher`]: reads records.
//! - [`decode`]: decodes a record into an item of a user.
//! - [`tracker`]: the low watermark of what is done.
//! - [`checkpoint_writer`]: stores the watermark.
//! - [`dead_letter_queue`]: writes what can't be delivered.
//! - [`hole`]: reports offsets that nobody receives.
//! - [`parked`]: users who were parked before it was claimed.
//! - [`memory_budget`]: limits the memory of all of them together.
//!
//! Of the whole bridge:
//! - [`delivery`]: connects the partitions, the router and the sender.
//! - [`delivery_report`]: what metrics, traces and the log say of it.
//! - [`router`]: decides what is sent next.
//! - [`limits`]: how much is sent at a time.
//! - [`sender`]: sends it.
//! - [`sink`]: the trait for the edge and Redis; Redis' implementation is [`crate::redis_store::RedisSink`].
//! - [`edge_client`]: the sink that delivers to the edge.
//!
//! Which partitions an instance delivers, [`ownership`] says. If two instances deliver one partition, the one that claimed
//! it last goes on, and each record is still stored once.

mod channel;
mod checkpoint_writer;
mod dead_letter_queue;
mod decode;
mod delivery;
mod delivery_report;
mod edge_client;
mod fetcher;
mod hole;
mod limits;
mod memory_budget;
mod ownership;
mod parked;
mod partition;
mod partition_reader;
mod plan;
mod router;
mod sender;
mod sink;
mod supervisor;
mod survey;
mod tracker;

use std::{sync::Arc, time::Duration};

use causeway_protocol::deliver::Item;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::{
    channel::OutboundChannel,
    decode::{Algorithm, ChannelRules, EchoKeys, RecordKeys, RecordKeysError, SIGNATURE_HEADER},
    edge_client::{EdgeClient, EdgeError},
    ownership::Ownership,
    sink::{Sink, SinkError, UserSlices},
};
use self::{
    delivery::Delivery, memory_budget::MemoryBudget, parked::ParkedUsers, supervisor::Supervisor, survey::Survey,
};
use crate::{
    backoff::Backoff,
    clock::Clock,
    dead_letter::DeadLetters,
    health::Health,
    kafka::{FetchedRecord, KafkaIo},
    metrics::Metrics,
    span::Spans,
    topics::Topics,
};

/// What the parts of one channel share.
struct Shared {
    kafka: Arc<dyn KafkaIo>,
    sink: Arc<dyn Sink>,
    dead_letters: Arc<DeadLetters>,
    metrics: Arc<Metrics>,
    rules: Arc<ChannelRules>,
    parked: ParkedUsers,
}

/// Why the reading of a partition ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// It was stopped.
    Stopped,
    /// The topic or the stored checkpoint changed: all partitions must be planned again.
    Replan,
    /// Another instance reads the partition.
    Stale,
}

/// What is read, and when to look for changes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The partitions of this instance.
    pub ownership: Ownership,
    /// How often topics are checked for new partitions.
    pub refresh: Duration,
    /// The source of epochs.
    pub clock: Clock,
}

/// What delivery depends on.
pub struct Dependencies {
    /// Where records are read.
    pub kafka: Arc<dyn KafkaIo>,
    /// Where dead letters are read. Not on the connections of the records: a topic of dead letters that fails must not
    /// hold up those.
    pub replay_kafka: Arc<dyn KafkaIo>,
    /// Where records are delivered.
    pub sink: Arc<dyn Sink>,
    /// The topics' numbers of partitions.
    pub topics: Arc<Topics>,
    /// Where records go that can't be delivered.
    pub dead_letters: Arc<DeadLetters>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Records spans.
    pub spans: Spans,
    /// Reports faults.
    pub health: Arc<Health>,
}

/// Delivers this instance's partitions of all channels.
pub struct Outbound {
    dependencies: Dependencies,
    channels: Vec<OutboundChannel>,
    settings: Settings,
}

impl Outbound {
    /// Prepares the delivery of channels.
    #[must_use]
    pub fn new(dependencies: Dependencies, channels: Vec<OutboundChannel>, settings: Settings) -> Self {
        Self { dependencies, channels, settings }
    }

    /// Delivers until stopped, then finishes the requests in flight and stores the checkpoints.
    pub async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        loop {
            let mut tasks = self.start(&stop.child_token());
            let ended = tasks.join_next().await;
            if stop.is_cancelled() {
                while tasks.join_next().await.is_some() {}
                return;
            }
            // Items in memory may be missing now. They are read again from the checkpoints.
            tasks.shutdown().await;
            let wait = backoff.next_wait();
            self.dependencies.metrics.ownership.delivery_restarts.inc();
            tracing::error!(?ended, ?wait, "a task of the delivery failed, starting all of them again");
            stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
    }

    /// One sender, and a supervisor for each channel.
    fn start(&self, stop: &CancellationToken) -> JoinSet<Result<(), tokio::task::JoinError>> {
        let Dependencies { kafka, replay_kafka, sink, topics, dead_letters, metrics, spans, health } =
            &self.dependencies;
        let counted = (Arc::clone(metrics), spans.clone());
        let delivery = Arc::new(Delivery::new(Arc::clone(sink), counted, Arc::clone(health)));
        let budget = Arc::new(MemoryBudget::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(sender::run(Arc::clone(&delivery), stop.clone()));
        for OutboundChannel { channel, topic, rules } in &self.channels {
            let shared = Arc::new(Shared {
                kafka: Arc::clone(kafka),
                sink: Arc::clone(sink),
                dead_letters: Arc::clone(dead_letters),
                metrics: Arc::clone(metrics),
                rules: Arc::clone(rules),
                parked: ParkedUsers::new(Arc::clone(replay_kafka), metrics.loss.incomplete_parked_reads.clone()),
            });
            let survey = Survey { shared: Arc::clone(&shared), channel: channel.clone(), topic: topic.clone() };
            let supervisor = Supervisor {
                shared,
                survey,
                delivery: Arc::clone(&delivery),
                budget: Arc::clone(&budget),
                topics: Arc::clone(topics),
                settings: self.settings.clone(),
                stop: stop.clone(),
            };
            tasks.spawn(async move {
                supervisor.run().await;
                Ok(())
            });
        }
        tasks
    }
}

/// The item of a record that is read again, in the very bytes of its delivery. `None` if it can't be delivered.
pub(crate) fn decode_item(
    record: &FetchedRecord,
    channel: &OutboundChannel,
    partition: i32,
    epoch: u32,
) -> Option<Item> {
    let at = decode::Coordinates { channel: &channel.channel, partition, epoch };
    decode::decode(record, &channel.rules, at).ok().map(|addressed| addressed.item)
}
