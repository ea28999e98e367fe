//! Writes batches on rskafka's protocol, but not with its client, which drops the answer to a throttled produce unread and
//! sends the batch again: what was written is then written twice, and as often as Kafka throttles.
//!
//! - [`connection`]: connects to a broker, and finds the leader of a partition.
//! - [`producer_id`]: the request for a producer id.
//! - [`request`]: the batch as a request, and what its answer says.
//!
//! A partition has a connection of its own, so that it waits for no other. Batches have a producer id and a sequence
//! number, by which the broker recognises a batch that it has already. So one is sent again when its answer was lost, and
//! is still written once. The id is given up with any batch whose outcome stays unknown.

mod connection;
mod producer_id;
mod request;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rskafka::protocol::error::Error as ErrorCode;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use self::{
    connection::{Connection, Connector},
    producer_id::ProducerId,
    request::{Answer, Batch},
};
use super::{ClientError, KafkaError, KafkaSettings, NewRecord, rskafka_error::translate_code};
use crate::backoff::Backoff;

/// The part of the time limit after which a failed call is not repeated, but its failure reported.
const RETRY_SHARE: f64 = 0.4;

/// At most one batch of a partition is under way.
type PartitionCell = Arc<tokio::sync::Mutex<Partition>>;

/// Writes to Kafka.
pub(super) struct Producer {
    connector: Connector,
    timeout: Duration,
    partitions: Mutex<HashMap<(String, i32), PartitionCell>>,
}

/// What is kept between the batches of a partition.
#[derive(Default)]
struct Partition {
    /// Taken while a batch is under way: who drops the call drops them, too.
    session: Option<Session>,
    /// No batch is sent before.
    throttled_until: Option<Instant>,
}

/// A connection to a partition's leader, and the id that batches on it have.
struct Session {
    connection: Connection,
    id: ProducerId,
}

/// Why an attempt failed.
enum Failure {
    /// Nothing was written. The leader may be another one now.
    NotWritten(KafkaError),
    /// The batch may have been written.
    Unknown(KafkaError),
    /// Kafka forgot the producer id, so it wrote nothing.
    UnknownId(KafkaError),
    /// Nothing was written, and the same batch would fail again.
    Final(KafkaError),
}

impl Producer {
    pub(super) fn new(settings: &KafkaSettings, timeout: Duration) -> Result<Self, ClientError> {
        Ok(Self { connector: Connector::new(settings)?, timeout, partitions: Mutex::default() })
    }

    /// Writes records with `acks=all` and returns the offset of the first.
    pub(super) async fn produce(
        &self,
        topic: &str,
        partition: i32,
        records: Vec<NewRecord>,
    ) -> Result<i64, KafkaError> {
        let state = self.partition(topic, partition);
        // The time limit is this batch's own. Each batch before it has one, too, so this wait ends.
        let mut state = state.lock().await;
        let started = Instant::now();
        let deadline = started + self.timeout;
        let write = async {
            if let Some(until) = state.throttled_until.filter(|until| *until > Instant::now()) {
                if until >= deadline {
                    return Err(KafkaError::Unavailable("kafka throttles writing".to_owned()));
                }
                sleep_until(until).await;
            }
            let batch = Batch::new(topic, partition, records, self.timeout);
            self.write(&mut state, &batch, started + self.timeout.mul_f64(RETRY_SHARE)).await
        };
        timeout_at(deadline, write).await.unwrap_or(Err(KafkaError::Timeout(self.timeout.as_millis())))
    }

    fn partition(&self, topic: &str, partition: i32) -> PartitionCell {
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(partitions.entry((topic.to_owned(), partition)).or_default())
    }

    async fn write(&self, state: &mut Partition, batch: &Batch, give_up: Instant) -> Result<i64, KafkaError> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        let Session { connection, mut id } = match state.session.take() {
            Some(session) => session,
            None => self.open(batch, None, &mut backoff, give_up).await?,
        };
        let mut connection = Some(connection);
        // Whether an attempt may have written the batch under this id.
        let mut is_doubtful = false;
        loop {
            let current = match connection.take() {
                Some(current) => current,
                None => self.open(batch, Some(id), &mut backoff, give_up).await?.connection,
            };
            let answer = request::send(&current, batch, id).await;
            if let Some(throttle) = answer.as_ref().ok().and_then(|answer| answer.throttle) {
                tracing::warn!(
                    topic = batch.topic(),
                    partition = batch.partition(),
                    ?throttle,
                    "kafka throttles writing"
                );
                state.throttled_until = Some(Instant::now() + throttle);
            }
            let failure = match answer.map(|Answer { result, .. }| result) {
                Ok(Ok(offset)) => {
                    id.advance(batch.len());
                    state.session = Some(Session { connection: current, id });
                    return Ok(offset);
                }
                Ok(Err(code)) => failure(batch.topic(), code),
                Err(error) => Failure::Unknown(error),
            };
            let error = match failure {
                Failure::Final(error) => {
                    if !is_doubtful {
                        state.session = Some(Session { connection: current, id });
                    }
                    return Err(error);
                }
                Failure::UnknownId(error) => {
                    if is_doubtful {
                        return Err(error);
                    }
                    id = producer_id::request(&current).await?;
                    connection = Some(current);
                    error
                }
                Failure::Unknown(error) => {
                    is_doubtful = true;
                    error
                }
                Failure::NotWritten(error) => error,
            };
            pause(error, &mut backoff, give_up).await?;
        }
    }

    /// Connects to the leader, over and over until it must give up. Nothing is written by that.
    async fn open(
        &self,
        batch: &Batch,
        id: Option<ProducerId>,
        backoff: &mut Backoff,
        give_up: Instant,
    ) -> Result<Session, KafkaError> {
        loop {
            let opened = async {
                let connection = self.connector.leader(batch.topic(), batch.partition()).await?;
                let id = match id {
                    Some(id) => id,
                    None => producer_id::request(&connection).await?,
                };
                Ok(Session { connection, id })
            };
            match opened.await {
                Ok(session) => return Ok(session),
                Err(error @ KafkaError::Unavailable(_)) => pause(error, backoff, give_up).await?,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Waits before the next attempt, or reports the failure of the last if there is none.
async fn pause(error: KafkaError, backoff: &mut Backoff, give_up: Instant) -> Result<(), KafkaError> {
    let wait = backoff.next_wait();
    if Instant::now() + wait >= give_up {
        return Err(error);
    }
    sleep(wait).await;
    Ok(())
}

fn failure(topic: &str, code: ErrorCode) -> Failure {
    let error = translate_code(topic, code, None);
    match code {
        ErrorCode::LeaderNotAvailable | ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch => {
            Failure::NotWritten(error)
        }
        // The leader has the batch, but not all others do.
        ErrorCode::RequestTimedOut
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::NetworkException
        | ErrorCode::KafkaStorageError
        | ErrorCode::DuplicateSequenceNumber
        | ErrorCode::UnknownServerError => Failure::Unknown(error),
        ErrorCode::OutOfOrderSequenceNumber
        | ErrorCode::UnknownProducerId
        | ErrorCode::InvalidProducerEpoch
        | ErrorCode::InvalidProducerIdMapping => Failure::UnknownId(error),
        _ => Failure::Final(error),
    }
}
