//! One reader a partition of the inbound topic, from its end at the start on; every message is answered at once and in
//! pieces, and messages of one partition one after the other.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use chrono::Utc;
use rskafka::{client::partition::OffsetAt, record::Record};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    answer::{About, answer, pieces},
    event::{Delta, Message, Said, record},
    kafka::Kafka,
    seen::Seen,
};

/// How many ids are remembered.
const SEEN: usize = 10_000;

/// Most answers being given at a time.
const ANSWERS: usize = 64;

/// Wait between tries while Kafka is away.
const RETRY: Duration = Duration::from_secs(1);

/// How often the number of partitions is looked at.
const REFRESH: Duration = Duration::from_secs(20);

/// The assistant.
pub(crate) struct Assistant {
    kafka: Arc<Kafka>,
    inbound: String,
    outbound: String,
    seen: Mutex<Seen>,
    answering: Arc<Semaphore>,
    outbound_partitions: AtomicI32,
}

impl Assistant {
    /// Listens on `inbound`, answers on `outbound`.
    pub(crate) fn new(kafka: Arc<Kafka>, inbound: String, outbound: String) -> Arc<Self> {
        Arc::new(Self {
            kafka,
            inbound,
            outbound,
            seen: Mutex::new(Seen::new(SEEN)),
            answering: Arc::new(Semaphore::new(ANSWERS)),
            outbound_partitions: AtomicI32::new(1),
        })
    }

    /// Listens for ever.
    pub(crate) async fn run(self: Arc<Self>) -> anyhow::Result<()> {
        let starts = loop {
            match self.starts().await {
                Ok(starts) => break starts,
                Err(error) => tracing::warn!(error = format!("{error:#}"), "not ready, trying again"),
            }
            tokio::time::sleep(RETRY).await;
        };
        let mut count = i32::try_from(starts.len())?;
        let mut readers = JoinSet::new();
        for (partition, start) in (0..).zip(starts.iter().copied()) {
            readers.spawn(Arc::clone(&self).listen(partition, start));
        }
        tracing::info!(inbound = self.inbound, outbound = self.outbound, offsets = ?starts, "ready");
        loop {
            tokio::time::sleep(REFRESH).await;
            match self.kafka.partitions(&self.inbound).await {
                Ok(now) if now > count => {
                    tracing::info!(before = count, now, "the inbound topic has more partitions");
                    // What is in a new partition was said after the program began.
                    (count..now).for_each(|partition| drop(readers.spawn(Arc::clone(&self).listen(partition, 0))));
                    count = now;
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(error = format!("{error:#}"), "partitions can't be counted"),
            }
        }
    }

    async fn starts(&self) -> anyhow::Result<Vec<i64>> {
        self.outbound_partitions.store(self.kafka.partitions(&self.outbound).await?, Ordering::Relaxed);
        let mut starts = Vec::new();
        for partition in 0..self.kafka.partitions(&self.inbound).await? {
            starts.push(self.kafka.offset(&self.inbound, partition, OffsetAt::Latest).await?);
        }
        Ok(starts)
    }

    async fn listen(self: Arc<Self>, partition: i32, mut next: i64) {
        loop {
            match self.kafka.fetch(&self.inbound, partition, next).await {
                Ok(Some(records)) => {
                    for found in records {
                        next = found.offset + 1;
                        if let Some(said) = Said::read(&found, partition) {
                            self.hear(said).await;
                        }
                    }
                    continue;
                }
                Ok(None) => match self.kafka.offset(&self.inbound, partition, OffsetAt::Earliest).await {
                    Ok(earliest) => {
                        tracing::warn!(
                            partition,
                            next,
                            earliest,
                            "the partition has no such offset, going on from its first"
                        );
                        next = earliest;
                        continue;
                    }
                    Err(error) => tracing::warn!(partition, error = format!("{error:#}"), "not fetched, trying again"),
                },
                Err(error) => {
                    tracing::warn!(partition, next, error = format!("{error:#}"), "not fetched, trying again")
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Answers apart from the reader, so that one person's long answer does not keep others waiting.
    async fn hear(self: &Arc<Self>, said: Said) {
        // The id is the sender's; another sender's equal one is another event.
        let identity = format!("{} {}", said.subject, said.id);
        if !self.seen.lock().unwrap_or_else(PoisonError::into_inner).is_new(&identity) {
            tracing::info!(id = said.id, "answered already");
            return;
        }
        let Ok(turn) = Arc::clone(&self.answering).acquire_owned().await else { return };
        let assistant = Arc::clone(self);
        tokio::spawn(async move {
            let _turn = turn;
            if let Err(error) = assistant.reply(&said).await {
                tracing::error!(id = said.id, error = format!("{error:#}"), "not answered");
            }
        });
    }

    async fn reply(&self, said: &Said) -> anyhow::Result<()> {
        // What the person said comes first, under its own id: other tabs and devices learn of it so.
        let echo = Message { id: &said.id, role: "user", text: &said.text };
        self.send(said, record(said, &format!("{}.echo", said.id), "message", &echo, Utc::now())?).await?;

        let about = About {
            subject: &said.subject,
            topic: &self.inbound,
            partition: said.partition,
            offset: said.offset,
            trace: said.trace(),
            now: Utc::now(),
        };
        let text = answer(&said.text, &about);
        let id = format!("{}.answer", said.id);
        for (seq, piece) in pieces(&text).into_iter().enumerate() {
            tokio::time::sleep(pause(seq)).await;
            let delta = Delta { id: &id, seq, text: piece };
            self.send(said, record(said, &format!("{id}.{seq}"), "delta", &delta, Utc::now())?).await?;
        }
        // The whole ends the pieces, so who comes late needs only this.
        let whole = Message { id: &id, role: "assistant", text: &text };
        self.send(said, record(said, &id, "message", &whole, Utc::now())?).await?;
        tracing::info!(
            id = said.id,
            subject = said.subject,
            partition = said.partition,
            offset = said.offset,
            "answered"
        );
        Ok(())
    }

    /// Writes to the partition with the number of the one it was said in, so that all of a person's records are in one
    /// and keep their order, without a hash of the key here. Tries again if need be; a repeat has the same `ce_id`.
    async fn send(&self, said: &Said, record: Record) -> anyhow::Result<()> {
        const TRIES: u32 = 30;
        let mut tries = 0;
        loop {
            let partition = said.partition % self.outbound_partitions.load(Ordering::Relaxed).max(1);
            match self.kafka.produce(&self.outbound, partition, vec![record.clone()]).await {
                Ok(()) => return Ok(()),
                Err(error) if tries >= TRIES => return Err(error),
                Err(error) => tracing::warn!(error = format!("{error:#}"), "not written, trying again"),
            }
            tries += 1;
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// 60 to 120 ms, as somebody would type who types very fast; the same each time.
fn pause(seq: usize) -> Duration {
    Duration::from_millis(60 + (seq as u64 * 23) % 61)
}
