//! A Durable Object per user: `causeway_core::stream::hub` on SQLite and hibernating WebSockets.
//!
//! Its class is written by hand, because all of it is synchronous: a delivery is one call into the Wasm, and out of it
//! one for each socket and one for the statement. What waits is in `js/entry.js`.
//!
//! - [`crossing`]: the functions of `js/user_hub.js`

use std::cell::{Cell, RefCell};

use causeway_core::{
    runtime::dependency::Dependency,
    stream::{
        hub::{CloseReason, Doubt, Hub, Opening, Rejection, StreamSocket},
        sql_buffer::Database,
    },
};
use causeway_protocol::{
    channel::Channel,
    deliver::{Outcome, Slice},
    history::HistoryRequest,
    hub::{EndReason, PING, PONG},
    session::SessionHandle,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use web_sys::Headers;
use worker::Error;

use crate::{now_ms, object};

mod crossing;

/// The dependency that errors name.
pub(crate) const DEPENDENCY: Dependency = Dependency::Hub;
/// The operation that appends the JSON of [`Slice`]s. It answers with an [`Outcome`].
pub(crate) const APPEND: &str = "append";
/// The operation that reads a page of history. Its argument is a [`HistoryRequest`], its answer an optional page.
pub(crate) const HISTORY: &str = "history";
/// The operation that opens a stream.
pub(crate) const OPEN: &str = "open";
/// The operation that ends a session's streams.
pub(crate) const END: &str = "end";
/// The header of [`OPEN`] with the session's handle.
pub(crate) const SESSION_HEADER: &str = "causeway-session";
/// The header of [`OPEN`] with the client's `Last-Event-ID`.
pub(crate) const LAST_EVENT_ID_HEADER: &str = "last-event-id";
/// The header of [`OPEN`] with the channels that the stream hears, separated by commas. Without it, it hears all.
pub(crate) const CHANNELS_HEADER: &str = "causeway-channels";

/// The body of [`END`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) session: SessionHandle,
    pub(crate) reason: EndReason,
}

type ObjectHub = Hub<ObjectDatabase, Socket>;

/// The Durable Object of one user.
#[wasm_bindgen]
#[derive(Debug)]
pub struct UserHub {
    state: JsValue,
    /// Loaded when it is first used.
    hub: RefCell<Option<ObjectHub>>,
    /// What a hub left behind that failed.
    doubts: RefCell<Vec<Doubt>>,
    /// Whether the alarm is known to be set.
    has_alarm: Cell<bool>,
}

#[wasm_bindgen]
impl UserHub {
    /// The object while it is awake.
    #[wasm_bindgen(constructor)]
    pub fn new(state: JsValue) -> Self {
        crossing::answer_pings(&state, PING, PONG);
        Self { state, hub: RefCell::default(), doubts: RefCell::default(), has_alarm: Cell::new(false) }
    }

    /// Appends records: the JSON of a list of [`Slice`]s in, that of an [`Outcome`] out.
    ///
    /// # Errors
    /// The storage failed.
    pub fn append(&self, slices: &str) -> Result<String, JsValue> {
        let outcome = match serde_json::from_str::<Vec<Slice>>(slices) {
            Ok(slices) => self.with_hub(|hub| hub.append(&slices, now_ms()))?,
            Err(_) => Outcome::Refused,
        };
        serde_json::to_string(&outcome).map_err(|error| Error::from(error).into())
    }

    /// Reads a page of history: the JSON of a [`HistoryRequest`] in, that of the page or `null` out.
    ///
    /// # Errors
    /// The request is none, or the storage failed.
    pub fn history(&self, request: &str) -> Result<String, JsValue> {
        let request: HistoryRequest = serde_json::from_str(request).map_err(Error::from)?;
        let page = self.with_hub(|hub| hub.history(&request, now_ms()))?;
        serde_json::to_string(&page).map_err(|error| Error::from(error).into())
    }

    /// For how many milliseconds the hub may hold what it has not stored yet.
    #[wasm_bindgen(js_name = holdsForMs)]
    pub fn holds_for_ms(&self) -> Option<f64> {
        let until_ms = self.hub.borrow().as_ref().and_then(ObjectHub::holds_until_ms)?;
        Some(until_ms.saturating_sub(now_ms()) as f64)
    }

    /// Stores what the hub holds, if it is time.
    ///
    /// # Errors
    /// The storage failed.
    #[wasm_bindgen(js_name = storeHeld)]
    pub fn store_held(&self) -> Result<(), JsValue> {
        if self.holds_for_ms() == Some(0.0) { self.with_hub(|hub| hub.store_held(now_ms())) } else { Ok(()) }
    }

    /// Opens a stream with the headers of its request. Returns the status of the answer.
    ///
    /// # Errors
    /// There is no session, or the storage failed.
    pub fn open(&self, headers: &Headers, socket: JsValue) -> Result<u16, JsValue> {
        let session = headers.get(SESSION_HEADER)?.and_then(|text| SessionHandle::parse(&text));
        let channels = headers.get(CHANNELS_HEADER)?.unwrap_or_default();
        let channels: Result<Vec<_>, _> =
            channels.split(',').filter(|name| !name.is_empty()).map(Channel::parse).collect();
        let opening = Opening {
            session: session.ok_or_else(|| Error::from("no session"))?,
            channels: channels.map_err(|error| Error::from(error.to_string()))?,
            last_event_id: headers.get(LAST_EVENT_ID_HEADER)?,
        };
        self.with_hub(|hub| {
            if let Err(rejection) = hub.admit(&opening)? {
                return Ok(match rejection {
                    Rejection::SessionEnded => object::GONE,
                    Rejection::TooManyStreams => object::FULL,
                    Rejection::TooManyChannels => object::BAD,
                });
            }
            crossing::accept(&self.state, &socket)?;
            hub.open(Socket(socket), opening, now_ms())?;
            Ok(object::SWITCHING)
        })
    }

    /// Ends a session, whose JSON is that of [`End`].
    ///
    /// # Errors
    /// The body is none, or the storage failed.
    pub fn end(&self, body: &str) -> Result<String, JsValue> {
        let End { session, reason } = serde_json::from_str(body).map_err(Error::from)?;
        self.with_hub(|hub| hub.end(&session, reason, now_ms()))?;
        Ok("null".to_owned())
    }

    /// Handles a stream's acknowledgement.
    ///
    /// # Errors
    /// The storage failed.
    #[wasm_bindgen(js_name = webSocketMessage)]
    pub fn web_socket_message(&self, socket: JsValue, message: &JsValue) -> Result<(), JsValue> {
        let (Some(id), Some(text)) = (Hub::<ObjectDatabase, _>::id_of(&Socket(socket)), message.as_string()) else {
            return Ok(());
        };
        self.with_hub(|hub| hub.acknowledge(id, &text, now_ms()))
    }

    /// Forgets a stream that was closed. A hub that is not loaded does not know it.
    #[wasm_bindgen(js_name = webSocketClose)]
    pub fn web_socket_close(&self, socket: JsValue) {
        let socket = Socket(socket);
        if let Some(id) = Hub::<ObjectDatabase, _>::id_of(&socket)
            && let Some(hub) = self.hub.borrow_mut().as_mut()
        {
            hub.forget(id);
        }
        // Answers the close, unless the runtime has answered it.
        crossing::close(&socket.0, 1000, "stream closed");
    }

    /// Forgets a stream that failed.
    #[wasm_bindgen(js_name = webSocketError)]
    pub fn web_socket_error(&self, socket: JsValue) {
        self.web_socket_close(socket);
    }

    /// Deletes expired records even if the user never returns.
    ///
    /// # Errors
    /// The storage failed.
    pub fn alarm(&self) -> Result<(), JsValue> {
        self.has_alarm.set(false);
        self.with_hub(|hub| hub.expire(now_ms()))
    }
}

impl UserHub {
    /// Runs an operation. If it fails, the hub is loaded anew next time, and its streams are closed: they may have been
    /// sent what was not stored. They resume at once.
    fn with_hub<T>(&self, run: impl FnOnce(&mut ObjectHub) -> Result<T, JsValue>) -> Result<T, JsValue> {
        let loaded = match self.hub.take() {
            Some(hub) => Ok(hub),
            None => self.load(),
        };
        let result = loaded.and_then(|mut hub| match run(&mut hub) {
            Ok(value) => Ok((hub, value)),
            Err(error) => {
                self.doubts.replace(hub.into_doubts());
                Err(error)
            }
        });
        match result {
            Ok((hub, value)) => {
                self.ensure_alarm(&hub);
                self.hub.replace(Some(hub));
                Ok(value)
            }
            Err(error) => {
                for socket in crossing::open_sockets(&self.state).unwrap_or_default() {
                    Socket(socket).close(CloseReason::Failed);
                }
                Err(error)
            }
        }
    }

    fn load(&self) -> Result<ObjectHub, JsValue> {
        let sockets = crossing::open_sockets(&self.state)?.into_iter().map(Socket);
        let hub = Hub::load(ObjectDatabase(self.state.clone()), sockets, self.doubts.borrow().clone())?;
        // They are stored.
        self.doubts.take();
        Ok(hub)
    }

    fn ensure_alarm(&self, hub: &ObjectHub) {
        if !self.has_alarm.get()
            && let Some(at_ms) = hub.next_expiry_ms()
        {
            self.has_alarm.set(true);
            crossing::ensure_alarm(&self.state, at_ms as f64);
        }
    }
}

/// The object's SQLite database.
#[derive(Debug)]
struct ObjectDatabase(JsValue);

impl Database for ObjectDatabase {
    type Error = JsValue;

    fn execute_all(&self, statements: &str) -> Result<(), JsValue> {
        crossing::execute_all(&self.0, statements)
    }

    fn execute(&self, statement: &str, text: Option<&str>, numbers: &[i64]) -> Result<(), JsValue> {
        crossing::execute(&self.0, statement, text, &doubles(numbers))
    }

    fn query<R: DeserializeOwned>(
        &self,
        statement: &str,
        text: Option<&str>,
        numbers: &[i64],
    ) -> Result<Vec<R>, JsValue> {
        let rows = crossing::query(&self.0, statement, text, &doubles(numbers))?;
        serde_json::from_str(&rows).map_err(|error| Error::from(error).into())
    }
}

fn doubles(numbers: &[i64]) -> Vec<f64> {
    numbers.iter().map(|&number| number as f64).collect()
}

/// A stream's socket.
#[derive(Debug)]
struct Socket(JsValue);

impl StreamSocket for Socket {
    fn attachment(&self) -> Option<String> {
        crossing::attachment(&self.0)
    }

    fn attach(&self, text: &str) {
        crossing::attach(&self.0, text);
    }

    fn send(&self, text: &str) {
        crossing::send(&self.0, text);
    }

    fn close(&self, reason: CloseReason) {
        match reason {
            CloseReason::SessionEnded => crossing::close(&self.0, 1000, "session ended"),
            CloseReason::Stalled => crossing::close(&self.0, 1013, "acknowledged nothing"),
            CloseReason::Failed => crossing::close(&self.0, 1012, "storage failed"),
        }
    }
}
