//! The message that tells all instances of a user's new records.
//!
//! It consists of a line with the subject, a line with the buffer's id and the numbers of the last record before and of
//! the last one, and the records. If their frames are too large, it has only the newest position of each partition.

use bytes::Bytes;
use causeway_protocol::cursor::Position;

use super::record::{BufferedRecord, coordinates, first_line};

/// The maximum number of bytes of frames in a wake. Streams read larger batches from the buffer. Otherwise every
/// instance would receive what at most a few of them need.
pub(super) const MAX_WAKE_BYTES: usize = 64 * 1024;

/// A user's new records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wake<'a> {
    /// The buffer. A buffer that was lost is replaced by one with another id.
    pub buffer_id: &'a str,
    /// The number of the last record before these.
    pub before: i64,
    /// The number of the last of these records.
    pub last: i64,
    /// What is new.
    pub news: News<'a>,
}

/// What a [`Wake`] has of the new records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News<'a> {
    /// The records, in the order of their numbers.
    Records(Vec<BufferedRecord<'a>>),
    /// The newest position of each partition.
    Positions(Vec<(&'a str, i32, Position)>),
}

/// The subject, without looking at the rest: most wakes are for users without streams here.
pub(super) fn subject_of(message: &[u8]) -> Option<(&str, usize)> {
    first_line(message)
}

/// Reads what follows the subject.
pub(super) fn parse(body: &Bytes) -> Option<Wake<'_>> {
    let (head, mut at) = first_line(body)?;
    let mut words = head.split(' ');
    let (buffer_id, before, last) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (mut records, mut positions) = (Vec::new(), Vec::new());
    while at < body.len() {
        let (line, length) = first_line(body.get(at..)?)?;
        let (channel, partition, position, frame_bytes) = coordinates(line)?;
        at += length;
        if frame_bytes == "-" {
            positions.push((channel, partition, position));
            continue;
        }
        let end = at.checked_add(frame_bytes.parse().ok()?).filter(|end| *end <= body.len())?;
        records.push(BufferedRecord { channel, partition, position, frame: body.slice(at..end) });
        at = end;
    }
    let news = if positions.is_empty() { News::Records(records) } else { News::Positions(positions) };
    Some(Wake { buffer_id, before, last, news })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_positions_are_read() {
        let message = b"t:a\nid 3 5\nchat 0 1 7 9\ndata: 1\n\nfeed 2 1 0 2\n\n\n";
        let (subject, at) = subject_of(message).unwrap();
        assert_eq!(subject, "t:a");
        let body = Bytes::copy_from_slice(&message[at..]);
        let wake = parse(&body).unwrap();
        assert_eq!((wake.buffer_id, wake.before, wake.last), ("id", 3, 5));
        let News::Records(records) = wake.news else { panic!("records") };
        let read: Vec<_> =
            records.iter().map(|record| (record.channel, record.position.offset, &*record.frame)).collect();
        assert_eq!(read, [("chat", 7, &b"data: 1\n\n"[..]), ("feed", 0, b"\n\n")]);

        let body = Bytes::from_static(b"id 3 5\nchat 0 1 7 -\n");
        let position = Position { epoch: 1, offset: 7 };
        assert_eq!(parse(&body).unwrap().news, News::Positions(vec![("chat", 0, position)]));
    }

    #[test]
    fn anything_else_is_rejected() {
        for bad in [&b""[..], b"id 1\n", b"id 1 x\n", b"id 1 2\nchat 0 1 7 9\ndata", b"id 1 2\nchat 0 1 7\n", b"\xff\n"]
        {
            assert_eq!(parse(&Bytes::copy_from_slice(bad)), None, "{bad:?}");
        }
    }
}
