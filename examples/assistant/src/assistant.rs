//! Reads each partition of the inbound topic from its end at the start of the program, and answers every message at
//! once and in pieces.

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
    answer::{MessageContext, answer, pieces},
    event::{Content, Deletion, Delta, Message, UserMessage, record},
    kafka::Kafka,
    recent_ids::RecentIds,
};

/// How many ids of answered messages are remembered.
const RECENT_IDS: usize = 10_000;

/// The maximum number of answers in progress at a time.
const CONCURRENT_ANSWERS: usize = 64;

/// Wait between retries.
const RETRY: Duration = Duration::from_secs(1);

/// How often the number of partitions is checked.
const REFRESH: Duration = Duration::from_secs(20);

/// The assistant.
pub(crate) struct Assistant {
    kafka: Arc<Kafka>,
    inbound: String,
    outbound: String,
    recent_ids: Mutex<RecentIds>,
    answer_permits: Arc<Semaphore>,
    outbound_partitions: AtomicI32,
}

impl Assistant {
    /// Reads from `inbound` and answers on `outbound`.
    pub(crate) fn new(kafka: Arc<Kafka>, inbound: String, outbound: String) -> Arc<Self> {
        Arc::new(Self {
            kafka,
            inbound,
            outbound,
            recent_ids: Mutex::new(RecentIds::new(RECENT_IDS)),
            answer_permits: Arc::new(Semaphore::new(CONCURRENT_ANSWERS)),
            outbound_partitions: AtomicI32::new(1),
        })
    }

    /// Runs until the program is stopped.
    pub(crate) async fn run(self: Arc<Self>) -> anyhow::Result<()> {
        let starts = loop {
            match self.start_offsets().await {
                Ok(starts) => break starts,
                Err(error) => tracing::warn!(error = format!("{error:#}"), "not ready, trying again"),
            }
            tokio::time::sleep(RETRY).await;
        };
        let mut count = i32::try_from(starts.len())?;
        let mut readers = JoinSet::new();
        for (partition, start) in (0..).zip(starts.iter().copied()) {
            readers.spawn(Arc::clone(&self).read_partition(partition, start));
        }
        tracing::info!(inbound = self.inbound, outbound = self.outbound, offsets = ?starts, "ready");
        loop {
            tokio::time::sleep(REFRESH).await;
            match self.kafka.partitions(&self.inbound).await {
                Ok(now) if now > count => {
                    tracing::info!(before = count, now, "the inbound topic has more partitions");
                    // All records of a new partition were written after the program started.
                    for partition in count..now {
                        readers.spawn(Arc::clone(&self).read_partition(partition, 0));
                    }
                    count = now;
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(error = format!("{error:#}"), "the number of partitions can't be read"),
            }
        }
    }

    async fn start_offsets(&self) -> anyhow::Result<Vec<i64>> {
        self.outbound_partitions.store(self.kafka.partitions(&self.outbound).await?, Ordering::Relaxed);
        let mut starts = Vec::new();
        for partition in 0..self.kafka.partitions(&self.inbound).await? {
            starts.push(self.kafka.offset(&self.inbound, partition, OffsetAt::Latest).await?);
        }
        Ok(starts)
    }

    async fn read_partition(self: Arc<Self>, partition: i32, mut next: i64) {
        loop {
            match self.kafka.fetch(&self.inbound, partition, next).await {
                Ok(Some(records)) => {
                    for found in records {
                        next = found.offset + 1;
                        if let Some(message) = UserMessage::read(&found, partition) {
                            self.spawn_answer(message).await;
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
                            "the partition does not hold the offset, continuing at its earliest"
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

    /// Answers in a task of its own, so that a long answer does not keep other users waiting.
    async fn spawn_answer(self: &Arc<Self>, message: UserMessage) {
        // The sender chooses the id. An equal id of another sender is another event.
        let identity = format!("{} {}", message.subject, message.id);
        if !self.recent_ids.lock().unwrap_or_else(PoisonError::into_inner).is_new(&identity) {
            tracing::info!(id = message.id, "answered already");
            return;
        }
        let Ok(permit) = Arc::clone(&self.answer_permits).acquire_owned().await else { return };
        let assistant = Arc::clone(self);
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(error) = assistant.reply(&message).await {
                tracing::error!(id = message.id, error = format!("{error:#}"), "not answered");
            }
        });
    }

    async fn reply(&self, message: &UserMessage) -> anyhow::Result<()> {
        let text = match &message.content {
            Content::Text(text) => text,
            Content::Deletion(id) => return self.delete(message, id).await,
        };
        // The bridge has written the user's own message to the outbound topic. Only the answer is left.
        let context = MessageContext {
            subject: &message.subject,
            topic: &self.inbound,
            partition: message.partition,
            offset: message.offset,
            trace: message.trace(),
            now: Utc::now(),
        };
        let text = answer(text, &context);
        let id = format!("{}.answer", message.id);
        for (seq, piece) in pieces(&text).into_iter().enumerate() {
            tokio::time::sleep(pause(seq)).await;
            let delta = Delta { id: &id, seq, text: piece };
            self.send(message, record(message, &format!("{id}.{seq}"), "delta", &delta, Utc::now())?).await?;
        }
        // The whole message completes the pieces. A client that joins later needs only this record.
        let whole = Message { id: &id, role: "assistant", text: &text };
        self.send(message, record(message, &id, "message", &whole, Utc::now())?).await?;
        tracing::info!(
            id = message.id,
            subject = message.subject,
            partition = message.partition,
            offset = message.offset,
            "answered"
        );
        Ok(())
    }

    /// Takes a message off the user's pages. A backend that keeps messages deletes it there first, if it is one of this
    /// user.
    async fn delete(&self, asked: &UserMessage, id: &str) -> anyhow::Result<()> {
        let deletion = Deletion { id: id.into() };
        self.send(asked, record(asked, &format!("{}.deletion", asked.id), "delete", &deletion, Utc::now())?).await?;
        tracing::info!(id = asked.id, subject = asked.subject, "deleted");
        Ok(())
    }

    /// Writes to the partition with the number of the inbound one. So all of a user's records are in one partition and
    /// in order, without hashing the key here. Retries after a failure; a repeat has the same `ce_id`.
    async fn send(&self, message: &UserMessage, record: Record) -> anyhow::Result<()> {
        const TRIES: u32 = 30;
        let mut tries = 0;
        loop {
            let partition = message.partition % self.outbound_partitions.load(Ordering::Relaxed).max(1);
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

/// From 60 to 120 ms, like a very fast typist. The same for each `seq`.
fn pause(seq: usize) -> Duration {
    Duration::from_millis(60 + (seq as u64 * 23) % 61)
}
