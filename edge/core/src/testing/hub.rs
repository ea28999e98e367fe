//! A user's hub in memory: what it stores, the streams that read it, and the faults that a test can set.
//!
//! It stores each item once, by partition and position, and forgets none unless it is told to. It has no window: what a stream does not read
//! waits.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::pending,
    rc::{Rc, Weak},
    task::Poll,
};

use causeway_protocol::{
    channel::{Channel, hears},
    cursor::{Cursor, Position},
    deliver::{Outcome, Slice},
    frame::reset_frame,
    history::{BufferedPage, HistoryPage, HistoryRequest, reaches},
    hub::{EndReason, Head, HubMessage, PING, PONG, ResetReason},
    session::SessionHandle,
};
use futures_util::stream::poll_fn;

use crate::{
    runtime::{
        dependency::Dependency,
        platform::{OpenStream, Opened},
        unavailable::Unavailable,
    },
    stream::driver::socket::{HubConnector, HubSocket},
};

/// A user's hub.
#[derive(Debug, Default)]
pub struct InMemoryHub {
    /// The items, in the order of their arrival.
    stored: RefCell<Vec<Stored>>,
    marks: RefCell<BTreeMap<(Channel, i32), Mark>>,
    /// The last item that was forgotten.
    forgotten: RefCell<Option<Cursor>>,
    sockets: RefCell<Vec<Weak<Socket>>>,
    ended: RefCell<Vec<SessionHandle>>,
    /// The ids with which connections were opened.
    pub opened_after: RefCell<Vec<Option<String>>>,
    /// How many of the next attempts to open a connection fail.
    pub failing_opens: Cell<u32>,
    /// Whether attempts to open a connection never complete.
    pub open_hangs: Cell<bool>,
    /// Whether the user has the maximum number of streams.
    pub full: Cell<bool>,
}

/// What is known of a partition.
#[derive(Debug, Default)]
struct Mark {
    /// The last item's.
    position: Option<Position>,
    /// The reader's.
    generation: u64,
}

#[derive(Debug)]
struct Stored {
    cursor: Cursor,
    frame: String,
}

/// A stream's connection, as the hub holds it.
#[derive(Debug)]
struct Socket {
    session: SessionHandle,
    channels: Vec<Channel>,
    /// What the stream has not read yet.
    unread: RefCell<VecDeque<String>>,
    is_closed: Cell<bool>,
    /// Whether nothing passes any more, without a sign of it at either end.
    is_cut: Cell<bool>,
    /// What the stream sent.
    sent: RefCell<Vec<String>>,
}

impl InMemoryHub {
    /// Carries out an append.
    pub fn append(&self, slices: &str) -> Outcome {
        let Ok(slices) = serde_json::from_str::<Vec<Slice>>(slices) else { return Outcome::Refused };
        let mut marks = self.marks.borrow_mut();
        let key = |slice: &Slice| (slice.source.channel.clone(), slice.source.partition);
        let is_stale =
            |slice: &Slice| marks.get(&key(slice)).is_some_and(|mark| slice.source.generation < mark.generation);
        if slices.iter().any(is_stale) {
            return Outcome::Stale;
        }
        for slice in slices {
            let mark = marks.entry(key(&slice)).or_default();
            mark.generation = mark.generation.max(slice.source.generation);
            for item in slice.items {
                let position = slice.source.at(item.offset);
                if mark.position.is_some_and(|last| last >= position) {
                    continue;
                }
                mark.position = Some(position);
                let cursor = Cursor::of_record(&slice.source.channel, slice.source.partition, position);
                self.stored.borrow_mut().push(Stored { cursor, frame: item.frame });
                let last = self.stored.borrow().len() - 1;
                self.sockets().iter().for_each(|socket| self.send(socket, last));
            }
        }
        Outcome::Stored
    }

    /// A page of what it has of a partition, which is that of the position, or of the newest item.
    pub fn history(&self, request: &HistoryRequest) -> Option<HistoryPage> {
        let stored = self.stored.borrow();
        let of_channel = || {
            stored
                .iter()
                .rev()
                .map(|one| (&one.cursor, &one.frame))
                .filter(|(cursor, _)| cursor.channel == request.channel)
        };
        let Cursor { partition, .. } = *request.before.as_ref().or(of_channel().next().map(|(cursor, _)| cursor))?;
        let of_partition = || of_channel().filter(|(cursor, _)| cursor.partition == partition);
        let newest = of_partition().next()?.0.position;
        if !reaches(newest, request.before.as_ref()) {
            return None;
        }
        let mut page = BufferedPage::new(request, partition, newest.epoch);
        let is_before =
            |cursor: &Cursor| request.before.as_ref().is_none_or(|before| cursor.position < before.position);
        for (cursor, frame) in of_partition().filter(|(cursor, _)| is_before(cursor)) {
            if cursor.position.epoch != newest.epoch || !page.add(cursor.position.offset, frame) {
                break;
            }
        }
        page.finish()
    }

    fn open(&self, session: &SessionHandle, channels: &[Channel], last_event_id: Option<&str>) -> Opened<HubSocket> {
        self.opened_after.borrow_mut().push(last_event_id.map(str::to_owned));
        if self.ended.borrow().contains(session) {
            return Opened::SessionEnded;
        }
        if self.full.get() {
            return Opened::TooManyStreams;
        }
        let socket = Rc::new(Socket {
            session: session.clone(),
            channels: channels.to_vec(),
            unread: RefCell::default(),
            is_closed: Cell::new(false),
            is_cut: Cell::new(false),
            sent: RefCell::default(),
        });
        let begin = match last_event_id.map(str::parse::<Cursor>) {
            None => Ok(0),
            Some(Err(_)) => Err(ResetReason::BadCursor),
            Some(Ok(cursor)) => {
                let stored = self.stored.borrow();
                let known = stored.iter().position(|one| one.cursor == Cursor { event: None, ..cursor.clone() });
                known.map(|at| at + usize::from(cursor.event.is_none())).ok_or(ResetReason::OutOfBuffer)
            }
        };
        let begin = match (begin, last_event_id.map(str::parse::<Cursor>), self.forgotten.borrow().clone()) {
            (Err(_), Some(Ok(cursor)), Some(last)) if cursor <= last => {
                if cursor < last {
                    socket.push(&HubMessage::Missing(last));
                }
                Ok(0)
            }
            (begin, ..) => begin,
        };
        if let Err(reason) = begin {
            socket.push(&HubMessage::Frames(Head { seq: 0, records: 0, id: None }, &reset_frame(reason)));
        }
        let count = self.stored.borrow().len();
        (begin.unwrap_or_default()..count).for_each(|at| self.send(&socket, at));
        self.sockets.borrow_mut().push(Rc::downgrade(&socket));
        Opened::Stream(hub_socket(socket))
    }

    /// Sends an item to a stream if it hears the item's channel.
    fn send(&self, socket: &Socket, at: usize) {
        let stored = self.stored.borrow();
        let Stored { cursor, frame } = &stored[at];
        if hears(&socket.channels, cursor.channel.as_str()) {
            let head = Head { seq: i64::try_from(at + 1).unwrap(), records: 1, id: Some(cursor.clone()) };
            socket.push(&HubMessage::Frames(head, frame));
        }
    }

    fn sockets(&self) -> Vec<Rc<Socket>> {
        let sockets = self.sockets.borrow();
        sockets.iter().filter_map(Weak::upgrade).filter(|socket| !socket.is_closed.get()).collect()
    }

    /// Ends a session's streams, and refuses it from now on.
    pub fn end_session(&self, session: &SessionHandle, reason: EndReason) {
        self.ended.borrow_mut().push(session.clone());
        for socket in self.sockets().iter().filter(|socket| socket.session == *session) {
            socket.push(&HubMessage::End(reason));
            socket.is_closed.set(true);
        }
    }

    /// Forgets the oldest items, as a hub that is full.
    pub fn forget(&self, count: usize) {
        self.forgotten.replace(self.stored.borrow_mut().drain(..count).next_back().map(|stored| stored.cursor));
    }

    /// Closes all connections, as if the hub were moved or deployed. What the streams have not read is lost.
    pub fn evict(&self) {
        for socket in self.sockets() {
            socket.unread.borrow_mut().clear();
            socket.is_closed.set(true);
        }
    }

    /// Cuts all connections without a sign of it at either end.
    pub fn cut(&self) {
        self.sockets().iter().for_each(|socket| socket.is_cut.set(true));
    }

    /// Sends a text to all streams.
    pub fn send_text(&self, text: &str) {
        self.sockets().iter().for_each(|socket| socket.push_text(text));
    }

    /// How many streams are open.
    pub fn open_streams(&self) -> usize {
        self.sockets().len()
    }

    /// What the open streams have sent.
    pub fn sent(&self) -> Vec<String> {
        self.sockets().iter().flat_map(|socket| socket.sent.borrow().clone()).collect()
    }

    /// The frames that are stored, in the order of their arrival.
    pub fn frames(&self) -> Vec<String> {
        self.stored.borrow().iter().map(|stored| stored.frame.clone()).collect()
    }
}

impl Socket {
    fn push(&self, message: &HubMessage<'_>) {
        self.push_text(&message.to_text());
    }

    fn push_text(&self, text: &str) {
        if !self.is_cut.get() {
            self.unread.borrow_mut().push_back(text.to_owned());
        }
    }
}

fn hub_socket(socket: Rc<Socket>) -> HubSocket {
    let reader = Rc::clone(&socket);
    // The executor polls it again; nothing wakes it.
    let messages = poll_fn(move |_| match reader.unread.borrow_mut().pop_front() {
        Some(text) => Poll::Ready(Some(text)),
        None if reader.is_closed.get() => Poll::Ready(None),
        None => Poll::Pending,
    });
    let send = move |text: &str| {
        socket.sent.borrow_mut().push(text.to_owned());
        if text == PING {
            socket.push_text(PONG);
        }
    };
    HubSocket { messages: Box::pin(messages), send: Box::new(send) }
}

/// Opens connections to a hub for a stream.
#[derive(Debug)]
pub struct InMemoryConnector {
    hub: Rc<InMemoryHub>,
    session: SessionHandle,
    channels: Vec<Channel>,
}

impl InMemoryConnector {
    /// A connector for the stream of a request.
    pub fn new(hub: Rc<InMemoryHub>, request: &OpenStream) -> Self {
        Self { hub, session: request.session.clone(), channels: request.channels.clone() }
    }
}

impl HubConnector for InMemoryConnector {
    async fn open(&self, last_event_id: Option<&str>) -> Result<Opened<HubSocket>, Unavailable> {
        let Self { hub, session, channels } = self;
        if hub.open_hangs.get() {
            pending::<()>().await;
        }
        if let Some(rest) = hub.failing_opens.get().checked_sub(1) {
            hub.failing_opens.set(rest);
            return Err(Unavailable::new(Dependency::Hub, "simulated outage"));
        }
        Ok(hub.open(session, channels, last_event_id))
    }
}
