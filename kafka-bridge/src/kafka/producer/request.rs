//! A batch as a request, and what its answer says. Unlike rskafka's client, it reads the result of a throttled answer.

use std::time::Duration;

use chrono::Utc;
use rskafka::protocol::{
    error::Error as ErrorCode,
    messages::{ProduceRequest, ProduceRequestPartitionData, ProduceRequestTopicData, ProduceResponse},
    primitives::{Int16, Int32, NullableString, Records, String_},
    record::{
        ControlBatchOrRecords, Record, RecordBatch, RecordBatchCompression, RecordBatchTimestampType, RecordHeader,
    },
};

use super::{
    connection::{Connection, unavailable},
    producer_id::ProducerId,
};
use crate::kafka::{KafkaError, NewRecord};

/// All replicas in sync have the batch before the leader answers.
const ACKS_ALL: Int16 = Int16(-1);

/// A batch for one partition, and whose it is.
pub(super) struct Batch {
    topic: String,
    partition: i32,
    timestamp_ms: i64,
    records: Vec<NewRecord>,
    timeout_ms: i32,
}

/// What the leader answered.
pub(super) struct Answer {
    /// The offset of the first record.
    pub(super) result: Result<i64, ErrorCode>,
    /// How long the leader wants no more.
    pub(super) throttle: Option<Duration>,
}

impl Batch {
    pub(super) fn new(topic: &str, partition: i32, records: Vec<NewRecord>, timeout: Duration) -> Self {
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        Self { topic: topic.to_owned(), partition, timestamp_ms: Utc::now().timestamp_millis(), records, timeout_ms }
    }

    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    pub(super) fn partition(&self) -> i32 {
        self.partition
    }

    pub(super) fn len(&self) -> i32 {
        i32::try_from(self.records.len()).unwrap_or(i32::MAX)
    }

    fn request(&self, id: ProducerId) -> ProduceRequest {
        let batch = RecordBatch {
            base_offset: 0,
            partition_leader_epoch: 0,
            last_offset_delta: self.len() - 1,
            first_timestamp: self.timestamp_ms,
            max_timestamp: self.timestamp_ms,
            producer_id: id.id,
            producer_epoch: id.epoch,
            base_sequence: id.sequence,
            records: ControlBatchOrRecords::Records((0..).zip(&self.records).map(record).collect()),
            compression: RecordBatchCompression::NoCompression,
            is_transactional: false,
            timestamp_type: RecordBatchTimestampType::CreateTime,
        };
        let data = ProduceRequestPartitionData { index: Int32(self.partition), records: Records(vec![batch]) };
        ProduceRequest {
            transactional_id: NullableString(None),
            acks: ACKS_ALL,
            timeout_ms: Int32(self.timeout_ms),
            topic_data: vec![ProduceRequestTopicData { name: String_(self.topic.clone()), partition_data: vec![data] }],
        }
    }
}

/// Sends a batch. An error leaves open whether it was written.
pub(super) async fn send(connection: &Connection, batch: &Batch, id: ProducerId) -> Result<Answer, KafkaError> {
    read(batch, &connection.request(batch.request(id)).await.map_err(unavailable)?)
}

fn read(batch: &Batch, response: &ProduceResponse) -> Result<Answer, KafkaError> {
    let mut answers = response.responses.iter().filter(|topic| topic.name.0 == batch.topic);
    let mut answers = answers.by_ref().flat_map(|topic| &topic.partition_responses);
    let answer = answers.find(|answer| answer.index.0 == batch.partition);
    let answer = answer.ok_or_else(|| KafkaError::Unavailable("the answer lacks the partition".to_owned()))?;
    let throttle = response.throttle_time_ms.and_then(|time| u64::try_from(time.0).ok()).filter(|time| *time > 0);
    Ok(Answer {
        result: answer.error.map_or(Ok(answer.base_offset.0), Err),
        throttle: throttle.map(Duration::from_millis),
    })
}

fn record((offset_delta, new): (i32, &NewRecord)) -> Record {
    let headers = new.headers.iter().map(|(key, value)| RecordHeader { key: key.clone(), value: value.clone() });
    Record {
        timestamp_delta: 0,
        offset_delta,
        key: new.key.clone(),
        value: new.value.clone(),
        headers: headers.collect(),
    }
}

#[cfg(test)]
mod tests {
    use rskafka::protocol::{
        messages::{ProduceResponsePartitionResponse, ProduceResponseResponse},
        primitives::Int64,
    };

    use super::*;

    #[test]
    fn a_throttled_answer_has_its_result() {
        let batch = Batch::new("t", 1, vec![NewRecord::default()], Duration::from_secs(1));
        let partition = ProduceResponsePartitionResponse {
            index: Int32(1),
            error: None,
            base_offset: Int64(7),
            log_append_time_ms: None,
            log_start_offset: None,
        };
        let topic = ProduceResponseResponse { name: String_("t".to_owned()), partition_responses: vec![partition] };
        let response = ProduceResponse { responses: vec![topic], throttle_time_ms: Some(Int32(250)) };
        let answer = read(&batch, &response).unwrap();
        assert_eq!(answer.result, Ok(7));
        assert_eq!(answer.throttle, Some(Duration::from_millis(250)));
    }
}
