//! A stream's connection to the user's hub. If it breaks, it is opened again after the last event that was passed on, and
//! the client notices nothing: hubs move, are deployed and fail.

use std::{collections::VecDeque, rc::Rc, time::Duration};

use causeway_protocol::{
    cursor::Cursor,
    hub::{PING, PONG},
};
use futures_util::{
    StreamExt as _,
    future::{LocalBoxFuture, pending},
};

use super::socket::{HubConnector, HubSocket};
use crate::runtime::{
    clock::{Clock, millis},
    platform::{OpenStream, Opened},
    unavailable::Unavailable,
};

/// How long to wait before the connection is opened again, for the first time within [`REOPEN_PERIOD`], the second, and
/// so on. The last one holds for all others.
const REOPEN_AFTER: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2)];
/// How often the connection is opened again within [`REOPEN_PERIOD`]. Beyond that the stream ends: its client resumes at
/// its own pace, and maybe elsewhere.
const MAX_REOPENS: usize = 5;
const REOPEN_PERIOD: Duration = Duration::from_mins(1);
/// How long the hub may take to open a connection again.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// After how much silence the hub is asked whether the connection still holds. A connection can break without a sign.
const PING_AFTER: Duration = Duration::from_secs(30);
/// How long the hub may take to answer.
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// A connection that is opened again when it breaks.
pub(super) struct Connection<H> {
    hub: Rc<H>,
    state: State,
    position: Position,
    /// Uniform in 0..=1.
    jitter: f64,
    /// When the connection was opened again within the last [`REOPEN_PERIOD`].
    reopened_at_ms: VecDeque<u64>,
}

enum State {
    Open {
        socket: HubSocket,
        /// When to ask the hub, or when its answer is due.
        timer_ms: u64,
        is_asked: bool,
        /// It has ended, and is opened again when its messages before that are passed on.
        is_broken: bool,
    },
    Opening {
        opened: LocalBoxFuture<'static, Result<Opened<HubSocket>, Unavailable>>,
        until_ms: u64,
    },
}

/// Where the connection is opened again.
enum Position {
    /// After the id that the client came with, if any: nothing has been passed on.
    OfClient(Option<String>),
    /// After the last event that was passed on. `None`: the client was told to forget its position.
    At(Option<Cursor>),
}

/// What a connection brings.
pub(super) enum Event {
    /// A message of the hub.
    Message(String),
    /// The session ended, as the hub said when the connection was to be opened again.
    SessionEnded,
    /// The connection broke and can't be opened again.
    Lost,
}

impl State {
    fn open(socket: HubSocket, now_ms: u64) -> Self {
        let timer_ms = now_ms.saturating_add(millis(PING_AFTER));
        Self::Open { socket, timer_ms, is_asked: false, is_broken: false }
    }
}

impl<H: HubConnector + 'static> Connection<H> {
    pub(super) fn new(hub: H, socket: HubSocket, request: &OpenStream, now_ms: u64) -> Self {
        Self {
            hub: Rc::new(hub),
            state: State::open(socket, now_ms),
            position: Position::OfClient(request.last_event_id.clone()),
            jitter: request.jitter,
            reopened_at_ms: VecDeque::new(),
        }
    }

    /// Notes which id the client has once it has taken what was passed on.
    pub(super) fn move_to(&mut self, id: Option<Cursor>) {
        self.position = Position::At(id);
    }

    /// The client's position, if it has one.
    pub(super) fn position(&self) -> Option<Cursor> {
        match &self.position {
            Position::OfClient(id) => id.as_deref().and_then(|id| id.parse().ok()),
            Position::At(id) => id.clone(),
        }
    }

    /// Sends a text to the hub, unless the connection has just broken. Then the hub needs no acknowledgement: the
    /// connection is opened after what would have been acknowledged.
    pub(super) fn send(&self, text: &str) {
        if let State::Open { socket, .. } = &self.state {
            (socket.send)(text);
        }
    }

    /// Waits for the next event. May be dropped while it waits, and called again.
    pub(super) async fn next(&mut self, clock: &impl Clock) -> Event {
        loop {
            let is_up = match &mut self.state {
                State::Open { is_broken: true, .. } => self.reopen(clock),
                State::Open { socket, timer_ms, is_asked, .. } => match socket.messages.next().await {
                    Some(text) => {
                        *timer_ms = clock.now_ms().saturating_add(millis(PING_AFTER));
                        *is_asked = false;
                        if text != PONG {
                            return Event::Message(text);
                        }
                        true
                    }
                    None => self.reopen(clock),
                },
                State::Opening { opened, .. } => match opened.await {
                    Ok(Opened::Stream(socket)) => {
                        self.state = State::open(socket, clock.now_ms());
                        true
                    }
                    Ok(Opened::SessionEnded) => return Event::SessionEnded,
                    Ok(Opened::TooManyStreams) => false,
                    Err(_) => self.reopen(clock),
                },
            };
            if !is_up {
                return Event::Lost;
            }
        }
    }

    /// Waits for the next message of a connection that is open, for ever once it has broken: the client's position must
    /// not be asked for before it has what came earlier. May be dropped while it waits, and called again.
    pub(super) async fn next_of_open(&mut self, clock: &impl Clock) -> String {
        while let State::Open { socket, timer_ms, is_asked, is_broken: is_broken @ false } = &mut self.state {
            match socket.messages.next().await {
                Some(text) => {
                    *timer_ms = clock.now_ms().saturating_add(millis(PING_AFTER));
                    *is_asked = false;
                    if text != PONG {
                        return text;
                    }
                }
                None => *is_broken = true,
            }
        }
        pending().await
    }

    /// The time at which [`Connection::on_timer`] is due.
    pub(super) fn next_timer_ms(&self) -> u64 {
        match self.state {
            State::Open { timer_ms, .. } => timer_ms,
            State::Opening { until_ms, .. } => until_ms,
        }
    }

    /// Asks a silent hub, or gives up a connection to one that does not answer. Returns whether the stream goes on.
    pub(super) fn on_timer(&mut self, clock: &impl Clock) -> bool {
        let now_ms = clock.now_ms();
        if now_ms < self.next_timer_ms() {
            return true;
        }
        match &mut self.state {
            State::Open { socket, timer_ms, is_asked, .. } if !*is_asked => {
                (socket.send)(PING);
                *timer_ms = now_ms.saturating_add(millis(PONG_WITHIN));
                *is_asked = true;
                true
            }
            _ => self.reopen(clock),
        }
    }

    /// Begins to open the connection again. Returns whether that may still be tried.
    fn reopen(&mut self, clock: &impl Clock) -> bool {
        let now_ms = clock.now_ms();
        self.reopened_at_ms.retain(|at_ms| now_ms.saturating_sub(*at_ms) < millis(REOPEN_PERIOD));
        let earlier = self.reopened_at_ms.len();
        if earlier >= MAX_REOPENS {
            return false;
        }
        self.reopened_at_ms.push_back(now_ms);
        let wait = REOPEN_AFTER.get(earlier).or(REOPEN_AFTER.last()).copied().unwrap_or_default();
        // A hub that was deployed lost all its streams at once.
        let wait = wait.mul_f64(0.5 + self.jitter.clamp(0.0, 1.0));
        let pause = (!wait.is_zero()).then(|| clock.sleep(wait));
        let (hub, last_event_id) = (Rc::clone(&self.hub), self.position.last_event_id());
        let opened = Box::pin(async move {
            if let Some(pause) = pause {
                pause.await;
            }
            hub.open(last_event_id.as_deref()).await
        });
        self.state = State::Opening { opened, until_ms: now_ms.saturating_add(millis(wait + OPEN_TIMEOUT)) };
        true
    }
}

impl Position {
    fn last_event_id(&self) -> Option<String> {
        match self {
            Self::OfClient(id) => id.clone(),
            Self::At(id) => id.as_ref().map(Cursor::to_string),
        }
    }
}
