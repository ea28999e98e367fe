//! Sends records from the backlog to the sink, and moves the checkpoint after them.

use causeway_protocol::{
    deliver::{Checkpoint, DeliverRequest, Delivery, Record},
    subject::Subject,
};
use tokio::time::Instant;

use super::{RoundError, Worker, WorkerExit, rejected_records::RejectedRecord};
use crate::{
    kafka::NewRecord,
    outbound::{
        backlog::{Request, RequestLimits},
        decode::AddressedRecord,
        sink::SinkError,
    },
};

impl Worker {
    /// Sends what is due. Returns whether there may be more to send at once.
    pub(super) async fn deliver(&mut self) -> Result<bool, RoundError> {
        let now = Instant::now();
        self.retry_rejected(now)?;
        let Request { deliveries, records, advance_to } =
            self.backlog.request(now, self.next_fetch_offset, self.request_limits());
        let checkpoint = self.checkpoint_at(advance_to);
        if deliveries.is_empty() && self.stored_checkpoint.is_some_and(|stored| stored >= checkpoint) {
            return Ok(false);
        }
        let request = self.request(deliveries, Some(checkpoint));
        let response = match self.shared.sink.deliver(&request).await {
            Ok(response) => response,
            Err(SinkError::Rejected(status)) if records > 0 => {
                return self.on_rejected(status, request, records).await;
            }
            Err(SinkError::CheckpointLost) => {
                tracing::error!(partition = self.partition, "the checkpoint was lost, reading from the beginning");
                return Err(RoundError::Exit(WorkerExit::Replan));
            }
            Err(error) => return Err(RoundError::Sink(error)),
        };
        self.settle(&request.deliveries, records, &response.failed);
        // The sink does not move the checkpoint while a user's records are missing.
        if response.failed.is_empty() {
            self.on_stored_checkpoint(checkpoint, response.checkpoint)?;
        }
        Ok(true)
    }

    /// Moves the rejected records whose retry is due back into the backlog. Ends the round while the fault is probably
    /// the sink's.
    fn retry_rejected(&mut self, now: Instant) -> Result<(), RoundError> {
        let due = self.rejected.take_due(now);
        self.retry(due);
        if self.rejected.are_too_many() {
            return Err(RoundError::Waiting(self.rejected.retry_at().unwrap_or(now)));
        }
        Ok(())
    }

    fn request_limits(&self) -> RequestLimits {
        if self.single_sends > 0 {
            RequestLimits { users: 1, records: 1, ..RequestLimits::default() }
        } else {
            RequestLimits::default()
        }
    }

    /// The checkpoint at an offset, held back by rejected records and by dead letters that are not written yet.
    fn checkpoint_at(&mut self, offset: i64) -> Checkpoint {
        let held_back = [self.dead_letters.first_unwritten_offset(), self.rejected.first_offset()];
        let next_offset = held_back.into_iter().flatten().fold(offset, i64::min);
        Checkpoint { epoch: self.epoch, next_offset, partitions: self.partitions }
    }

    /// Removes the delivered records from the backlog. Those of failed users stay there and wait for a retry.
    fn settle(&mut self, sent: &[Delivery], records: usize, failed_users: &[Subject]) {
        self.single_sends = self.single_sends.saturating_sub(records);
        self.backlog.settle(Instant::now(), sent, failed_users);
        self.set_backlog_metric(self.backlog.len());
        let failed: usize = sent
            .iter()
            .filter(|delivery| failed_users.contains(&delivery.subject))
            .map(|delivery| delivery.records.len())
            .sum();
        self.shared.metrics.delivered.with_label_values(&[&self.shared.topic]).inc_by((records - failed) as u64);
        if records > failed {
            self.settle_rejected(sent);
        }
        if !failed_users.is_empty() {
            tracing::warn!(
                partition = self.partition,
                users = failed_users.len(),
                records = failed,
                "the buffers of some users failed, only their records are delivered again"
            );
            self.shared.metrics.delivery_failures.with_label_values(&["hub"]).inc();
        }
    }

    fn on_stored_checkpoint(&mut self, requested: Checkpoint, stored: Option<Checkpoint>) -> Result<(), RoundError> {
        self.stored_checkpoint = stored;
        match stored {
            Some(stored) if stored.epoch > self.epoch => {
                tracing::warn!(
                    partition = self.partition,
                    epoch = self.epoch,
                    later_epoch = stored.epoch,
                    "another instance delivers in a later epoch"
                );
                Err(RoundError::Exit(WorkerExit::Replan))
            }
            Some(stored) if stored >= requested => {
                if stored.next_offset > self.next_fetch_offset {
                    tracing::info!(
                        partition = self.partition,
                        from = self.next_fetch_offset,
                        to = stored.next_offset,
                        "another instance has delivered more"
                    );
                    self.next_fetch_offset = stored.next_offset;
                }
                self.backlog.drop_before(stored.next_offset);
                self.rejected.drop_before(stored.next_offset);
                Ok(())
            }
            _ => Err(RoundError::Sink(SinkError::Failed {
                label: "bad_answer",
                message: "the checkpoint did not move".to_owned(),
            })),
        }
    }

    /// The sink rejected a request because of its content. Its records are then sent one by one. A record that is
    /// rejected alone becomes a [`RejectedRecord`], provided that the sink still accepts a request without records.
    /// Otherwise the fault is not in the record.
    async fn on_rejected(&mut self, status: u16, request: DeliverRequest, records: usize) -> Result<bool, RoundError> {
        if records > 1 {
            tracing::warn!(
                partition = self.partition,
                status,
                records,
                "the edge rejects a request, sending its records one by one"
            );
            self.single_sends = self.single_sends.max(records);
            return Ok(true);
        }
        self.shared.sink.deliver(&self.request(Vec::new(), None)).await.map_err(RoundError::Sink)?;
        self.single_sends = self.single_sends.saturating_sub(records);
        for delivery in &request.deliveries {
            if let Some(addressed) = self.backlog.take_first(&delivery.subject) {
                let dead = self.rejected.add(Instant::now(), RejectedRecord { addressed, status });
                self.dead_letter_rejected(dead);
            }
        }
        if self.rejected.are_too_many() {
            tracing::error!(
                topic = self.shared.topic,
                partition = self.partition,
                status,
                "the edge rejects one record after another: edge and bridge probably have different versions. No \
                 record is dead-lettered, delivery waits"
            );
            self.report_rejecting(true);
        }
        Ok(true)
    }

    /// The sink accepted records, so the ones it rejected before are at fault, unless the sink has been replaced since.
    fn settle_rejected(&mut self, accepted: &[Delivery]) {
        let (dead, retries) = self.rejected.on_accepted(accepted);
        self.dead_letter_rejected(dead);
        self.retry(retries);
        self.report_rejecting(false);
    }

    fn retry(&mut self, records: Vec<AddressedRecord>) {
        self.single_sends = self.single_sends.max(records.len());
        records.into_iter().rev().for_each(|addressed| self.backlog.put_back(addressed));
    }

    fn dead_letter_rejected(&mut self, dead: impl IntoIterator<Item = RejectedRecord>) {
        for RejectedRecord { addressed, status } in dead {
            let offset = addressed.record.cursor.offset;
            let reason = ("refused_by_edge", Some(format!("status {status}")));
            self.dead_letter((offset, offset), reason, original_record(&addressed.subject, &addressed.record));
        }
    }

    fn request(&self, deliveries: Vec<Delivery>, advance_to: Option<Checkpoint>) -> DeliverRequest {
        DeliverRequest { topic: self.shared.topic.clone(), partition: self.partition, deliveries, advance_to }
    }
}

/// The Kafka record of a decoded event, as far as decoding kept it.
fn original_record(subject: &Subject, record: &Record) -> NewRecord {
    let event = &record.event;
    let attributes = [("ce_id", &event.id), ("ce_type", &event.kind), ("ce_time", &event.time)];
    NewRecord {
        key: Some(subject.to_string().into_bytes()),
        value: Some(event.data.get().as_bytes().to_vec()),
        headers: attributes.map(|(name, value)| (name.to_owned(), value.clone().into_bytes())).into(),
    }
}
