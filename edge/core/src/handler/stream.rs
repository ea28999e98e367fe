//! `GET /stream`: what the user hears, as Server-Sent Events.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::Context;
use crate::{
    error::Error,
    platform::{OpenStream, Platform},
    session::store::Session,
    web::{Request, Response},
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Opens the user's stream, from where the client left.
pub(super) async fn open<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
    session: &Session,
) -> Result<Response<P::Body>, Error> {
    let mut byte = [0];
    context.platform.fill(&mut byte)?;
    let last_event_id = if request.headers.contains_key(LAST_EVENT_ID) {
        // A repeated or unreadable id is no id: the client is told that its place is lost.
        Some(request.header(&LAST_EVENT_ID).filter(|id| id.len() <= 80).unwrap_or("unreadable").to_owned())
    } else {
        None
    };
    let ends_in_ms = session.record.expires_at_ms.saturating_sub(context.platform.now_ms());
    let body = context
        .platform
        .open(OpenStream {
            subject: session.record.user.subject.clone(),
            session: session.handle.clone(),
            last_event_id,
            session_ends_in: Duration::from_millis(ends_in_ms),
            jitter: f64::from(u8::from_be_bytes(byte)) / 255.0,
        })
        .await?;
    let mut response = Response { status: StatusCode::OK, headers: http::HeaderMap::new(), body };
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        // Proxies that buffer or compress turn a stream into silence.
        (header::CACHE_CONTROL, "no-store, no-transform"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        response.headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}
