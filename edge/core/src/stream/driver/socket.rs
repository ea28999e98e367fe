//! A connection to a user's hub, as a runtime provides it.

use std::{fmt, future::Future};

use futures_util::stream::LocalBoxStream;

use crate::runtime::{platform::Opened, unavailable::Unavailable};

/// Opens connections to one user's hub, for one session and the channels that it hears.
pub trait HubConnector {
    /// Opens a connection that begins after an SSE id.
    ///
    /// # Errors
    /// The hub did not answer.
    fn open(&self, last_event_id: Option<&str>) -> impl Future<Output = Result<Opened<HubSocket>, Unavailable>>;
}

/// A connection to a user's hub. Dropping it closes it.
pub struct HubSocket {
    /// The messages of [`causeway_protocol::hub`] as text: `HubMessage` and `PONG`. Ends when the connection does.
    pub messages: LocalBoxStream<'static, String>,
    /// Sends a message of [`causeway_protocol::hub`]: `Ack` as JSON, or `PING`.
    pub send: Box<dyn Fn(&str)>,
}

impl fmt::Debug for HubSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HubSocket")
    }
}
