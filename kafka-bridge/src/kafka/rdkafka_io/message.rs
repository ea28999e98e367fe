//! A message as the bridge's record.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use rdkafka::{Message as _, message::Headers as _};

use crate::kafka::{FetchedItem, FetchedRecord, NewRecord};

/// Copies a message. The crate panics at a header name that is not UTF-8. Such a record costs itself and no other.
pub(super) fn item(message: &rdkafka::message::BorrowedMessage<'_>) -> FetchedItem {
    let offset = message.offset();
    catch_unwind(AssertUnwindSafe(|| FetchedItem::Record(record(message)))).unwrap_or_else(|_| {
        FetchedItem::Undecodable { first: offset, last: offset, reason: "a header's name is not UTF-8".to_owned() }
    })
}

fn record(message: &rdkafka::message::BorrowedMessage<'_>) -> FetchedRecord {
    let mut headers = BTreeMap::new();
    for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
        headers.insert(header.key.to_owned(), header.value.unwrap_or_default().to_vec());
    }
    FetchedRecord {
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        record: NewRecord {
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers,
        },
    }
}
