//! The names of keys and channels in Redis. The braces put all keys of a user on one node of a cluster.

use causeway_protocol::subject::Subject;

/// Channel that wakes a user's streams. [`super::Wake`] reads its messages.
pub(super) const WAKE_CHANNEL: &str = "causeway:wake";

/// The keys of a user's buffer: its state, its records, its unfinished messages.
pub(super) fn buffer(subject: &Subject) -> [String; 3] {
    ["buffer", "records", "pieces"].map(|name| format!("causeway:{{{subject}}}:{name}"))
}

/// The note about an event that a user said. A channel's name contains no colon.
pub(super) fn said(subject: &Subject, channel: &str, id: &str) -> String {
    format!("causeway:{{{subject}}}:said:{channel}:{id}")
}

/// The checkpoint of a partition.
pub(super) fn checkpoint(topic: &str, partition: i32) -> String {
    format!("causeway:checkpoint:{topic}:{partition}")
}
