//! A Durable Object per user: SQLite under the buffer and hibernating WebSockets under the streams of
//! `causeway_core::stream::hub`.

use causeway_core::stream::hub::{self, Buffer, Closed, Outlet, Place, Stored, Watermark};
use causeway_protocol::{cursor::Cursor, deliver::Record, hub::EndReason, session::SessionHandle};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use worker::{
    Date, DurableObject, Env, Error, Request, Response, Result, ScheduledTime, SqlStorage, SqlStorageValue, State,
    WebSocket, WebSocketIncomingMessage, WebSocketPair, durable_object,
};

use crate::object;

/// Its name in errors.
pub(crate) const PART: &str = "hub";
/// Appends records.
pub(crate) const APPEND: &str = "append";
/// Opens a stream.
pub(crate) const OPEN: &str = "open";
/// Ends a session's streams.
pub(crate) const END: &str = "end";
/// Carries the session's handle to [`OPEN`]; becomes the socket's tag.
pub(crate) const SESSION_HEADER: &str = "causeway-session";
/// Carries the client's place to [`OPEN`].
pub(crate) const LAST_EVENT_ID_HEADER: &str = "last-event-id";

/// What [`END`] takes.
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
}

impl DurableObject for UserHub {
    fn new(state: State, _env: Env) -> Self {
        Self { state }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let buffer = self.buffer()?;
        match object::operation(&request).as_str() {
            APPEND => {
                let records: Vec<Record> = serde_json::from_str(&request.text().await?)?;
                hub::append(&buffer, &self.sockets(), &records, now_ms())?;
                self.trim_later().await?;
                Response::ok("null")
            }
            OPEN => {
                let headers = request.headers();
                let session = headers.get(SESSION_HEADER)?.ok_or("no session")?;
                let last_event_id = headers.get(LAST_EVENT_ID_HEADER)?;
                match hub::admit(&buffer, &session, self.state.get_websockets().len())? {
                    Ok(()) => {}
                    Err(Closed::SessionEnded) => return Response::error("session ended", object::GONE),
                    Err(Closed::TooMany) => return Response::error("too many streams", object::FULL),
                }
                let pair = WebSocketPair::new()?;
                self.state.accept_websocket_with_tags(&pair.server, &[&session]);
                hub::open(&buffer, &Socket(pair.server), last_event_id.as_deref(), now_ms())?;
                Response::from_websocket(pair.client)
            }
            END => {
                let End { session, reason } = serde_json::from_str(&request.text().await?)?;
                let sockets: Vec<_> =
                    self.state.get_websockets_with_tag(session.as_str()).into_iter().map(Socket).collect();
                hub::end(&buffer, &sockets, session.as_str(), reason, now_ms())?;
                for socket in sockets {
                    // Closed already is closed enough.
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
        // Answers the close; fails if the runtime did so already.
        let _ = socket.close(Some(1000), Some("stream over"));
        Ok(())
    }

    async fn websocket_error(&self, _socket: WebSocket, _error: Error) -> Result<()> {
        Ok(())
    }

    async fn alarm(&self) -> Result<Response> {
        hub::trim(&self.buffer()?, now_ms())?;
        self.trim_later().await?;
        Response::empty()
    }
}

impl UserHub {
    fn buffer(&self) -> Result<SqlBuffer> {
        let sql = self.state.storage().sql();
        for statement in SCHEMA {
            sql.exec(statement, None)?;
        }
        Ok(SqlBuffer(sql))
    }

    fn sockets(&self) -> Vec<Socket> {
        self.state.get_websockets().into_iter().map(Socket).collect()
    }

    /// A user who never comes back must not keep what is over.
    async fn trim_later(&self) -> Result<()> {
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
struct Position {
    seq: i64,
}

#[derive(Deserialize)]
struct Age {
    at_ms: u64,
}

#[derive(Deserialize)]
struct MarkRow {
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
struct Sum {
    bytes: usize,
}

impl SqlBuffer {
    fn rows<T: DeserializeOwned>(&self, query: &str, values: Vec<SqlStorageValue>) -> Result<Vec<T>> {
        self.0.exec(query, values)?.to_array()
    }
}

/// SQLite's integers arrive in JavaScript as doubles: exact for any time and any count, not for any `u64`.
fn integer(number: u64) -> SqlStorageValue {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

impl Buffer for SqlBuffer {
    type Error = Error;

    fn watermark(&self, partition: i32) -> Result<Option<Watermark>> {
        let rows = self.rows("SELECT cursor, seq FROM watermarks WHERE part = ?", vec![partition.into()])?;
        Ok(rows.into_iter().next().map(|MarkRow { cursor, seq }| Watermark { cursor, seq }))
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

    fn position(&self, cursor: Cursor) -> Result<Option<i64>> {
        let rows = self.rows("SELECT seq FROM records WHERE cursor = ?", vec![cursor.to_string().into()])?;
        Ok(rows.into_iter().next().map(|Position { seq }| seq))
    }

    fn after(&self, seq: i64, limit: usize) -> Result<Vec<Stored>> {
        let rows = self.rows(
            "SELECT seq, cursor, json FROM records WHERE seq > ? ORDER BY seq LIMIT ?",
            vec![seq.into(), integer(limit as u64)],
        )?;
        Ok(rows.into_iter().map(|RecordRow { seq, cursor, json }| Stored { seq, cursor, json }).collect())
    }

    fn bytes_between(&self, from: i64, to: i64) -> Result<usize> {
        let query = "SELECT COALESCE(SUM(bytes), 0) AS bytes FROM records WHERE seq > ? AND seq <= ?";
        let rows = self.rows(query, vec![from.into(), to.into()])?;
        Ok(rows.into_iter().next().map_or(0, |Sum { bytes }| bytes))
    }

    fn last_seq(&self) -> Result<i64> {
        let rows = self.rows("SELECT COALESCE(MAX(seq), 0) AS seq FROM watermarks", Vec::new())?;
        Ok(rows.into_iter().next().map_or(0, |Position { seq }| seq))
    }

    fn oldest_at_ms(&self) -> Result<Option<u64>> {
        let rows = self.rows("SELECT at_ms FROM records ORDER BY seq LIMIT 1", Vec::new())?;
        Ok(rows.into_iter().next().map(|Age { at_ms }| at_ms))
    }

    fn remember_end(&self, session: &str, at_ms: u64, forget_before_ms: u64) -> Result<()> {
        self.0.exec("DELETE FROM ended WHERE at_ms < ?", vec![integer(forget_before_ms)])?;
        self.0.exec(
            "INSERT OR REPLACE INTO ended (session, at_ms) VALUES (?, ?)",
            vec![session.into(), integer(at_ms)],
        )?;
        Ok(())
    }

    fn has_ended(&self, session: &str) -> Result<bool> {
        let rows: Vec<Age> = self.rows("SELECT at_ms FROM ended WHERE session = ?", vec![session.into()])?;
        Ok(!rows.is_empty())
    }

    fn trim(&self, up_to_seq: i64, older_than_ms: u64) -> Result<()> {
        let values = vec![up_to_seq.into(), integer(older_than_ms)];
        self.0.exec("DELETE FROM records WHERE seq <= ? OR at_ms < ?", values)?;
        Ok(())
    }
}

/// A stream's socket. Its place rides in the attachment, which survives hibernation.
struct Socket(WebSocket);

impl Outlet for Socket {
    fn place(&self) -> Place {
        // Every socket gets its place before it is first asked for one.
        self.0.deserialize_attachment().ok().flatten().unwrap_or(Place {
            sent: 0,
            acknowledged: 0,
            full_since_ms: None,
        })
    }

    fn set_place(&self, place: Place) {
        // A socket that cannot take an attachment is closing; it sends nothing more either.
        let _ = self.0.serialize_attachment(place);
    }

    fn send(&self, text: &str) {
        // A closing socket takes nothing more; its client resumes from what it has.
        let _ = self.0.send_with_str(text);
    }

    fn close(&self) {
        // Closed already is closed enough.
        let _ = self.0.close(Some(1013), Some("took nothing"));
    }
}
