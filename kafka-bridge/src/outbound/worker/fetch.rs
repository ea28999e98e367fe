//! Reads records from Kafka into the backlog. Records that can't be decoded become dead letters.

use super::{RoundError, Worker, WorkerExit, report_lost};
use crate::{
    kafka::{FetchedItem, KafkaError, NewRecord},
    outbound::decode::decode,
};

impl Worker {
    pub(super) async fn fetch(&mut self) -> Result<(), RoundError> {
        let fetch = self.shared.kafka.fetch(&self.shared.topic, self.partition, self.next_fetch_offset);
        // A cancelled fetch loses nothing.
        let fetched = tokio::select! {
            () = self.stop.cancelled() => return Err(RoundError::Exit(WorkerExit::Stopped)),
            fetched = fetch => fetched,
        };
        let fetched = match fetched {
            Ok(fetched) => fetched,
            Err(KafkaError::OffsetOutOfRange) => return self.out_of_range().await,
            Err(KafkaError::UnknownTopic(topic)) => {
                tracing::warn!(partition = self.partition, topic, "the topic no longer exists");
                return Err(RoundError::Exit(WorkerExit::Replan));
            }
            Err(error) => return Err(RoundError::Kafka(error)),
        };
        for item in fetched.items {
            match item {
                FetchedItem::Record(found) => match decode(&found, self.epoch, self.partition) {
                    Ok(addressed) => self.backlog.push(addressed),
                    Err(error) => {
                        self.dead_letter((found.offset, found.offset), (error.reason(), None), found.record);
                    }
                },
                FetchedItem::Undecodable { first, last, reason } => {
                    let reason_code = undecodable(&reason);
                    tracing::error!(
                        topic = self.shared.topic,
                        partition = self.partition,
                        first,
                        last,
                        reason = reason_code,
                        detail = reason,
                        "offsets can't be decoded. Transactional topics need another kafka client: this one also \
                         delivers records of aborted transactions"
                    );
                    self.dead_letter((first, last), (reason_code, Some(reason)), NewRecord::default());
                }
            }
        }
        self.next_fetch_offset = fetched.next_offset;
        self.set_backlog_metric(self.backlog.len());
        Ok(())
    }

    async fn out_of_range(&mut self) -> Result<(), RoundError> {
        let watermarks =
            self.shared.kafka.watermarks(&self.shared.topic, self.partition).await.map_err(RoundError::Kafka)?;
        if watermarks.latest < self.next_fetch_offset {
            tracing::warn!(
                partition = self.partition,
                next_offset = self.next_fetch_offset,
                latest = watermarks.latest,
                "the partition has fewer records than were delivered: the topic was recreated"
            );
            return Err(RoundError::Exit(WorkerExit::Replan));
        }
        report_lost(&self.shared, self.partition, self.next_fetch_offset, watermarks.earliest);
        self.next_fetch_offset = self.next_fetch_offset.max(watermarks.earliest);
        Ok(())
    }
}

/// The dead letter's reason for offsets that the client can't decode.
fn undecodable(reason: &str) -> &'static str {
    // rskafka decodes a marker as a record and fails on its version or its length.
    if reason.contains("control batch") || reason.contains("control record") {
        "transaction_marker"
    } else {
        "undecodable"
    }
}
