//! A stream that reads from the hub. What must survive hibernation is in its socket's attachment, which is written when
//! it changes: for a level stream only once.

use causeway_protocol::{
    channel::{Channel, hears},
    cursor::{Cursor, Position},
    frame::reset_frame,
    hub::{Head, HubMessage, ResetReason},
    session::SessionHandle,
};
use serde::{Deserialize, Serialize};

use super::{
    batch::{Batch, NewRecord},
    contents::Contents,
    socket::{CloseReason, Opening, StreamSocket},
    window::Window,
};
use crate::stream::sql_buffer::StoredRecord;

/// An open stream.
#[derive(Debug)]
pub(super) struct Reader<S> {
    socket: S,
    state: Attachment,
    window: Window,
    /// Whether the state differs from the socket's attachment.
    is_unsaved: bool,
}

/// A stream's state.
#[derive(Debug, Serialize, Deserialize)]
struct Attachment {
    id: u64,
    session: SessionHandle,
    /// Empty means all.
    channels: Vec<Channel>,
    /// Where the client is once it has taken everything that it was sent. Of a level stream it is not kept here for long:
    /// after hibernation it is known again with the next record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<Cursor>,
    /// The client has the records of this partition up to here, though they were not stored when it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ahead: Option<Cursor>,
    /// `None` if the stream is level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    behind: Option<Behind>,
}

/// The position of a stream that was not sent everything.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Behind {
    /// The last record that it was sent.
    sent: i64,
    /// Since when it has acknowledged nothing.
    since_ms: u64,
}

/// The id in a socket's attachment.
pub(super) fn id_of(socket: &impl StreamSocket) -> Option<u64> {
    #[derive(Deserialize)]
    struct Id {
        id: u64,
    }
    serde_json::from_str(&socket.attachment()?).ok().map(|Id { id }| id)
}

impl<S: StreamSocket> Reader<S> {
    /// A stream that has not begun.
    pub(super) fn new(socket: S, id: u64, opening: Opening) -> Self {
        let Opening { session, channels, .. } = opening;
        let state = Attachment { id, session, channels, at: None, ahead: None, behind: None };
        Self { socket, state, window: Window::default(), is_unsaved: true }
    }

    /// A stream that was open before hibernation, by its id.
    pub(super) fn load(socket: S) -> Option<(u64, Self)> {
        let state: Option<Attachment> = socket.attachment().and_then(|text| serde_json::from_str(&text).ok());
        let Some(state) = state else {
            // Opening it failed. It would never receive anything.
            socket.close(CloseReason::Failed);
            return None;
        };
        let window = Window::after_hibernation(state.behind.is_some());
        let at = state.at.clone().filter(|_| state.behind.is_some());
        Some((state.id, Self { socket, state: Attachment { at, ..state }, window, is_unsaved: false }))
    }

    pub(super) fn socket(&self) -> &S {
        &self.socket
    }

    pub(super) fn session(&self) -> &SessionHandle {
        &self.state.session
    }

    /// Whether the stream hears a channel.
    pub(super) fn hears(&self, channel: &Channel) -> bool {
        hears(&self.state.channels, channel.as_str())
    }

    /// The ids of the sources that the stream hears.
    pub(super) fn sources(&self, contents: &Contents) -> Vec<i64> {
        contents.sources_of(|channel| self.hears(channel))
    }

    /// Since when records wait for an acknowledgement.
    pub(super) fn waits_since_ms(&self) -> Option<u64> {
        self.state.behind.map(|behind| behind.since_ms)
    }

    /// Where the client is once it has taken everything that it was sent, if that is known.
    pub(super) fn at(&self) -> Option<&Cursor> {
        self.state.at.as_ref()
    }

    /// Begins after a number, with a client that is at `at`, and without the records up to `ahead`.
    pub(super) fn start(&mut self, after: i64, at: Option<Cursor>, ahead: Option<Cursor>, now_ms: u64) {
        self.state.at = at;
        self.state.ahead = ahead;
        self.set_behind(Some(Behind { sent: after, since_ms: now_ms }));
    }

    /// Sends what fits of a batch if the stream is level. Returns whether that is anything.
    pub(super) fn push(&mut self, batch: &Batch<'_>, now_ms: u64) -> bool {
        if self.state.behind.is_some() {
            return false;
        }
        let room = self.window.room();
        let mut message = Message::default();
        for record in &batch.records {
            if !self.wants(record) {
                continue;
            }
            if !room.is_some_and(|room| message.has_room(room)) {
                self.set_behind(Some(Behind { sent: record.seq.saturating_sub(1), since_ms: now_ms }));
                break;
            }
            message.add(record.seq, record.cursor(), &record.item.frame);
        }
        self.send(message)
    }

    fn wants(&self, record: &NewRecord<'_>) -> bool {
        !record.item.frame.is_empty()
            && self.hears(&record.source.channel)
            && !self.has(&record.source.channel, record.source.partition, record.position())
    }

    /// Whether the client has a record, though it was not stored when the stream began.
    fn has(&self, channel: &Channel, partition: i32, position: Position) -> bool {
        self.state.ahead.as_ref().is_some_and(|ahead| {
            ahead.partition == partition && ahead.channel == *channel && ahead.position >= position
        })
    }

    /// The page to read next: after which number, and how many records and bytes. Nothing if the stream is level or its
    /// window is full.
    pub(super) fn next_page(&self) -> Option<(i64, i64, i64)> {
        let behind = self.state.behind?;
        let (records, bytes) = self.window.room()?;
        Some((behind.sent, records, bytes))
    }

    /// Sends the page after a number. If it is empty, the stream is level.
    pub(super) fn send_page(
        &mut self,
        contents: &Contents,
        after: i64,
        page: &[StoredRecord],
        reset: Option<ResetReason>,
    ) {
        let mut message = Message { seq: after, ..Message::default() };
        message.frames = reset.map(reset_frame).unwrap_or_default();
        for StoredRecord { seq, source, epoch, offset, frame } in page {
            let Some(source) = contents.source_of(*source) else { continue };
            let position = Position { epoch: *epoch, offset: *offset };
            if !self.has(&source.channel, source.partition, position) {
                message.add(*seq, Cursor::of_record(&source.channel, source.partition, position), frame);
            }
        }
        self.send(message);
        let since_ms = self.waits_since_ms().unwrap_or(0);
        self.set_behind(page.last().map(|last| Behind { sent: last.seq, since_ms }));
    }

    /// Has what the client misses up to a record read from Kafka, before anything that is sent later.
    pub(super) fn send_missing(&mut self, until: Cursor) {
        self.socket.send(&HubMessage::Missing(until.clone()).to_text());
        self.state.at = Some(until);
        self.is_unsaved = true;
    }

    fn send(&mut self, message: Message) -> bool {
        let Message { seq, records, id, frames } = message;
        if frames.is_empty() {
            return false;
        }
        self.state.at.clone_from(&id);
        if records > 0 {
            self.window.sent(seq, records, frames.len());
        }
        self.socket.send(&HubMessage::Frames(Head { seq, records, id }, &frames).to_text());
        true
    }

    /// Notes that the client has taken what it was sent up to a number.
    pub(super) fn acknowledge(&mut self, taken: i64, now_ms: u64) {
        if self.window.acknowledge(taken)
            && let Some(behind) = self.state.behind
        {
            self.set_behind(Some(Behind { since_ms: now_ms, ..behind }));
        }
    }

    fn set_behind(&mut self, behind: Option<Behind>) {
        self.state.behind = behind;
        self.is_unsaved = true;
    }

    /// Attaches the state if it changed.
    pub(super) fn save(&mut self) {
        if std::mem::take(&mut self.is_unsaved)
            && let Ok(text) = serde_json::to_string(&self.state)
        {
            self.socket.attach(&text);
        }
    }
}

/// A message that is being made.
#[derive(Debug, Default)]
struct Message {
    seq: i64,
    records: i64,
    id: Option<Cursor>,
    frames: String,
}

impl Message {
    fn has_room(&self, (records, bytes): (i64, i64)) -> bool {
        self.records < records && i64::try_from(self.frames.len()).is_ok_and(|length| length < bytes)
    }

    fn add(&mut self, seq: i64, cursor: Cursor, frame: &str) {
        self.seq = seq;
        self.records = self.records.saturating_add(1);
        self.id = Some(cursor);
        self.frames.push_str(frame);
    }
}
