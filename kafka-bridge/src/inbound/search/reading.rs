//! One reading of a partition, for the records of many events.

use std::{collections::HashMap, time::Duration};

use causeway_protocol::event::ECHO_HEADER;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};

use super::Missing;
use crate::{
    inbound::record::{Destination, fingerprint_of},
    kafka::{FetchedItem, FetchedRecord, KafkaError, KafkaIo},
};

/// The longest time in which a reading finds its beginning, and the longest time that it reads from there.
const MAX_TIME: Duration = Duration::from_secs(2);

/// The maximum number of records in one reading, whoever they are of; a fetch may exceed it.
const MAX_RECORDS: usize = 50_000;

/// The maximum number of bytes in one reading; a fetch may exceed it.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// An event that a reading looks for.
pub(super) struct Wanted {
    pub(super) key: String,
    pub(super) id: String,
    pub(super) destination: Destination,
    /// Records before this time are not of it.
    pub(super) since_ms: u64,
    pub(super) found: oneshot::Sender<Result<Option<Sighting>, Missing>>,
}

/// A record of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    pub(super) offset: i64,
    /// `None` if the record is not one that a bridge writes.
    pub(super) fingerprint: Option<u128>,
}

impl Wanted {
    fn identity(&self) -> (&[u8], &[u8]) {
        (self.key.as_bytes(), self.id.as_bytes())
    }
}

/// Where a reading begins, or `None` if nothing was written since.
pub(super) async fn start(
    kafka: &dyn KafkaIo,
    (topic, partition): (&str, i32),
    wanted: &[Wanted],
) -> Result<Option<i64>, KafkaError> {
    let Some(since_ms) = wanted.iter().map(|one| one.since_ms).min() else { return Ok(None) };
    let since_ms = i64::try_from(since_ms).unwrap_or(i64::MAX);
    timeout(MAX_TIME, kafka.offset_at(topic, partition, since_ms)).await.map_err(|_| too_slow())?
}

/// Reads a partition. Of each event, what was found of it, or `None` if that is unknown, because the reading had to end.
pub(super) async fn read(
    kafka: &dyn KafkaIo,
    (topic, partition): (&str, i32),
    mut at: i64,
    wanted: &[Wanted],
) -> Result<Vec<Option<Option<Sighting>>>, KafkaError> {
    let deadline = Instant::now() + MAX_TIME;
    let mut sightings: Vec<Option<Sighting>> = vec![None; wanted.len()];
    let mut is_complete = true;
    let numbers: HashMap<_, _> = wanted.iter().enumerate().map(|(n, one)| (one.identity(), n)).collect();
    let end = timeout_at(deadline, kafka.watermarks(topic, partition)).await.map_err(|_| too_slow())??.latest;
    let (mut records, mut bytes, mut has_advanced) = (0, 0_usize, false);
    // An empty fetch says nothing: the client may have just begun with the partition.
    while at < end && sightings.iter().any(Option::is_none) {
        let fetched = timeout_at(deadline, kafka.fetch(topic, partition, at)).await;
        let is_over = fetched.is_err() || Instant::now() >= deadline;
        // A partition that answers is only too long, one that does not can't be read.
        if is_over && !has_advanced {
            return Err(too_slow());
        }
        let Ok(fetched) = fetched else {
            is_complete = false;
            break;
        };
        let fetched = fetched?;
        has_advanced |= fetched.next_offset > at;
        at = fetched.next_offset.max(at);
        for item in fetched.items {
            let FetchedItem::Record(record) = item else { continue };
            records += 1;
            bytes = bytes.saturating_add(record.record.size());
            let number = identity(&record).and_then(|identity| numbers.get(&identity).copied());
            let Some((one, sighting)) = number.and_then(|n| Some((wanted.get(n)?, sightings.get_mut(n)?))) else {
                continue;
            };
            if sighting.is_none() && is_of(&record, one.destination) {
                let fingerprint = fingerprint_of(&record.record);
                *sighting = Some(Sighting { offset: record.offset, fingerprint });
            }
        }
        if at < end && (is_over || records >= MAX_RECORDS || bytes >= MAX_BYTES) {
            is_complete = false;
            break;
        }
    }
    let known = |sighting: Option<Sighting>| (is_complete || sighting.is_some()).then_some(sighting);
    Ok(sightings.into_iter().map(known).collect())
}

fn too_slow() -> KafkaError {
    KafkaError::Timeout(MAX_TIME.as_millis())
}

/// What names the event of a record: its key and its id.
fn identity(record: &FetchedRecord) -> Option<(&[u8], &[u8])> {
    let id = record.record.headers.get("ce_id")?;
    Some((record.record.key.as_deref()?, id))
}

/// Whether a record is of the kind that is written there. A backend may answer under the id of what it answers.
fn is_of(record: &FetchedRecord, destination: Destination) -> bool {
    let is_echo = record.record.headers.get(ECHO_HEADER).is_some_and(|value| value == b"true");
    is_echo == (destination == Destination::Echo)
}
