//! One reading of a partition, for the records of many events.

use std::collections::HashMap;

use causeway_protocol::event::ECHO_HEADER;
use tokio::sync::oneshot;

use crate::{
    inbound::record::{Destination, fingerprint_of},
    kafka::{FetchedItem, FetchedRecord, KafkaError, KafkaIo},
};

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
    pub(super) found: oneshot::Sender<Option<Sighting>>,
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

/// Reads a partition. Of each event, what was found of it, or `None` if that is unknown.
pub(super) async fn read(
    kafka: &dyn KafkaIo,
    (topic, partition): (&str, i32),
    wanted: &[Wanted],
) -> Result<Vec<Option<Option<Sighting>>>, KafkaError> {
    let Some(since_ms) = wanted.iter().map(|one| one.since_ms).min() else { return Ok(Vec::new()) };
    let since_ms = i64::try_from(since_ms).unwrap_or(i64::MAX);
    let mut sightings: Vec<Option<Sighting>> = vec![None; wanted.len()];
    let mut is_complete = true;
    if let Some(mut at) = kafka.offset_at(topic, partition, since_ms).await? {
        let numbers: HashMap<_, _> = wanted.iter().enumerate().map(|(n, one)| (one.identity(), n)).collect();
        let end = kafka.watermarks(topic, partition).await?.latest;
        let (mut records, mut bytes) = (0, 0_usize);
        // An empty fetch says nothing: the client may have just begun with the partition.
        while at < end && sightings.iter().any(Option::is_none) {
            if records >= MAX_RECORDS || bytes >= MAX_BYTES {
                is_complete = false;
                break;
            }
            let fetched = kafka.fetch(topic, partition, at).await?;
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
        }
    }
    let known = |sighting: Option<Sighting>| (is_complete || sighting.is_some()).then_some(sighting);
    Ok(sightings.into_iter().map(known).collect())
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
