//! From Kafka into the backlog; what can't go there is put aside.

use super::{Ended, Trouble, Worker, report_lost};
use crate::{
    kafka::{FetchedItem, KafkaError, NewRecord},
    outbound::decode::decode,
};

impl Worker {
    pub(super) async fn fetch(&mut self) -> Result<(), Trouble> {
        let fetch = self.shared.kafka.fetch(&self.shared.topic, self.partition, self.next_fetch);
        // Nothing is lost by breaking off a fetch.
        let fetched = tokio::select! {
            () = self.stop.cancelled() => return Err(Trouble::Ended(Ended::Stopped)),
            fetched = fetch => fetched,
        };
        let fetched = match fetched {
            Ok(fetched) => fetched,
            Err(KafkaError::OffsetOutOfRange) => return self.out_of_range().await,
            Err(KafkaError::UnknownTopic(topic)) => {
                tracing::warn!(partition = self.partition, topic, "the topic is gone");
                return Err(Trouble::Ended(Ended::Replan));
            }
            Err(error) => return Err(Trouble::Kafka(error)),
        };
        for item in fetched.items {
            match item {
                FetchedItem::Record(found) => match decode(&found, self.epoch, self.partition) {
                    Ok(addressed) => self.backlog.push(addressed),
                    Err(poison) => {
                        self.bury((found.offset, found.offset), (poison.reason(), None), found.record);
                    }
                },
                FetchedItem::Undecodable { first, last, reason } => {
                    let why = undecodable(&reason);
                    tracing::error!(
                        topic = self.shared.topic,
                        partition = self.partition,
                        first,
                        last,
                        why,
                        reason,
                        "offsets can't be decoded. Topics written in transactions need another kafka client: with this \
                         one, records of aborted transactions are delivered too"
                    );
                    self.bury((first, last), (why, Some(reason)), NewRecord::default());
                }
            }
        }
        self.next_fetch = fetched.next_offset;
        self.show_backlog(self.backlog.len());
        Ok(())
    }

    async fn out_of_range(&mut self) -> Result<(), Trouble> {
        let watermarks =
            self.shared.kafka.watermarks(&self.shared.topic, self.partition).await.map_err(Trouble::Kafka)?;
        if watermarks.latest < self.next_fetch {
            tracing::warn!(
                partition = self.partition,
                next_offset = self.next_fetch,
                latest = watermarks.latest,
                "the partition has fewer records than were delivered: the topic was recreated"
            );
            return Err(Trouble::Ended(Ended::Replan));
        }
        report_lost(&self.shared, self.partition, self.next_fetch, watermarks.earliest);
        self.next_fetch = self.next_fetch.max(watermarks.earliest);
        Ok(())
    }
}

/// One word for what the client can't decode.
fn undecodable(reason: &str) -> &'static str {
    // rskafka takes a marker's bytes for a record's and stumbles over their version or their length.
    if reason.contains("control batch") || reason.contains("control record") {
        "transaction_marker"
    } else {
        "undecodable"
    }
}
