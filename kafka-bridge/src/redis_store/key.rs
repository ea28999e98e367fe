//! The names of keys and channels in Redis. The braces put all keys of a user on one node of a cluster.

use causeway_protocol::{cursor::Cursor, subject::Subject};

/// Channel that wakes a user's streams. The message is the subject.
pub(super) const WAKE_CHANNEL: &str = "causeway:wake";

/// The hash of a user's buffer.
pub(super) fn buffer(subject: &Subject) -> String {
    format!("causeway:{{{subject}}}:buffer")
}

/// The stream with a user's records of one partition. The scripts build the same name.
pub(super) fn partition(subject: &Subject, partition: i32) -> String {
    format!("causeway:{{{subject}}}:partition:{partition}")
}

/// The note about an event that a user said. A channel's name contains no colon.
pub(super) fn said(subject: &Subject, channel: &str, id: &str) -> String {
    format!("causeway:{{{subject}}}:said:{channel}:{id}")
}

/// The checkpoint of a partition.
pub(super) fn checkpoint(topic: &str, partition: i32) -> String {
    format!("causeway:checkpoint:{topic}:{partition}")
}

/// A record's id within its stream. Redis does not allow the id 0-0, so epochs count from 1 there.
pub(super) fn id(cursor: Cursor) -> String {
    format!("{}-{}", u64::from(cursor.epoch) + 1, cursor.offset)
}

/// The cursor of a stored record.
pub(super) fn cursor(partition: i32, id: &str) -> Option<Cursor> {
    let (epoch, offset) = id.split_once('-')?;
    let epoch = u32::try_from(epoch.parse::<u64>().ok()?.checked_sub(1)?).ok()?;
    Some(Cursor { epoch, partition, offset: offset.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_cover_the_whole_range_of_cursors() {
        for (epoch, offset) in [(0, 0), (3, 7), (u32::MAX, i64::MAX)] {
            let at = Cursor { epoch, partition: 5, offset };
            assert_eq!(cursor(5, &id(at)), Some(at));
        }
        assert_eq!(id(Cursor { epoch: 0, partition: 0, offset: 0 }), "1-0");
        for bad in ["", "1", "0-1", "x-1", "1-x"] {
            assert_eq!(cursor(0, bad), None, "{bad}");
        }
    }
}
