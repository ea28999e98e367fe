//! A client's `Last-Event-ID`.
//!
//! Each cursor has exactly one spelling. Whatever the header holds, the stream belongs to the session's user.

use causeway_protocol::cursor::{Cursor, MAX_CURSOR_BYTES};

use crate::fixture::Fixture;

/// Runs the target on one input; returns whether the edge accepted it.
pub fn run(data: &[u8]) -> bool {
    let cursor = str::from_utf8(data).ok().and_then(|text| text.parse::<Cursor>().ok());
    if let Some(cursor) = &cursor {
        assert_eq!(cursor.to_string().as_bytes(), data);
        assert!(cursor.partition >= 0 && cursor.position.offset >= 0);
    }
    Fixture::with(|fixture| {
        let cookie = format!("__Host-Http-session={}", fixture.session);
        let headers: [(&'static str, &[u8]); 4] = [
            ("cookie", cookie.as_bytes()),
            ("origin", b"https://edge.example"),
            ("sec-fetch-site", b"same-origin"),
            ("last-event-id", data),
        ];
        let response = fixture.get("/stream", None, &headers);
        assert_eq!(response.status.as_u16(), 200);
        let opened = fixture.platform.opened_streams.borrow();
        let [stream] = opened.as_slice() else { panic!("{opened:?}") };
        assert_eq!(stream.subject.to_string(), "github:7");
        let id = stream.last_event_id.as_ref();
        assert!(id.is_none_or(|id| id.len() <= MAX_CURSOR_BYTES), "{id:?}");
    });
    cursor.is_some()
}
