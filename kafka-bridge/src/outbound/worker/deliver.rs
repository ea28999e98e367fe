//! From the backlog to the sink, and the checkpoint after it.

use causeway_protocol::{
    deliver::{Checkpoint, DeliverRequest, Delivery, Record},
    subject::Subject,
};
use tokio::time::Instant;

use super::{Ended, Trouble, Worker, suspects::Suspect};
use crate::{
    kafka::NewRecord,
    outbound::{
        backlog::{Request, RequestLimits},
        decode::Addressed,
        sink::SinkError,
    },
};

impl Worker {
    /// Sends what is due; whether there may be more to send at once.
    pub(super) async fn deliver(&mut self) -> Result<bool, Trouble> {
        let now = Instant::now();
        let due = self.suspects.take_due(now);
        self.try_again(due);
        if self.suspects.are_too_many() {
            return Err(Trouble::Waiting(self.suspects.try_again_at().unwrap_or(now)));
        }
        let limits = if self.alone > 0 {
            RequestLimits { users: 1, records: 1, ..RequestLimits::default() }
        } else {
            RequestLimits::default()
        };
        let request = self.backlog.request(now, self.next_fetch, limits);
        let held = [Some(request.advance_to), self.letters.first_unwritten(), self.suspects.first_offset()];
        let next_offset = held.into_iter().flatten().min().unwrap_or(request.advance_to);
        let advance_to = Checkpoint { epoch: self.epoch, next_offset, partitions: self.partitions };
        if request.deliveries.is_empty() && self.stored.is_some_and(|stored| stored >= advance_to) {
            return Ok(false);
        }
        let Request { deliveries, records, .. } = request;
        let post = self.request(deliveries, Some(advance_to));
        let answer = match self.shared.sink.deliver(&post).await {
            Ok(answer) => answer,
            Err(SinkError::Refused(status)) if records > 0 => return self.refused(status, post, records).await,
            Err(SinkError::Forgotten) => {
                tracing::error!(partition = self.partition, "the checkpoint is gone: reading from the beginning");
                return Err(Trouble::Ended(Ended::Replan));
            }
            Err(error) => return Err(Trouble::Sink(error)),
        };
        self.alone = self.alone.saturating_sub(records);
        self.backlog.settle(Instant::now(), &post.deliveries, &answer.failed);
        self.show_backlog(self.backlog.len());
        let failed: usize = post
            .deliveries
            .iter()
            .filter(|delivery| answer.failed.contains(&delivery.subject))
            .map(|delivery| delivery.records.len())
            .sum();
        self.shared.metrics.delivered.with_label_values(&[&self.shared.topic]).inc_by((records - failed) as u64);
        if records > failed {
            self.judge_suspects(&post.deliveries);
        }
        if !answer.failed.is_empty() {
            tracing::warn!(
                partition = self.partition,
                users = answer.failed.len(),
                records = failed,
                "some hubs failed, only theirs are delivered again"
            );
            self.shared.metrics.delivery_failures.with_label_values(&["hub"]).inc();
            return Ok(true);
        }
        self.stored_is(advance_to, answer.checkpoint)?;
        Ok(true)
    }

    fn stored_is(&mut self, asked: Checkpoint, rests: Option<Checkpoint>) -> Result<(), Trouble> {
        self.stored = rests;
        match rests {
            Some(rests) if rests.epoch > self.epoch => {
                tracing::warn!(
                    partition = self.partition,
                    ours = self.epoch,
                    theirs = rests.epoch,
                    "another instance is in a later epoch"
                );
                Err(Trouble::Ended(Ended::Replan))
            }
            Some(rests) if rests >= asked => {
                if rests.next_offset > self.next_fetch {
                    tracing::info!(
                        partition = self.partition,
                        from = self.next_fetch,
                        to = rests.next_offset,
                        "another instance delivered further"
                    );
                    self.next_fetch = rests.next_offset;
                }
                self.backlog.forget_before(rests.next_offset);
                self.suspects.forget_before(rests.next_offset);
                Ok(())
            }
            _ => Err(Trouble::Sink(SinkError::Failed {
                label: "bad_answer",
                what: "the checkpoint did not move".to_owned(),
            })),
        }
    }

    /// The sink finds fault with a request: its records go one by one, and the one that is refused alone is suspect,
    /// provided that the sink still takes a request without records. Otherwise the fault is not in the record.
    async fn refused(&mut self, status: u16, request: DeliverRequest, records: usize) -> Result<bool, Trouble> {
        if records > 1 {
            tracing::warn!(
                partition = self.partition,
                status,
                records,
                "the edge refuses a request, sending its records one by one"
            );
            self.alone = self.alone.max(records);
            return Ok(true);
        }
        self.shared.sink.deliver(&self.request(Vec::new(), None)).await.map_err(Trouble::Sink)?;
        self.alone = self.alone.saturating_sub(records);
        for delivery in &request.deliveries {
            if let Some(addressed) = self.backlog.take_first(&delivery.subject) {
                let dead = self.suspects.add(Instant::now(), Suspect { addressed, status });
                self.bury_suspects(dead);
            }
        }
        if self.suspects.are_too_many() {
            tracing::error!(
                topic = self.shared.topic,
                partition = self.partition,
                status,
                "the edge refuses one record after another: edge and bridge are probably of different versions. \
                 Nothing is put aside, delivery waits"
            );
            self.show_refusing(true);
        }
        Ok(true)
    }

    /// The sink took records, so the fault is in those it refused before, unless it is another sink by now.
    fn judge_suspects(&mut self, taken: &[Delivery]) {
        let (dead, again) = self.suspects.others_taken(taken);
        self.bury_suspects(dead);
        self.try_again(again);
        self.show_refusing(false);
    }

    fn try_again(&mut self, suspects: Vec<Addressed>) {
        self.alone = self.alone.max(suspects.len());
        suspects.into_iter().rev().for_each(|addressed| self.backlog.put_back(addressed));
    }

    fn bury_suspects(&mut self, dead: impl IntoIterator<Item = Suspect>) {
        for Suspect { addressed, status } in dead {
            let at = addressed.record.cursor.offset;
            let why = ("refused_by_edge", Some(format!("status {status}")));
            self.bury((at, at), why, as_written(&addressed.subject, &addressed.record));
        }
    }

    fn request(&self, deliveries: Vec<Delivery>, advance_to: Option<Checkpoint>) -> DeliverRequest {
        DeliverRequest { topic: self.shared.topic.clone(), partition: self.partition, deliveries, advance_to }
    }
}

/// The record of a decoded event, as far as decoding kept it.
fn as_written(subject: &Subject, record: &Record) -> NewRecord {
    let event = &record.event;
    let attributes = [("ce_id", &event.id), ("ce_type", &event.kind), ("ce_time", &event.time)];
    NewRecord {
        key: Some(subject.to_string().into_bytes()),
        value: Some(event.data.get().as_bytes().to_vec()),
        headers: attributes.map(|(name, value)| (name.to_owned(), value.clone().into_bytes())).into(),
    }
}
