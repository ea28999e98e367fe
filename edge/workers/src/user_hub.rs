//! A Durable Object per user: `causeway_core::stream::hub` on SQLite and hibernating WebSockets.

use std::cell::Cell;

use causeway_core::{
    runtime::dependency::Dependency,
    stream::hub::{self, Buffer, Rejection, StoredRecord, StreamPosition, StreamSocket, Watermark},
};
use causeway_protocol::{cursor::Cursor, deliver::Record, hub::EndReason, session::SessionHandle};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use worker::{
    Date, DurableObject, Env, Error, Request, Response, Result, ScheduledTime, SqlStorage, SqlStorageValue, State,
    WebSocket, WebSocketIncomingMessage, WebSocketPair, durable_object,
};

use crate::object;

/// The name of this part in errors.
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

const SCHEMA: [&str; 4] = [
    "CREATE TABLE IF NOT EXISTS records (seq INTEGER PRIMARY KEY AUTOINCREMENT, cursor TEXT NOT NULL UNIQUE, \
     json TEXT NOT NULL, bytes INTEGER NOT NULL, at_ms INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS watermarks (part INTEGER PRIMARY KEY, cursor TEXT NOT NULL, seq INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS records_by_age ON records (at_ms)",
    "CREATE TABLE IF NOT EXISTS ended (session TEXT PRIMARY KEY, at_ms INTEGER NOT NULL)",
];

/// The object.
#[durable_object]
#[derive(Debug)]
pub struct UserHub {
    state: State,
    /// Whether this object has run [`SCHEMA`] since it was started.
    has_schema: Cell<bool>,
}

impl DurableObject for UserHub {
    fn new(state: State, _env: Env) -> Self {
        Self { state, has_schema: Cell::new(false) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let buffer = self.buffer()?;
        match object::operation(&request).as_str() {
            APPEND => {
                let records: Vec<Record> = serde_json::from_str(&request.text().await?)?;
                hub::append(&buffer, &self.sockets(), &records, now_ms())?;
                self.schedule_trim().await?;
                Response::ok("null")
            }
            OPEN => {
                let headers = request.headers();
                let session =
                    headers.get(SESSION_HEADER)?.and_then(|text| SessionHandle::parse(&text)).ok_or("no session")?;
                let last_event_id = headers.get(LAST_EVENT_ID_HEADER)?;
                match hub::admit(&buffer, &session, self.state.get_websockets().len())? {
                    Ok(()) => {}
                    Err(Rejection::SessionEnded) => return Response::error("session ended", object::GONE),
                    Err(Rejection::TooManyStreams) => return Response::error("too many streams", object::FULL),
                }
                let pair = WebSocketPair::new()?;
                self.state.accept_websocket_with_tags(&pair.server, &[session.as_str()]);
                hub::open(&buffer, &Socket(pair.server), last_event_id.as_deref(), now_ms())?;
                Response::from_websocket(pair.client)
            }
            END => {
                let End { session, reason } = serde_json::from_str(&request.text().await?)?;
                let sockets: Vec<_> =
                    self.state.get_websockets_with_tag(session.as_str()).into_iter().map(Socket).collect();
                hub::end(&buffer, &sockets, &session, reason, now_ms())?;
                for socket in sockets {
                    // Fails if it is closed already.
                    let _ = socket.0.close(Some(1000), Some("session over"));
                }
                Response::ok("null")
            }
            _ => Response::error("no such operation", 404),
        }
    }

    async fn websocket_message(&self, socket: WebSocket, message: WebSocketIncomingMessage) -> Result<()> {
        if let WebSocketIncomingMessage::String(text) = message {
            hub::acknowledge(&self.buffer()?, &Socket(socket), &text, now_ms())?;
        }
        Ok(())
    }

    async fn websocket_close(&self, socket: WebSocket, _code: usize, _reason: String, _clean: bool) -> Result<()> {
        // Answers the close. Fails if the runtime has answered it.
        let _ = socket.close(Some(1000), Some("stream over"));
        Ok(())
    }

    async fn websocket_error(&self, _socket: WebSocket, _error: Error) -> Result<()> {
        Ok(())
    }

    async fn alarm(&self) -> Result<Response> {
        hub::trim(&self.buffer()?, now_ms())?;
        self.schedule_trim().await?;
        Response::empty()
    }
}

impl UserHub {
    /// The buffer, whose tables exist.
    fn buffer(&self) -> Result<SqlBuffer> {
        let sql = self.state.storage().sql();
        if !self.has_schema.get() {
            for statement in SCHEMA {
                sql.exec(statement, None)?;
            }
            self.has_schema.set(true);
        }
        Ok(SqlBuffer(sql))
    }

    fn sockets(&self) -> Vec<Socket> {
        self.state.get_websockets().into_iter().map(Socket).collect()
    }

    /// Sets the alarm that deletes expired records even if the user never returns.
    async fn schedule_trim(&self) -> Result<()> {
        let storage = self.state.storage();
        if storage.get_alarm().await?.is_none()
            && let Some(at_ms) = hub::next_trim_ms(&self.buffer()?)?
        {
            storage.set_alarm(ScheduledTime::new(js_sys::Date::new(&(at_ms as f64).into()))).await?;
        }
        Ok(())
    }
}

fn now_ms() -> u64 {
    Date::now().as_millis()
}

struct SqlBuffer(SqlStorage);

#[derive(Deserialize)]
struct SeqRow {
    seq: i64,
}

#[derive(Deserialize)]
struct AgeRow {
    at_ms: u64,
}

#[derive(Deserialize)]
struct WatermarkRow {
    cursor: Cursor,
    seq: i64,
}

#[derive(Deserialize)]
struct RecordRow {
    seq: i64,
    cursor: Cursor,
    json: String,
}

#[derive(Deserialize)]
struct SumRow {
    bytes: usize,
}

impl SqlBuffer {
    fn rows<T: DeserializeOwned>(&self, query: &str, values: Vec<SqlStorageValue>) -> Result<Vec<T>> {
        self.0.exec(query, values)?.to_array()
    }
}

/// A number for SQLite. JavaScript passes it as a double, which is exact for every time and count, but not for every `u64`.
fn integer(number: u64) -> SqlStorageValue {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

impl Buffer for SqlBuffer {
    type Error = Error;

    fn watermark(&self, partition: i32) -> Result<Option<Watermark>> {
        let rows = self.rows("SELECT cursor, seq FROM watermarks WHERE part = ?", vec![partition.into()])?;
        Ok(rows.into_iter().next().map(|WatermarkRow { cursor, seq }| Watermark { cursor, seq }))
    }

    fn insert(&self, cursor: Cursor, json: &str, at_ms: u64) -> Result<()> {
        let bytes = integer(json.len() as u64);
        let id = cursor.to_string();
        self.0.exec(
            "INSERT OR IGNORE INTO records (cursor, json, bytes, at_ms) VALUES (?, ?, ?, ?)",
            vec![id.as_str().into(), json.into(), bytes, integer(at_ms)],
        )?;
        self.0.exec(
            "INSERT INTO watermarks (part, cursor, seq) SELECT ?, cursor, seq FROM records WHERE cursor = ? \
             ON CONFLICT (part) DO UPDATE SET cursor = excluded.cursor, seq = excluded.seq",
            vec![cursor.partition.into(), id.into()],
        )?;
        Ok(())
    }

    fn seq_of(&self, cursor: Cursor) -> Result<Option<i64>> {
        let rows = self.rows("SELECT seq FROM records WHERE cursor = ?", vec![cursor.to_string().into()])?;
        Ok(rows.into_iter().next().map(|SeqRow { seq }| seq))
    }

    fn after(&self, seq: i64, limit: u32) -> Result<Vec<StoredRecord>> {
        let rows = self.rows(
            "SELECT seq, cursor, json FROM records WHERE seq > ? ORDER BY seq LIMIT ?",
            vec![seq.into(), integer(limit.into())],
        )?;
        Ok(rows.into_iter().map(|RecordRow { seq, cursor, json }| StoredRecord { seq, cursor, json }).collect())
    }

    fn bytes_between(&self, from: i64, to: i64) -> Result<usize> {
        let query = "SELECT COALESCE(SUM(bytes), 0) AS bytes FROM records WHERE seq > ? AND seq <= ?";
        let rows = self.rows(query, vec![from.into(), to.into()])?;
        Ok(rows.into_iter().next().map_or(0, |SumRow { bytes }| bytes))
    }

    fn last_seq(&self) -> Result<i64> {
        let rows = self.rows("SELECT COALESCE(MAX(seq), 0) AS seq FROM watermarks", Vec::new())?;
        Ok(rows.into_iter().next().map_or(0, |SeqRow { seq }| seq))
    }

    fn oldest_at_ms(&self) -> Result<Option<u64>> {
        let rows = self.rows("SELECT at_ms FROM records ORDER BY seq LIMIT 1", Vec::new())?;
        Ok(rows.into_iter().next().map(|AgeRow { at_ms }| at_ms))
    }

    fn remember_end(&self, session: &SessionHandle, at_ms: u64, forget_before_ms: u64) -> Result<()> {
        self.0.exec("DELETE FROM ended WHERE at_ms < ?", vec![integer(forget_before_ms)])?;
        self.0.exec(
            "INSERT OR REPLACE INTO ended (session, at_ms) VALUES (?, ?)",
            vec![session.as_str().into(), integer(at_ms)],
        )?;
        Ok(())
    }

    fn has_ended(&self, session: &SessionHandle) -> Result<bool> {
        let rows: Vec<AgeRow> =
            self.rows("SELECT at_ms FROM ended WHERE session = ?", vec![session.as_str().into()])?;
        Ok(!rows.is_empty())
    }

    fn trim(&self, up_to_seq: i64, older_than_ms: u64) -> Result<()> {
        let values = vec![up_to_seq.into(), integer(older_than_ms)];
        self.0.exec("DELETE FROM records WHERE seq <= ? OR at_ms < ?", values)?;
        Ok(())
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
        let _ = self.0.close(Some(1013), Some("took nothing"));
    }
}
