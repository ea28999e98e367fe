//! A user's hub: the buffer of the user's last records and the streams that read it.
//!
//! A runtime provides storage and sockets. This module decides what is stored, skipped, sent and withheld. A [`Hub`]
//! exists while the runtime's object is awake. It knows what the buffer contains, so that a batch costs one statement.
//!
//! Records are numbered as they arrive (`seq`), which gives a user one order over all partitions. A stream is *level*
//! if it was sent every record that it hears. A batch goes to the level streams first. It is stored then, in the same
//! event, or held for a moment and stored with what follows. If storing fails, the runtime drops the hub and closes its
//! sockets: they may have been sent what is not stored.
//!
//! - `socket`: what a runtime provides of a stream
//! - `batch`: what of a delivery is new, and its numbers
//! - `held`: records that were sent, and are stored in a moment
//! - `contents`: what the hub knows of its buffer
//! - `reader`: a stream's state, in memory and in the socket's attachment
//! - `window`: what is sent to a stream and not acknowledged
//! - `resume`: where a client continues
//! - `lost`: why a client can't simply go on
//! - `doubt`: records that were sent and not stored
//! - `history`: a page of earlier events
//! - `trim`: what goes when the buffer is full or old

use std::collections::BTreeMap;

use causeway_protocol::{
    buffer::{END_REMEMBERED, HOLD, MAX_AGE, MAX_HOLD, MAX_STALL, MAX_USER_STREAMS},
    deliver::{Outcome, Slice},
    hub::{Ack, EndReason, HubMessage, ResetReason},
    session::SessionHandle,
};

use self::{
    batch::Batch,
    contents::Contents,
    held::Held,
    lost::{Lost, missing},
    reader::Reader,
};
use crate::{
    runtime::clock::millis,
    stream::sql_buffer::{Database, SqlBuffer},
};

mod batch;
mod contents;
mod doubt;
mod held;
mod history;
mod lost;
mod reader;
mod resume;
mod socket;
mod trim;
mod window;

pub use doubt::Doubt;
pub use socket::{CloseReason, Opening, StreamSocket};

/// Why a stream is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// The session ended. The isolate that opened the stream did not know it yet.
    SessionEnded,
    /// The user has the maximum number of streams.
    TooManyStreams,
    /// An attachment has no room for so many channels.
    TooManyChannels,
}

/// The longest names of a stream's channels together, in bytes. Cloudflare allows 2 KiB for an attachment.
const MAX_CHANNEL_BYTES: usize = 1400;

/// The storage failed. Nothing that was asked for may be acknowledged.
pub type Failure<D> = <D as Database>::Error;

/// A user's hub while it is awake.
#[derive(Debug)]
pub struct Hub<D, S> {
    buffer: SqlBuffer<D>,
    contents: Contents,
    /// Part of the contents, but not of the buffer.
    held: Held,
    /// When records were stored last. `None` before the first time.
    stored_at_ms: Option<u64>,
    doubts: Vec<Doubt>,
    /// By their id, which is in their attachment.
    readers: BTreeMap<u64, Reader<S>>,
}

impl<D: Database, S: StreamSocket> Hub<D, S> {
    /// Loads a hub from its storage and its sockets. `doubts` are those of a hub that failed, see [`Hub::into_doubts`].
    ///
    /// # Errors
    /// The storage failed.
    pub fn load(database: D, sockets: impl IntoIterator<Item = S>, doubts: Vec<Doubt>) -> Result<Self, Failure<D>> {
        let buffer = SqlBuffer::open(database)?;
        let contents = Contents::load(&buffer)?;
        let stored: Vec<Doubt> = buffer.doubts()?;
        let mut doubts = doubt::merged(doubts.into_iter().chain(stored.clone()));
        doubts.retain(|doubt| !contents.has_trimmed(doubt));
        if doubts != stored {
            buffer.put_doubts(&doubts)?;
        }
        let readers = sockets.into_iter().filter_map(Reader::load).collect();
        Ok(Self { buffer, contents, held: Held::default(), stored_at_ms: None, doubts, readers })
    }

    /// What the next hub must know if this one failed.
    #[must_use]
    pub fn into_doubts(self) -> Vec<Doubt> {
        self.doubts.into_iter().chain(self.held.into_doubt()).collect()
    }

    /// The id of a socket's stream.
    #[must_use]
    pub fn id_of(socket: &S) -> Option<u64> {
        reader::id_of(socket)
    }

    /// Sends new records to the streams, and stores or holds them. Known ones are skipped. Without new ones, it stores
    /// what it holds.
    ///
    /// # Errors
    /// The storage failed.
    pub fn append(&mut self, slices: &[Slice], now_ms: u64) -> Result<Outcome, Failure<D>> {
        let batch = match Batch::new(&self.contents, slices) {
            Ok(batch) => batch,
            Err(outcome) => return Ok(outcome),
        };
        if !self.held.continues_with(&batch) {
            self.store_held(now_ms)?;
        }
        // A client names the last record that it has, which tells nothing of another partition's. So records of several
        // partitions are stored before they are sent.
        let is_sent_first = batch.has_one_source();
        let is_sent = is_sent_first && self.push(&batch, now_ms);
        if is_sent_first {
            self.held.note_sent(&batch, &self.contents, is_sent);
        }
        if self.may_hold(&batch, now_ms) {
            self.held.add(&batch, now_ms);
            batch.note(&mut self.contents, now_ms);
            return Ok(Outcome::Held);
        }
        self.held.store(&self.buffer)?;
        batch.store(&self.buffer, now_ms)?;
        self.held = Held::default();
        self.stored_at_ms = Some(now_ms);
        let finished = batch.note(&mut self.contents, now_ms);
        if !is_sent_first {
            self.push(&batch, now_ms);
        }
        for pieces in finished {
            self.buffer.empty_pieces(pieces.source, &pieces.message, pieces.first_seq, pieces.last_seq)?;
        }
        self.expire(now_ms)?;
        self.trim_excess()?;
        self.settle(now_ms);
        Ok(Outcome::Stored)
    }

    /// Whether records are held instead of stored: if others were stored just now, no stream waits for a page of the
    /// buffer, and all are of one source. If a hub is lost with what it held, a client that has it tells by its id, which
    /// says nothing of other sources.
    fn may_hold(&self, batch: &Batch<'_>, now_ms: u64) -> bool {
        let is_soon = |at_ms: u64| now_ms.saturating_sub(at_ms) < millis(HOLD);
        self.stored_at_ms.is_some_and(is_soon)
            && self.contents.has_one_source()
            && batch.is_plain(&self.contents)
            && !self.held.is_full()
            && self.has_room(batch, now_ms)
            && self.readers.values().all(|reader| reader.waits_since_ms().is_none())
    }

    /// The time at which [`Hub::store_held`] is due, whatever else happens.
    #[must_use]
    pub fn holds_until_ms(&self) -> Option<u64> {
        (!self.held.is_empty()).then(|| self.held.since_ms.saturating_add(millis(MAX_HOLD)))
    }

    /// Stores what it holds.
    ///
    /// # Errors
    /// The storage failed.
    pub fn store_held(&mut self, now_ms: u64) -> Result<(), Failure<D>> {
        if !self.held.is_empty() {
            self.held.store(&self.buffer)?;
            self.held = Held::default();
            self.stored_at_ms = Some(now_ms);
        }
        Ok(())
    }

    /// Whether a session may open another stream beside the user's open ones.
    ///
    /// # Errors
    /// The storage failed.
    pub fn admit(&self, opening: &Opening) -> Result<Result<(), Rejection>, Failure<D>> {
        if self.buffer.has_ended(&opening.session)? {
            return Ok(Err(Rejection::SessionEnded));
        }
        if self.readers.len() >= MAX_USER_STREAMS {
            return Ok(Err(Rejection::TooManyStreams));
        }
        // With quotation marks and a comma.
        let channel_bytes: usize = opening.channels.iter().map(|channel| channel.as_str().len() + 3).sum();
        Ok(if channel_bytes > MAX_CHANNEL_BYTES { Err(Rejection::TooManyChannels) } else { Ok(()) })
    }

    /// Opens a stream: finds where its client continues, tells it if that is lost, and sends the records after it.
    ///
    /// # Errors
    /// The storage failed.
    pub fn open(&mut self, socket: S, opening: Opening, now_ms: u64) -> Result<(), Failure<D>> {
        self.store_held(now_ms)?;
        self.expire(now_ms)?;
        // After the id of any stream whose close was not reported yet.
        let id = self.readers.last_key_value().map_or(0, |(&last, _)| last.saturating_add(1)).max(now_ms);
        let last_event_id = opening.last_event_id.clone();
        let mut reader = Reader::new(socket, id, opening);
        let reset = match self.resume(&mut reader, last_event_id.as_deref(), now_ms)? {
            Some(Lost::Missing(until)) => {
                reader.send_missing(until);
                None
            }
            Some(Lost::Reset(reason)) => Some(reason),
            None => None,
        };
        self.readers.insert(id, reader);
        self.feed(id, reset)
    }

    /// Handles a message of a stream: its acknowledgement moves its window, and what then fits is sent.
    ///
    /// # Errors
    /// The storage failed.
    pub fn acknowledge(&mut self, id: u64, text: &str, now_ms: u64) -> Result<(), Failure<D>> {
        // Anything else is ignored: only Causeway's own streams hold these sockets.
        let Ok(Ack { taken }) = serde_json::from_str(text) else { return Ok(()) };
        let Some(reader) = self.readers.get_mut(&id) else { return Ok(()) };
        reader.acknowledge(taken, now_ms);
        self.feed(id, None)
    }

    /// Forgets a stream whose socket has closed.
    pub fn forget(&mut self, id: u64) {
        self.readers.remove(&id);
    }

    /// Ends a session: tells its streams, closes them, and lets [`Hub::admit`] reject further ones.
    ///
    /// # Errors
    /// The storage failed. No stream has been told.
    pub fn end(&mut self, session: &SessionHandle, reason: EndReason, now_ms: u64) -> Result<(), Failure<D>> {
        self.buffer.remember_end(session, now_ms, now_ms.saturating_sub(millis(END_REMEMBERED)))?;
        self.readers.retain(|_, reader| {
            if reader.session() != session {
                return true;
            }
            reader.socket().send(&HubMessage::End(reason).to_text());
            reader.socket().close(CloseReason::SessionEnded);
            false
        });
        Ok(())
    }

    /// The time at which [`Hub::expire`] is due if nothing arrives before.
    #[must_use]
    pub fn next_expiry_ms(&self) -> Option<u64> {
        self.contents.oldest_at_ms.map(|at_ms| at_ms.saturating_add(millis(MAX_AGE) + 1))
    }

    /// Sends a batch to the level streams, as far as their windows have room. Returns whether anything was sent.
    fn push(&mut self, batch: &Batch<'_>, now_ms: u64) -> bool {
        let mut is_sent = false;
        for reader in self.readers.values_mut() {
            is_sent |= reader.push(batch, now_ms);
        }
        is_sent
    }

    /// Saves the streams' states, and closes those whose clients take nothing.
    fn settle(&mut self, now_ms: u64) {
        self.readers.retain(|_, reader| {
            reader.save();
            let waits_ms = reader.waits_since_ms().map_or(0, |since_ms| now_ms.saturating_sub(since_ms));
            let is_stalled = waits_ms > millis(MAX_STALL);
            if is_stalled {
                reader.socket().close(CloseReason::Stalled);
            }
            !is_stalled
        });
    }

    /// Sends to a stream that is behind what fits into its window, until it is level.
    fn feed(&mut self, id: u64, mut reset: Option<ResetReason>) -> Result<(), Failure<D>> {
        let Some(reader) = self.readers.get_mut(&id) else { return Ok(()) };
        let sources = reader.sources(&self.contents);
        let (newest, trimmed) = (self.contents.newest_of(&sources), self.contents.trimmed_of(&sources));
        while let Some((after, records, bytes)) = reader.next_page() {
            // A reset that was due anyway says it already.
            if after < trimmed && reset.is_none() {
                let missing = reader.at().and_then(|at| missing(&self.contents, &self.doubts, reader, at, after));
                match missing {
                    Some(until) => reader.send_missing(until),
                    None => reset = Some(ResetReason::TooSlow),
                }
            }
            let after = after.max(trimmed);
            let page = if after < newest { self.buffer.page(&sources, after, records, bytes)? } else { Vec::new() };
            reader.send_page(&self.contents, after, &page, reset.take());
        }
        reader.save();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
