//! The bytes of events in a stream (Server-Sent Events, HTML Living Standard §9.2), made once by the bridge.

use std::fmt::Write as _;

use crate::{cursor::Cursor, hub::ResetReason};

/// The frame of a record: its events in order. The id of the last one is the record's cursor. The others have ids of
/// their own, so a client that is cut off between them gets the record again, and knows what it had.
///
/// Events are JSON. A line break in JSON is white space, and would end a line of the frame, so it becomes a space.
#[must_use]
pub fn record_frame(cursor: &Cursor, events: &[String]) -> String {
    let mut frame = String::with_capacity(events.iter().map(|event| event.len() + 16).sum::<usize>() + 64);
    for (index, event) in events.iter().enumerate() {
        let is_last = index + 1 == events.len();
        let event_of_record = if is_last { None } else { Some(u16::try_from(index).unwrap_or(u16::MAX)) };
        // Writing to a string does not fail.
        let _ = writeln!(frame, "id: {}", Cursor { event: event_of_record, ..cursor.clone() });
        frame.push_str("data: ");
        frame.extend(event.chars().map(|c| if matches!(c, '\r' | '\n') { ' ' } else { c }));
        frame.push_str("\n\n");
    }
    frame
}

/// The frame of a gap that ends at a cursor: records up to there are missing. A client that has heard of it resumes
/// after it.
#[must_use]
pub fn gap_frame(cursor: &Cursor, reason: ResetReason) -> String {
    format!("id: {cursor}\nevent: reset\ndata: {{\"reason\":\"{}\"}}\n\n", reason.as_str())
}

/// Whether a frame is one of [`gap_frame`]. A record's events have no name.
#[must_use]
pub fn is_gap(frame: &str) -> bool {
    frame.lines().nth(1).is_some_and(|line| line.starts_with("event: "))
}

/// The frame of a position that is lost. The empty id makes the client forget its position. It would otherwise resume
/// from it, and be reset, again and again.
#[must_use]
pub fn reset_frame(reason: ResetReason) -> String {
    format!("id\nevent: reset\ndata: {{\"reason\":\"{}\"}}\n\n", reason.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{channel::Channel, cursor::Position};

    #[test]
    fn each_event_of_a_record_has_its_id() {
        let position = Position { epoch: 2, offset: 3 };
        let cursor = Cursor::of_record(&Channel::parse("chat").unwrap(), 1, position);
        let events = ["{\"a\":\r\n1}".to_owned(), "2".to_owned()];
        let expected = "id: v2.chat.2.1.3-0\ndata: {\"a\":  1}\n\nid: v2.chat.2.1.3\ndata: 2\n\n";
        assert_eq!(record_frame(&cursor, &events), expected);
        assert_eq!(
            gap_frame(&cursor, ResetReason::Parked),
            "id: v2.chat.2.1.3\nevent: reset\ndata: {\"reason\":\"parked\"}\n\n"
        );
        assert!(is_gap(&gap_frame(&cursor, ResetReason::Parked)) && !is_gap(&record_frame(&cursor, &events)));
        assert_eq!(reset_frame(ResetReason::BadCursor), "id\nevent: reset\ndata: {\"reason\":\"bad_cursor\"}\n\n");
    }
}
