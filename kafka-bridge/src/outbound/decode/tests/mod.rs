//! What a user receives for each form of record, and which reason a dead letter has.

mod binary;
mod piece;
mod property;
mod structured;

use causeway_protocol::channel::Channel;

use super::*;
use crate::kafka::NewRecord;

fn record(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(&str, &[u8])]) -> FetchedRecord {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
    let record = NewRecord { key: key.map(<[u8]>::to_vec), value: value.map(<[u8]>::to_vec), headers };
    FetchedRecord { offset: 7, timestamp_ms: 1_700_000_000_123, record }
}

/// A record for one user with headers that are texts.
fn for_user(value: Option<&str>, headers: &[(&str, &str)]) -> FetchedRecord {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    record(Some(b"github:1"), value.map(str::as_bytes), &headers)
}

fn decode_with(rules: &ChannelRules, fetched: &FetchedRecord) -> Result<Addressed, DecodeError> {
    let channel = Channel::parse("chat").unwrap();
    decode(fetched, rules, Coordinates { channel: &channel, partition: 3, epoch: 2 })
}

fn decode_default(fetched: &FetchedRecord) -> Result<Addressed, DecodeError> {
    decode_with(&ChannelRules::default(), fetched)
}

/// The events that the user receives.
fn events(fetched: &FetchedRecord) -> Vec<String> {
    let frame = decode_default(fetched).unwrap().item.frame;
    frame.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned).collect()
}

fn reason(fetched: &FetchedRecord) -> &'static str {
    decode_default(fetched).unwrap_err().reason()
}
