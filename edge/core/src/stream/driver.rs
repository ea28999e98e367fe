//! Drives one client's SSE stream: the hub's messages and timers in, SSE bytes out, acknowledgements back.
//!
//! - [`socket`]: a connection to the hub, as a runtime provides it
//! - `connection`: one that is opened again when it breaks
//! - `missed`: what the hub no longer has, from the bridge
//!
//! The client pulls. The driver takes the next message of the hub only after the client has taken the previous bytes,
//! and the hub sends at most a window ahead. Dropping the stream drops the connection.

mod connection;
mod missed;
pub mod socket;

use std::{collections::VecDeque, pin::pin, time::Duration};

use causeway_protocol::{
    feed::{Feed, FeedPolicy, Step},
    hub::{Ack, EndReason, HubMessage},
    subject::Subject,
};
use futures_util::{
    future::{Either, LocalBoxFuture, select},
    stream::{LocalBoxStream, Stream, unfold},
};

use self::{
    connection::{Connection, Event},
    missed::Missed,
    socket::{HubConnector, HubSocket},
};
use crate::runtime::{
    clock::Clock,
    platform::{BridgeAccess, ClientDisconnect, HttpClient, OpenStream, Opened},
    unavailable::Unavailable,
};

/// Bytes of a client's stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    text: String,
    /// Where they begin. A message of the hub stays in one piece, with its first line before the events.
    from: usize,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes().get(self.from..).unwrap_or_default()
    }
}

impl From<String> for Chunk {
    fn from(text: String) -> Self {
        Self { text, from: 0 }
    }
}

/// The bytes of a client's stream.
pub type Chunks = LocalBoxStream<'static, Chunk>;

/// Opens a client's stream where the client left off.
///
/// # Errors
/// The hub did not answer.
pub async fn open<P, H>(platform: P, hub: H, request: &OpenStream) -> Result<Opened<Chunks>, Unavailable>
where
    P: Clock + ClientDisconnect + HttpClient + 'static,
    H: HubConnector + 'static,
{
    let opened = hub.open(request.last_event_id.as_deref()).await?;
    Ok(opened.map(|socket| Box::pin(drive(platform, hub, socket, request)) as Chunks))
}

fn drive<P, H>(platform: P, hub: H, socket: HubSocket, request: &OpenStream) -> impl Stream<Item = Chunk> + 'static
where
    P: Clock + ClientDisconnect + HttpClient + 'static,
    H: HubConnector + 'static,
{
    let now_ms = platform.now_ms();
    let (feed, first) = Feed::open(FeedPolicy::default(), now_ms, request.session_ends_in, request.jitter);
    let driver = Driver {
        connection: Connection::new(hub, socket, request, now_ms),
        client_left: platform.client_disconnected(),
        platform,
        feed,
        first: Some(first),
        missed: None,
        waiting: VecDeque::new(),
        subject: request.subject.clone(),
        bridge: request.bridge.clone(),
        ack: None,
        ended: false,
        timer: None,
    };
    unfold(driver, |mut driver| async move {
        let chunk = driver.next().await?;
        Some((chunk, driver))
    })
}

struct Driver<P, H> {
    platform: P,
    connection: Connection<H>,
    client_left: LocalBoxFuture<'static, ()>,
    feed: Feed,
    first: Option<Step>,
    /// Passed on before the hub's next message.
    missed: Option<Missed>,
    /// The hub's messages that wait for it, no more than a window of them. An end does not wait.
    waiting: VecDeque<String>,
    subject: Subject,
    bridge: BridgeAccess,
    /// Sent at the next pull: only then has the client taken the bytes before it.
    ack: Option<Ack>,
    ended: bool,
    timer: Option<Timer>,
}

/// A timer that is not set again for each message. What it waits for may be put off; then it looks again.
struct Timer {
    at_ms: u64,
    sleep: LocalBoxFuture<'static, ()>,
}

impl<P: Clock + HttpClient, H: HubConnector + 'static> Driver<P, H> {
    async fn next(&mut self) -> Option<Chunk> {
        if let Some(first) = self.first.take() {
            return Some(first.bytes.into());
        }
        loop {
            if let Some(ack) = self.ack.take()
                && let Ok(text) = serde_json::to_string(&ack)
            {
                self.connection.send(&text);
            }
            if self.ended {
                return None;
            }
            let chunk = if self.missed.is_some() { self.on_missed().await? } else { self.on_next_event().await? };
            if !chunk.as_ref().is_empty() {
                return Some(chunk);
            }
        }
    }

    /// Gets the next part of what the hub no longer has. Returns what the client gets, which may be nothing, or `None` if
    /// the stream ends. Timers and the session's end do not wait for the rest.
    async fn on_missed(&mut self) -> Option<Chunk> {
        let Some(missed) = &mut self.missed else { return Some(String::new().into()) };
        let now_ms = self.platform.now_ms();
        if self.feed.next_timer_ms() <= now_ms {
            let step = self.feed.on_timer(now_ms);
            self.ended = step.end;
            return Some(step.bytes.into());
        }
        let part = {
            // Boxed, so that a stream that misses nothing does not hold the memory that a call of the bridge needs.
            let mut part = Box::pin(missed.next(&self.platform, &self.bridge, &self.subject));
            loop {
                let message = pin!(self.connection.next_of_open(&self.platform));
                match select(&mut self.client_left, select(&mut part, message)).await {
                    Either::Left(_) => return None,
                    Either::Right((Either::Left((part, _)), _)) => break part,
                    Either::Right((Either::Right((text, _)), _)) => {
                        if let HubMessage::End(reason) = HubMessage::parse(&text).ok()? {
                            self.ended = true;
                            return Some(self.feed.on_end(self.platform.now_ms(), reason).bytes.into());
                        }
                        self.waiting.push_back(text);
                    }
                }
            }
        };
        let Some(part) = part else {
            self.missed = None;
            return Some(String::new().into());
        };
        self.connection.move_to(Some(part.position));
        let chunk = Chunk { text: part.text, from: part.from };
        if !chunk.as_ref().is_empty() {
            self.feed.on_events(self.platform.now_ms());
        }
        Some(chunk)
    }

    /// Waits for the hub, for the client's leaving or for a timer. Returns what the client gets, which may be nothing, or
    /// `None` if the stream ends.
    async fn on_next_event(&mut self) -> Option<Chunk> {
        let now_ms = self.platform.now_ms();
        if let Some(text) = self.waiting.pop_front() {
            return self.pass_on(now_ms, text);
        }
        let due_ms = self.feed.next_timer_ms().min(self.connection.next_timer_ms());
        let timer = match &mut self.timer {
            Some(timer) if timer.at_ms <= due_ms => timer,
            slot => {
                let sleep = self.platform.sleep(Duration::from_millis(due_ms.saturating_sub(now_ms)));
                slot.insert(Timer { at_ms: due_ms, sleep })
            }
        };
        let event = {
            let next = pin!(self.connection.next(&self.platform));
            let waiting = select(next, &mut timer.sleep);
            match select(&mut self.client_left, waiting).await {
                // The connection ends with the client, and must not be opened again for it.
                Either::Left(_) => return None,
                Either::Right((Either::Left((event, _)), _)) => Some(event),
                Either::Right((Either::Right(_), _)) => None,
            }
        };
        let now_ms = self.platform.now_ms();
        let step = match event {
            Some(Event::Message(text)) => return self.pass_on(now_ms, text),
            // The hub remembers that the session ended, not why.
            Some(Event::SessionEnded) => self.feed.on_end(now_ms, EndReason::Revoked),
            Some(Event::Lost) => return None,
            None => {
                self.timer = None;
                if !self.connection.on_timer(&self.platform) {
                    return None;
                }
                self.feed.on_timer(now_ms)
            }
        };
        self.ended = step.end;
        Some(step.bytes.into())
    }

    /// A message of the hub for the client. One that is unknown is of another version: the stream ends, and the client
    /// resumes where both ends have that version.
    fn pass_on(&mut self, now_ms: u64, text: String) -> Option<Chunk> {
        match HubMessage::parse(&text).ok()? {
            HubMessage::Frames(head, frames) => {
                let bytes = frames.len();
                self.ack = self.feed.on_frames(now_ms, &head, bytes);
                self.connection.move_to(head.id);
                Some(Chunk { from: text.len().saturating_sub(bytes), text })
            }
            HubMessage::Missing(until) => {
                self.missed = Some(Missed::new(self.connection.position(), until));
                Some(String::new().into())
            }
            HubMessage::End(reason) => {
                self.ended = true;
                Some(self.feed.on_end(now_ms, reason).bytes.into())
            }
        }
    }
}

#[cfg(test)]
mod tests;
