//! A Durable Object per user: `causeway_core::stream::hub` on SQLite and hibernating WebSockets.

use std::cell::OnceCell;

use causeway_core::{
    runtime::dependency::Dependency,
    stream::{
        hub::{self, Rejection, StreamPosition, StreamSocket},
        sql_buffer::{Database, Parameter, SqlBuffer},
    },
};
use causeway_protocol::{deliver::Record, hub::EndReason, session::SessionHandle};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use worker::{
    DurableObject, Env, Error, Request, Response, Result, ScheduledTime, SqlStorage, SqlStorageValue, State, WebSocket,
    WebSocketIncomingMessage, WebSocketPair, durable_object,
};

use crate::{now_ms, object};

/// The dependency that errors name.
pub(crate) const DEPENDENCY: Dependency = Dependency::Hub;
/// The operation that appends records.
pub(crate) const APPEND: &str = "append";
/// The operation that opens a stream.
pub(crate) const OPEN: &str = "open";
/// The operation that ends a session's streams.
pub(crate) const END: &str = "end";
/// The header of [`OPEN`] with the session's handle, which becomes the socket's tag.
pub(crate) const SESSION_HEADER: &str = "causeway-session";
/// The header of [`OPEN`] with the client's `Last-Event-ID`.
pub(crate) const LAST_EVENT_ID_HEADER: &str = "last-event-id";

/// The body of [`END`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) session: SessionHandle,
    pub(crate) reason: EndReason,
}

/// The Durable Object of one user.
#[durable_object]
#[derive(Debug)]
pub struct UserHub {
    state: State,
    /// Opened when first used, because that can fail.
    buffer: OnceCell<SqlBuffer<ObjectDatabase>>,
}

impl DurableObject for UserHub {
    fn new(state: State, _env: Env) -> Self {
        Self { state, buffer: OnceCell::new() }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let buffer = self.buffer()?;
        match object::operation(&request).as_str() {
            APPEND => {
                let records: Vec<Record> = serde_json::from_str(&request.text().await?)?;
                hub::append(buffer, &self.sockets(), &records, now_ms())?;
                self.schedule_trim().await?;
                Response::ok("null")
            }
            OPEN => {
                let headers = request.headers();
                let session =
                    headers.get(SESSION_HEADER)?.and_then(|text| SessionHandle::parse(&text)).ok_or("no session")?;
                let last_event_id = headers.get(LAST_EVENT_ID_HEADER)?;
                match hub::admit(buffer, &session, self.state.get_websockets().len())? {
                    Ok(()) => {}
                    Err(Rejection::SessionEnded) => return Response::error("session ended", object::GONE),
                    Err(Rejection::TooManyStreams) => return Response::error("too many streams", object::FULL),
                }
                let pair = WebSocketPair::new()?;
                self.state.accept_websocket_with_tags(&pair.server, &[session.as_str()]);
                hub::open(buffer, &Socket(pair.server), last_event_id.as_deref(), now_ms())?;
                Response::from_websocket(pair.client)
            }
            END => {
                let End { session, reason } = serde_json::from_str(&request.text().await?)?;
                let sockets: Vec<_> =
                    self.state.get_websockets_with_tag(session.as_str()).into_iter().map(Socket).collect();
                hub::end(buffer, &sockets, &session, reason, now_ms())?;
                for socket in sockets {
                    // Fails if it is closed already.
                    let _ = socket.0.close(Some(1000), Some("session ended"));
                }
                Response::ok("null")
            }
            _ => Response::error("no such operation", 404),
        }
    }

    async fn websocket_message(&self, socket: WebSocket, message: WebSocketIncomingMessage) -> Result<()> {
        if let WebSocketIncomingMessage::String(text) = message {
            hub::acknowledge(self.buffer()?, &Socket(socket), &text, now_ms())?;
        }
        Ok(())
    }

    async fn websocket_close(&self, socket: WebSocket, _code: usize, _reason: String, _clean: bool) -> Result<()> {
        // Answers the close. Fails if the runtime has answered it.
        let _ = socket.close(Some(1000), Some("stream closed"));
        Ok(())
    }

    async fn websocket_error(&self, _socket: WebSocket, _error: Error) -> Result<()> {
        Ok(())
    }

    async fn alarm(&self) -> Result<Response> {
        hub::trim(self.buffer()?, now_ms())?;
        self.schedule_trim().await?;
        Response::empty()
    }
}

impl UserHub {
    fn buffer(&self) -> Result<&SqlBuffer<ObjectDatabase>> {
        if let Some(buffer) = self.buffer.get() {
            return Ok(buffer);
        }
        let buffer = SqlBuffer::open(ObjectDatabase(self.state.storage().sql()))?;
        Ok(self.buffer.get_or_init(|| buffer))
    }

    fn sockets(&self) -> Vec<Socket> {
        self.state.get_websockets().into_iter().map(Socket).collect()
    }

    /// Sets the alarm that deletes expired records even if the user never returns.
    async fn schedule_trim(&self) -> Result<()> {
        let storage = self.state.storage();
        if storage.get_alarm().await?.is_none()
            && let Some(at_ms) = hub::next_trim_ms(self.buffer()?)?
        {
            storage.set_alarm(ScheduledTime::new(js_sys::Date::new(&(at_ms as f64).into()))).await?;
        }
        Ok(())
    }
}

/// The object's SQLite database.
#[derive(Debug)]
struct ObjectDatabase(SqlStorage);

impl Database for ObjectDatabase {
    type Error = Error;

    fn execute<R: DeserializeOwned>(&self, statement: &str, parameters: &[Parameter<'_>]) -> Result<Vec<R>> {
        let parameters: Vec<SqlStorageValue> = parameters
            .iter()
            .map(|parameter| match *parameter {
                Parameter::Integer(number) => number.into(),
                Parameter::Text(text) => text.into(),
            })
            .collect();
        self.0.exec(statement, parameters)?.to_array()
    }
}

/// A stream's socket. Its position is in the attachment, which survives hibernation.
struct Socket(WebSocket);

impl StreamSocket for Socket {
    fn position(&self) -> StreamPosition {
        // `hub::open` sets the position of every socket before it is first read.
        self.0.deserialize_attachment().ok().flatten().unwrap_or_default()
    }

    fn set_position(&self, position: StreamPosition) {
        // A socket that rejects an attachment is closing, and sends nothing more either.
        let _ = self.0.serialize_attachment(position);
    }

    fn send(&self, text: &str) {
        // A closing socket rejects messages. Its client resumes from its cursor.
        let _ = self.0.send_with_str(text);
    }

    fn close(&self) {
        // Fails if it is closed already.
        let _ = self.0.close(Some(1013), Some("acknowledged nothing"));
    }
}
