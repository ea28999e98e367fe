//! A hub with its storage and the sockets of its clients.

use std::{
    cell::{Cell, RefCell},
    ops::Range,
    rc::Rc,
};

use causeway_protocol::{
    buffer::cases::{Received, received_in},
    channel::Channel,
    cursor::{Cursor, Position},
    deliver::{Item, Source},
    frame::record_frame,
};

use super::super::*;
use crate::stream::sql_buffer::sqlite::{Failed, Sqlite};

pub(super) type Storage = Sqlite;

pub(super) struct World {
    pub(super) database: Sqlite,
    pub(super) now_ms: u64,
    pub(super) clients: Vec<Client>,
    /// Otherwise what the hub holds is stored at once.
    holds: bool,
    hub: Option<Hub<Sqlite, Client>>,
    doubts: Vec<Doubt>,
}

/// The worker's end of a socket. Clones are the same socket.
#[derive(Debug, Clone, Default)]
pub(super) struct Client(Rc<Socket>);

#[derive(Debug, Default)]
struct Socket {
    attachment: RefCell<Option<String>>,
    attachments_written: Cell<usize>,
    texts: RefCell<Vec<String>>,
    closed: Cell<Option<CloseReason>>,
}

impl StreamSocket for Client {
    fn attachment(&self) -> Option<String> {
        self.0.attachment.borrow().clone()
    }

    fn attach(&self, text: &str) {
        self.0.attachments_written.set(self.0.attachments_written.get() + 1);
        self.0.attachment.replace(Some(text.to_owned()));
    }

    fn send(&self, text: &str) {
        assert_eq!(self.closed(), None, "nothing is sent to a closed socket");
        self.0.texts.borrow_mut().push(text.to_owned());
    }

    fn close(&self, reason: CloseReason) {
        self.0.closed.set(Some(reason));
    }
}

impl Client {
    pub(super) fn closed(&self) -> Option<CloseReason> {
        self.0.closed.get()
    }

    pub(super) fn attachments_written(&self) -> usize {
        self.0.attachments_written.get()
    }

    /// The messages since the last call.
    pub(super) fn texts(&self) -> Vec<String> {
        self.0.texts.take()
    }

    /// The events of each message since the last call.
    pub(super) fn messages(&self) -> Vec<Vec<Received>> {
        self.texts().iter().map(|text| events_in(text).1).collect()
    }

    /// The events since the last call.
    pub(super) fn take(&self) -> Vec<Received> {
        self.messages().concat()
    }
}

/// The number of a message's last record, and its events.
pub(super) fn events_in(text: &str) -> (i64, Vec<Received>) {
    let Ok(HubMessage::Frames(head, frames)) = HubMessage::parse(text) else { panic!("frames: {text}") };
    let events = received_in(frames);
    let is_record = |event: &&Received| matches!(event, Received::Record(_));
    if events.iter().all(|event| is_record(&event)) {
        assert_eq!(head.records, i64::try_from(events.len()).unwrap());
    }
    if let Some(Received::Record(last)) = events.last() {
        assert_eq!(head.id.map(|id| id.to_string()).as_ref(), Some(last), "the id that the client then has");
    }
    (head.seq, events)
}

impl World {
    pub(super) fn new() -> Self {
        let now_ms = 1_800_000_000_000;
        Self { database: Sqlite::new(), now_ms, clients: Vec::new(), holds: false, hub: None, doubts: Vec::new() }
    }

    /// Whose hub may hold records.
    pub(super) fn holding() -> Self {
        Self { holds: true, ..Self::new() }
    }

    /// The hub, which is loaded if it is not awake.
    pub(super) fn hub(&mut self) -> &mut Hub<Sqlite, Client> {
        self.load().unwrap()
    }

    fn load(&mut self) -> Result<&mut Hub<Sqlite, Client>, Failed> {
        self.clients.retain(|client| client.closed().is_none());
        let hub = match self.hub.take() {
            Some(hub) => hub,
            None => Hub::load(self.database.clone(), self.clients.clone(), self.doubts.clone())?,
        };
        self.doubts.clear();
        Ok(self.hub.insert(hub))
    }

    /// The hub leaves the memory, unless it waits for a timer.
    pub(super) fn hibernate(&mut self) {
        if self.hub.as_ref().is_none_or(|hub| hub.holds_until_ms().is_none()) {
            self.hub = None;
        }
    }

    /// The runtime loses the hub, and with it its sockets.
    pub(super) fn crash(&mut self) {
        self.hub = None;
        self.clients.iter().for_each(|client| client.close(CloseReason::Failed));
    }

    /// What a runtime does if an operation fails.
    fn fail(&mut self) {
        if let Some(hub) = self.hub.take() {
            self.doubts = hub.into_doubts();
        }
        self.clients.iter().for_each(|client| client.close(CloseReason::Failed));
    }

    pub(super) fn try_append(&mut self, slices: &[Slice]) -> Result<Outcome, Failed> {
        let (now_ms, holds) = (self.now_ms, self.holds);
        let result = self.load().and_then(|hub| match hub.append(slices, now_ms)? {
            Outcome::Held if !holds => hub.store_held(now_ms).map(|()| Outcome::Stored),
            outcome => Ok(outcome),
        });
        if result.is_err() {
            self.fail();
        }
        result
    }

    pub(super) fn append(&mut self, slices: &[Slice]) {
        assert_eq!(self.try_append(slices), Ok(Outcome::Stored));
    }

    pub(super) fn admit(&mut self, user_session: u8, channels: &[Channel]) -> Result<(), Rejection> {
        let opening = Opening { session: session(user_session), channels: channels.to_vec(), last_event_id: None };
        self.hub().admit(&opening).unwrap()
    }

    pub(super) fn open(&mut self, last_event_id: Option<&str>) -> Client {
        self.open_for(1, last_event_id, &[])
    }

    pub(super) fn open_for(&mut self, n: u8, last_event_id: Option<&str>, channels: &[Channel]) -> Client {
        let client = Client::default();
        let last_event_id = last_event_id.map(str::to_owned);
        let opening = Opening { session: session(n), channels: channels.to_vec(), last_event_id };
        let now_ms = self.now_ms;
        self.hub().open(client.clone(), opening, now_ms).unwrap();
        self.clients.push(client.clone());
        client
    }

    /// The client disconnects, and the hub notices.
    pub(super) fn disconnect(&mut self, client: &Client) {
        if let Some(id) = Hub::<Sqlite, _>::id_of(client)
            && let Some(hub) = &mut self.hub
        {
            hub.forget(id);
        }
        self.clients.retain(|other| !Rc::ptr_eq(&other.0, &client.0));
    }

    pub(super) fn acknowledge(&mut self, client: &Client, text: &str) {
        let now_ms = self.now_ms;
        let id = Hub::<Sqlite, _>::id_of(client).unwrap();
        self.hub().acknowledge(id, text, now_ms).unwrap();
    }

    /// Takes and acknowledges until nothing more is sent.
    pub(super) fn read_all(&mut self, client: &Client) -> Vec<Received> {
        let mut received = Vec::new();
        loop {
            let texts = client.texts();
            if texts.is_empty() {
                return received;
            }
            for text in texts {
                let (seq, events) = events_in(&text);
                received.extend(events);
                self.acknowledge(client, &format!("{{\"taken\":{seq}}}"));
            }
        }
    }
}

pub(super) fn session(n: u8) -> SessionHandle {
    SessionHandle::from_digest(&[n; 32])
}

pub(super) fn source() -> Source {
    Source { channel: Channel::parse("chat").unwrap(), partition: 0, epoch: 1, generation: 1 }
}

pub(super) fn slice_from(partition: i32, offsets: Range<i64>) -> Slice {
    let source = Source { partition, ..source() };
    let item = |offset| Item { offset, frame: frame_at(&source, offset), ..Item::default() };
    Slice { items: offsets.map(item).collect(), after: None, source }
}

pub(super) fn frame_at(source: &Source, offset: i64) -> String {
    let cursor = Cursor::of_record(&source.channel, source.partition, source.at(offset));
    record_frame(&cursor, &[offset.to_string()])
}

pub(super) fn slice_of(offsets: Range<i64>) -> Slice {
    slice_from(0, offsets)
}

pub(super) fn records(offsets: Range<i64>) -> [Slice; 1] {
    [slice_of(offsets)]
}

pub(super) fn id(offset: i64) -> String {
    Cursor::of_record(&source().channel, 0, Position { epoch: 1, offset }).to_string()
}

pub(super) fn record(partition: i32, offset: i64) -> Received {
    Received::Record(format!("v2.chat.1.{partition}.{offset}"))
}

pub(super) fn received(offsets: Range<i64>) -> Vec<Received> {
    offsets.map(|offset| record(0, offset)).collect()
}

pub(super) fn reset(reason: ResetReason) -> Received {
    Received::Reset(reason)
}
