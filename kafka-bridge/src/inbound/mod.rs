//! Writes each `POST /v1/events` to Kafka, and answers once Kafka has acknowledged it with `acks=all`.
//!
//! - [`record`]: turns an event into Kafka records.
//! - [`attempt`]: one attempt to write an event.
//! - [`window`]: remembers events, so that a repeat is answered without a second write.
//! - [`sharing`]: does so across instances that share a memory.
//! - [`search`]: does so across those that don't, by what is in Kafka.
//! - [`note`]: the notes by which they do it, and the trait of the memory that keeps them.
//! - [`shared_memory`]: that memory, for a limited time and with pauses.
//! - [`publisher`]: tells what was written, many events at once.
//! - [`topic_writer`]: the queues of one topic's partitions.
//! - [`acceptance`]: what a partition has shown that it takes.
//! - [`partition_producer`]: writes the records of one partition in batches.
//! - [`limits`]: the limits of all this.
//!
//! An event becomes one record in its channel's inbound topic, for backends. If the channel has an echo, it becomes a
//! second one in the outbound topic, which all of the user's streams hear. Both are written at once, and the event is
//! answered when both are acknowledged. The echo waits for the inbound record only if that will probably be refused.
//!
//! For ten minutes, a repeated id of a user gets the first response and no second write. A repeat that arrives while
//! the first is in progress waits for its outcome. If only one of the two records was acknowledged, a repeat writes the
//! other. A repeated id with other content is rejected: answering it like a repeat would lose it.
//!
//! If neither record was acknowledged, the id is forgotten, so that a retry writes again. Kafka may have stored the
//! first attempt nevertheless, and a search may fail, so consumers deduplicate by `ce_id`. An event that was
//! answered with 202 is stored in Kafka.

mod acceptance;
mod attempt;
mod limits;
mod note;
mod partition_producer;
mod publisher;
mod record;
mod search;
mod shared_memory;
mod sharing;
mod topic_writer;
mod window;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use causeway_protocol::event::{Accepted, InboundEvent};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};
use tokio_util::task::TaskTracker;

use self::{
    attempt::{Attempt, Place, Target, Targets},
    record::{EchoSigner, Said},
    search::{Obstacle, Search, unreadable},
    sharing::{Claim, Sharing},
    topic_writer::{Shared, TopicWriter},
    window::{Known, Window},
};
pub use self::{
    limits::InboundLimits,
    note::{NoteChange, NoteKey, Replaced, SharedNotes},
};
use crate::{
    config::ChannelSettings, kafka::KafkaIo, metrics::Metrics, outbound::EchoKeys, rejection::Rejection, span::Spans,
    topics::Topics,
};

/// Accepts events, and responds once they are stored in Kafka.
pub struct Inbound {
    topics: Arc<Topics>,
    limits: InboundLimits,
    routes: HashMap<String, Route>,
    window: Arc<Window>,
    others: Others,
}

/// How an instance learns what others have written.
pub enum OtherInstances {
    /// By a memory that they share.
    Notes(Box<dyn SharedNotes>),
    /// By reading Kafka with this client, not the one that writes.
    Kafka(Arc<dyn KafkaIo>),
}

enum Others {
    Sharing(Arc<Sharing>),
    Search(Arc<Search>),
}

/// Where the events of one channel go.
struct Route {
    inbound: Arc<TopicWriter>,
    echo: Option<Arc<TopicWriter>>,
    /// Signs echoes, if the channel delivers only signed records.
    echo_signer: Option<Arc<EchoSigner>>,
    max_record_bytes: usize,
}

/// An accepted event that is not answered yet.
pub struct Pending {
    id: String,
    deadline: Instant,
    known: Known,
}

impl Inbound {
    /// Serves the channels that have an inbound topic. `tasks` are those that a drain waits for.
    #[must_use]
    pub fn new(
        kafka: Arc<dyn KafkaIo>,
        topics: Arc<Topics>,
        (metrics, spans): (Arc<Metrics>, Spans),
        (channels, echo_keys): (&[ChannelSettings], &EchoKeys),
        limits: InboundLimits,
        others: OtherInstances,
        tasks: TaskTracker,
    ) -> Self {
        let shared = Arc::new(Shared {
            kafka,
            topics: Arc::clone(&topics),
            metrics: Arc::clone(&metrics),
            spans,
            limits,
            queues: AtomicUsize::new(0),
        });
        let mut writers: HashMap<&str, Arc<TopicWriter>> = HashMap::new();
        let mut routes = HashMap::new();
        for channel in channels {
            let Some(inbound) = &channel.inbound else { continue };
            let mut writer = |topic| {
                let new = || Arc::new(TopicWriter::new(topic, Arc::clone(&shared)));
                Arc::clone(writers.entry(topic).or_insert_with(new))
            };
            let inbound = writer(inbound);
            let echo = channel.outbound.as_deref().filter(|_| channel.echo).map(writer);
            let echo_signer = channel
                .signature
                .as_ref()
                .filter(|_| channel.echo)
                .map(|_| Arc::new(EchoSigner { channel: channel.name.clone(), keys: echo_keys.clone() }));
            let max_record_bytes = channel.max_record_bytes;
            routes.insert(channel.name.to_string(), Route { inbound, echo, echo_signer, max_record_bytes });
        }
        let others = match others {
            OtherInstances::Notes(notes) => {
                let failures = metrics.inbound.events_unshared.clone();
                Others::Sharing(Arc::new(Sharing::new(notes, limits, failures, tasks)))
            }
            OtherInstances::Kafka(kafka) => Others::Search(Arc::new(Search::new(kafka, limits, Arc::clone(&metrics)))),
        };
        Self { topics, limits, routes, window: Arc::new(Window::new(limits, metrics)), others }
    }

    /// Writes an event unless it was written before, and returns its coordinates.
    ///
    /// # Errors
    /// [`Rejection`], as it is sent to the client.
    pub async fn accept(&self, event: InboundEvent) -> Result<Accepted, Rejection> {
        self.begin(event).await?.outcome().await
    }

    /// Queues an event unless it was written before. From then on, the queues bound what waits.
    ///
    /// # Errors
    /// As [`Inbound::accept`].
    pub async fn begin(&self, event: InboundEvent) -> Result<Pending, Rejection> {
        let arrived = Instant::now();
        let deadline = arrived + self.limits.deadline;
        let route = self.routes.get(&event.channel).ok_or(Rejection::UnknownChannel)?;
        let said = Said::new(event).map_err(|problem| Rejection::Malformed(problem.to_owned()))?;
        if said.size() > route.max_record_bytes {
            return Err(Rejection::TooLarge);
        }
        let id = said.event.id.clone();
        if let Some(known) = self.window.recall(&said) {
            return Ok(Pending { id, deadline, known });
        }
        if self.topics.is_kafka_unreachable() {
            return Err(Rejection::Unavailable("it did not answer at the last check".to_owned()));
        }
        let targets = timeout_at(deadline, route.targets(&said.key)).await;
        let targets = targets.map_err(|_| Rejection::Unavailable("no metadata in time".to_owned()))??;
        // From here on nothing waits until the records are queued. So a client that disconnects leaves nothing half
        // begun, which its repeats would wait for.
        let window = Arc::clone(&self.window);
        let known = self
            .window
            .begin(said, |said, progress| Attempt::new(said, targets, (arrived, deadline), window, progress));
        if let Known::Begun(attempt) = &known {
            self.write(Arc::clone(attempt));
        }
        Ok(Pending { id, deadline, known })
    }

    fn write(&self, attempt: Arc<Attempt>) {
        match &self.others {
            Others::Sharing(sharing) => match sharing.admit() {
                Some(room) => drop(tokio::spawn(write_once(attempt, Arc::clone(sharing), room))),
                None => attempt.reject(Rejection::Busy),
            },
            Others::Search(search) => {
                let ago = attempt.said.event.repeated_after_seconds.map(|seconds| Duration::from_secs(seconds.into()));
                let ago = ago.map(|ago| ago.min(self.limits.remembered_for));
                let Some(ago) = ago else { return attempt.enqueue(attempt.progress()) };
                match search.admit(&attempt) {
                    Ok(room) => drop(tokio::spawn(write_missing(attempt, Arc::clone(search), ago, room))),
                    Err(rejection) => attempt.reject(rejection),
                }
            }
        }
    }
}

/// Writes what Kafka does not have of a repeat.
async fn write_missing(attempt: Arc<Attempt>, search: Arc<Search>, ago: Duration, room: OwnedSemaphorePermit) {
    match search.progress(&attempt, ago).await {
        Ok(progress) => attempt.enqueue(progress),
        Err(Obstacle::Other(other)) => attempt.reject_as(other),
        Err(Obstacle::Later(known)) => attempt.postpone(known, unreadable()),
    }
    drop(room);
}

/// Writes an event unless another instance writes it or has written it.
async fn write_once(attempt: Arc<Attempt>, sharing: Arc<Sharing>, room: OwnedSemaphorePermit) {
    let said = &attempt.said;
    match sharing.claim(said, attempt.progress(), attempt.with_echo(), attempt.deadline).await {
        Claim::Here { known, claimed } => {
            attempt.enqueue(known);
            drop(room);
            // Whoever waits is answered first. A repeat that another instance gets before the note is replaced waits
            // there a moment.
            let _ = attempt.settled().await;
            // A drain waits from here on. It does not wait for a partition that does not answer.
            sharing.publish(said, claimed, attempt.progress());
        }
        // Nothing is missing, so nothing is queued.
        Claim::Written(progress) => attempt.enqueue(progress),
        Claim::Reused => attempt.reject(Rejection::IdReused),
        Claim::Elsewhere => {
            attempt.reject(Rejection::Unavailable("another instance has not written it in time".to_owned()));
        }
    }
}

impl Route {
    async fn targets(&self, key: &str) -> Result<Targets, Rejection> {
        let target = async |topic: &Arc<TopicWriter>| {
            let partition = topic.partition_of(key).await?;
            Ok(Target { topic: Arc::clone(topic), partition })
        };
        let inbound = target(&self.inbound).await?;
        let echo = match &self.echo {
            Some(echo) => Some(target(echo).await?),
            None => None,
        };
        Ok(Targets { inbound, echo, echo_signer: self.echo_signer.clone() })
    }
}

impl Pending {
    /// Waits for Kafka's acknowledgement.
    ///
    /// # Errors
    /// As [`Inbound::accept`].
    pub async fn outcome(self) -> Result<Accepted, Rejection> {
        let Place { partition, offset } = match self.known {
            Known::Stored(place) => place,
            Known::Reused => return Err(Rejection::IdReused),
            Known::Writing(attempt) | Known::Begun(attempt) => timeout_at(self.deadline, attempt.outcome())
                .await
                .map_err(|_| Rejection::Unavailable("no acknowledgement in time".to_owned()))??,
        };
        Ok(Accepted { id: self.id, partition, offset })
    }
}
