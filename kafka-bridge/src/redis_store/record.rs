//! A record as the scripts write it, into a buffer or a wake: a line with its coordinates, then its frame.

use bytes::Bytes;
use causeway_protocol::cursor::Position;

/// A record of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferedRecord<'a> {
    /// The channel's name.
    pub channel: &'a str,
    /// The partition.
    pub partition: i32,
    /// The position.
    pub position: Position,
    /// The events. Empty for a piece of a message that is complete.
    pub frame: Bytes,
}

/// The coordinates that a line begins with, and the rest of the line.
pub(super) fn coordinates(line: &str) -> Option<(&str, i32, Position, &str)> {
    let mut words = line.splitn(5, ' ');
    let channel = words.next()?;
    let partition = words.next()?.parse().ok()?;
    let position = Position { epoch: words.next()?.parse().ok()?, offset: words.next()?.parse().ok()? };
    Some((channel, partition, position, words.next()?))
}

/// The first line of a text, and where the next one begins.
pub(super) fn first_line(text: &[u8]) -> Option<(&str, usize)> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(text.get(..end)?).ok()?, end + 1))
}

/// Reads a record of a buffer. `script/shared.lua` describes the form.
pub(super) fn parse_stored(stored: &Bytes) -> Option<BufferedRecord<'_>> {
    let (line, body) = first_line(stored)?;
    let (channel, partition, position, rest) = coordinates(line)?;
    let (_time, kind) = rest.split_once(' ')?;
    let id_bytes = match kind {
        "m" | "e" => 0,
        id_bytes => id_bytes.parse::<usize>().ok()?,
    };
    let start = body.checked_add(id_bytes).filter(|start| *start <= stored.len())?;
    Some(BufferedRecord { channel, partition, position, frame: stored.slice(start..) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_record_is_read() {
        let frame = |stored: &'static [u8]| parse_stored(&Bytes::from_static(stored)).map(|record| record.frame);
        let stored = Bytes::from_static(b"a.b 3 7 9 1800 m\ndata: 1\n\n");
        let expected = BufferedRecord {
            channel: "a.b",
            partition: 3,
            position: Position { epoch: 7, offset: 9 },
            frame: Bytes::from_static(b"data: 1\n\n"),
        };
        assert_eq!(parse_stored(&stored), Some(expected));
        assert_eq!(frame(b"a 0 1 2 3 4\nm\n 1data: 1\n\n").unwrap(), "data: 1\n\n", "an id of any characters");
        assert_eq!(frame(b"a 0 1 2 3 e\n").unwrap(), "");
        for bad in [&b""[..], b"a 0 1 2 3 m", b"a 0 1 2 3 99\nx", b"a x 1 2 3 m\n", b"a 0 1 2 3\n", b"\xff\n"] {
            assert_eq!(frame(bad), None, "{bad:?}");
        }
    }
}
