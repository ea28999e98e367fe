//! Reads past batches that rskafka can't decode.
//!
//! rskafka decodes a fetch as a whole, so one transaction marker or null header value hides every record after it. A
//! broker that is asked for one byte sends exactly one batch. So after a failure, the partition is read batch by batch,
//! and undecodable offsets are skipped one at a time, because a failed batch does not reveal its length.
//!
//! A second trap: if the last records of a batch were compacted away, a fetch from there returns no records although
//! more follow. Without skipping, it would do so for ever.

use async_trait::async_trait;

use super::{Fetched, FetchedItem, FetchedRecord, KafkaError};

/// How many failures make an offset undecodable. A single one may be due to a damaged response.
const TRIES: u32 = 3;

/// The maximum number of offsets that one fetch skips. It bounds the time until the fetch returns.
const MAX_STEPS: i64 = 1000;

/// How much to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    /// As much as one fetch may return. Waits briefly if there is no record yet.
    Many,
    /// The batch that contains the offset, without waiting.
    OneBatch,
}

/// The result of a read.
pub(super) struct Batches {
    pub(super) records: Vec<FetchedRecord>,
    pub(super) high_watermark: i64,
}

/// A partition that can be read batch by batch.
#[async_trait]
pub(super) trait BatchSource: Send + Sync {
    async fn read(&self, offset: i64, amount: Amount) -> Result<Batches, KafkaError>;

    /// The end of the readable records: the last stable offset.
    async fn readable_until(&self) -> Result<i64, KafkaError>;
}

/// Reads from `offset`, past everything that can't be decoded.
pub(super) async fn fetch(source: &impl BatchSource, offset: i64) -> Result<Fetched, KafkaError> {
    match source.read(offset, Amount::Many).await {
        Ok(batches) if !batches.records.is_empty() => Ok(found(offset, batches.records, None)),
        Ok(batches) if batches.high_watermark <= offset => Ok(Fetched { items: Vec::new(), next_offset: offset }),
        // Nothing was returned although there is more: an open transaction, a record written just now, or a batch
        // without records.
        Ok(_) if source.readable_until().await? <= offset => Ok(Fetched { items: Vec::new(), next_offset: offset }),
        Ok(_) => step(source, offset).await,
        Err(KafkaError::Undecodable(reason)) => {
            tracing::debug!(offset, reason, "a fetch can't be decoded, reading batch by batch");
            step(source, offset).await
        }
        Err(error) => Err(error),
    }
}

async fn step(source: &impl BatchSource, offset: i64) -> Result<Fetched, KafkaError> {
    let until = source.readable_until().await?;
    let mut gap: Option<(i64, i64, String)> = None;
    let mut at = offset;
    while at < until && at < offset.saturating_add(MAX_STEPS) {
        match read_one(source, at, gap.is_none()).await {
            Ok(records) if !records.is_empty() => return Ok(found(at, records, gap)),
            // An offset without a record needs no dead letter.
            Ok(_) => {}
            Err(KafkaError::Undecodable(reason)) => {
                gap = Some(gap.map_or((at, at, reason), |(first, _, reason)| (first, at, reason)));
            }
            // Returns the gap so far. The next fetch starts after it.
            Err(_) if at > offset => break,
            Err(error) => return Err(error),
        }
        at += 1;
    }
    Ok(found(at, Vec::new(), gap))
}

async fn read_one(source: &impl BatchSource, offset: i64, retry: bool) -> Result<Vec<FetchedRecord>, KafkaError> {
    let mut tries = if retry { TRIES } else { 1 };
    loop {
        tries -= 1;
        match source.read(offset, Amount::OneBatch).await {
            Ok(batches) => return Ok(batches.records),
            Err(KafkaError::Undecodable(_)) if tries > 0 => {}
            Err(error) => return Err(error),
        }
    }
}

fn found(at: i64, records: Vec<FetchedRecord>, gap: Option<(i64, i64, String)>) -> Fetched {
    let next_offset = records.last().map_or(at, |last| last.offset.saturating_add(1));
    let gap = gap.map(|(first, last, reason)| FetchedItem::Undecodable { first, last, reason });
    Fetched { items: gap.into_iter().chain(records.into_iter().map(FetchedItem::Record)).collect(), next_offset }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::NewRecord;

    /// A log of batches. Reading a `bad` one fails, and so does `Many` if any batch ahead is bad.
    struct Log(Vec<Batch>);

    struct Batch {
        offsets: std::ops::Range<i64>,
        bad: bool,
        /// Its records were compacted away, but its offsets remain.
        empty: bool,
    }

    fn batch(offsets: std::ops::Range<i64>) -> Batch {
        Batch { offsets, bad: false, empty: false }
    }

    #[async_trait]
    impl BatchSource for Log {
        async fn read(&self, offset: i64, amount: Amount) -> Result<Batches, KafkaError> {
            let high_watermark = self.readable_until().await?;
            let mut records = Vec::new();
            for batch in self.0.iter().filter(|batch| batch.offsets.end > offset) {
                if batch.bad {
                    return Err(KafkaError::Undecodable("marker".to_owned()));
                }
                let offsets = batch.offsets.clone().filter(|o| *o >= offset && !batch.empty);
                records.extend(offsets.map(|offset| FetchedRecord {
                    offset,
                    timestamp_ms: 0,
                    record: NewRecord::default(),
                }));
                // The broker sends the empty batch and the client discards it, so no records are returned.
                if amount == Amount::OneBatch || batch.empty {
                    break;
                }
            }
            Ok(Batches { records, high_watermark })
        }

        async fn readable_until(&self) -> Result<i64, KafkaError> {
            Ok(self.0.last().map_or(0, |batch| batch.offsets.end))
        }
    }

    async fn read_all(log: &Log) -> (Vec<i64>, Vec<(i64, i64)>) {
        let (mut records, mut gaps, mut at) = (Vec::new(), Vec::new(), 0);
        for _ in 0..100 {
            let fetched = fetch(log, at).await.unwrap();
            for item in fetched.items {
                match item {
                    FetchedItem::Record(record) => records.push(record.offset),
                    FetchedItem::Undecodable { first, last, .. } => gaps.push((first, last)),
                }
            }
            at = fetched.next_offset;
        }
        (records, gaps)
    }

    #[tokio::test]
    async fn records_around_a_marker_are_read() {
        let log = Log(vec![batch(0..3), Batch { bad: true, ..batch(3..4) }, batch(4..6)]);
        assert_eq!(read_all(&log).await, (vec![0, 1, 2, 4, 5], vec![(3, 3)]));
    }

    #[tokio::test]
    async fn an_undecodable_batch_is_one_gap() {
        let log = Log(vec![Batch { bad: true, ..batch(0..50) }, batch(50..51)]);
        assert_eq!(read_all(&log).await, (vec![50], vec![(0, 49)]));
    }

    #[tokio::test]
    async fn an_undecodable_batch_at_the_end_is_skipped() {
        let log = Log(vec![batch(0..1), Batch { bad: true, ..batch(1..3) }]);
        assert_eq!(read_all(&log).await, (vec![0], vec![(1, 2)]));
    }

    #[tokio::test]
    async fn a_compacted_batch_does_not_stall_and_leaves_no_gap() {
        let log = Log(vec![Batch { empty: true, ..batch(0..20) }, batch(20..21)]);
        assert_eq!(read_all(&log).await, (vec![20], vec![]));
    }
}
