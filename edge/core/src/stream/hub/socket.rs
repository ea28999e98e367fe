//! What a runtime provides of a stream: its socket, and what was asked for.

use causeway_protocol::{channel::Channel, session::SessionHandle};

/// A stream's socket, as the hub sees it.
pub trait StreamSocket {
    /// The text that was attached last. It survives the hub's hibernation.
    fn attachment(&self) -> Option<String>;
    /// Attaches a text, in place of the last one.
    fn attach(&self, text: &str);
    /// Sends a message. The runtime notices a socket that has closed.
    fn send(&self, text: &str);
    /// Closes the socket.
    fn close(&self, reason: CloseReason);
}

/// Why the hub closes a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The session ended, which the stream has been told.
    SessionEnded,
    /// The client takes nothing. It resumes when it reads again.
    Stalled,
    /// The storage failed. The client resumes at once.
    Failed,
}

/// A stream to open.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The session that reads.
    pub session: SessionHandle,
    /// The channels that it hears. Empty means all.
    pub channels: Vec<Channel>,
    /// The client's `Last-Event-ID`.
    pub last_event_id: Option<String>,
}
