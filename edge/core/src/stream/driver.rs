//! Drives one client's SSE stream: hub messages and timers in, SSE bytes out, acknowledgements back.
//!
//! The client pulls. The driver takes the next hub message only after the client has taken the previous bytes, and the hub
//! sends at most a window ahead. Dropping the stream drops the socket.

use std::{fmt, time::Duration};

use causeway_protocol::{
    feed::{Feed, FeedPolicy, Step},
    hub::HubMessage,
};
use futures_util::{
    future::{Either, select},
    stream::{LocalBoxStream, Stream, StreamExt as _, unfold},
};

use crate::runtime::{clock::Clock, platform::OpenStream};

/// A connection to a user's hub. Dropping it closes it.
pub struct HubSocket {
    /// [`HubMessage`]s as JSON. Ends when the hub closes the connection.
    pub messages: LocalBoxStream<'static, String>,
    /// Sends a [`causeway_protocol::hub::Ack`] as JSON.
    pub acknowledge: Box<dyn Fn(String)>,
}

impl fmt::Debug for HubSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HubSocket")
    }
}

struct Driver<C> {
    clock: C,
    socket: HubSocket,
    feed: Feed,
    /// What the next pull returns and acknowledges.
    due: Step,
    ended: bool,
}

/// The bytes of a client's stream.
pub fn drive<C: Clock + 'static>(
    clock: C,
    socket: HubSocket,
    open: &OpenStream,
) -> impl Stream<Item = Vec<u8>> + 'static {
    let (feed, first) = Feed::open(FeedPolicy::default(), clock.now_ms(), open.session_ends_in, open.jitter);
    let driver = Driver { clock, socket, feed, due: first, ended: false };
    unfold(driver, |mut driver| async move {
        let bytes = driver.next().await?;
        Some((bytes.into_bytes(), driver))
    })
}

impl<C: Clock> Driver<C> {
    async fn next(&mut self) -> Option<String> {
        loop {
            let step = std::mem::take(&mut self.due);
            if !step.bytes.is_empty() {
                self.ended = step.end;
                // Sent at the next pull: only then has the client taken these bytes.
                self.due.ack = step.ack;
                return Some(step.bytes);
            }
            if let Some(ack) = step.ack
                && let Ok(ack) = serde_json::to_string(&ack)
            {
                (self.socket.acknowledge)(ack);
            }
            if self.ended {
                return None;
            }
            self.due = self.next_step().await?;
        }
    }

    async fn next_step(&mut self) -> Option<Step> {
        let wait_ms = self.feed.next_timer_ms().saturating_sub(self.clock.now_ms());
        let timer = self.clock.sleep(Duration::from_millis(wait_ms));
        match select(self.socket.messages.next(), timer).await {
            Either::Left((message, _)) => {
                // The stream ends if the hub closes or sends an unknown message. The client resumes from its cursor.
                let message: HubMessage = serde_json::from_str(&message?).ok()?;
                Some(self.feed.on_message(self.clock.now_ms(), &message))
            }
            Either::Right(_) => Some(self.feed.on_timer(self.clock.now_ms())),
        }
    }
}

#[cfg(test)]
mod tests;
