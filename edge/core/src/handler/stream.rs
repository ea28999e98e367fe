//! `GET /stream`: what the user hears, as Server-Sent Events.

use std::time::Duration;

use causeway_protocol::stream::StreamRequest;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::{bridge, context::Context};
use crate::{
    error::Error,
    http::web::{Body, Request, Response},
    runtime::{
        clock::{millis, within},
        platform::{OpenStream, Opened, Platform},
        unavailable::Unavailable,
    },
    session::{record::LinkedAccount, store::Session},
};

/// How long the bridge may take to begin a stream.
const BRIDGE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a hub may take to let a stream in.
const HUB_TIMEOUT: Duration = Duration::from_secs(5);

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
    let open = OpenStream {
        subject: session.record.user.subject.clone(),
        session: session.handle.clone(),
        last_event_id,
        session_ends_in: Duration::from_millis(ends_in_ms),
        jitter: f64::from(u8::from_be_bytes(byte)) / 255.0,
    };
    let opened = if P::AT_EDGE {
        within(context.platform, HUB_TIMEOUT, "hub", context.platform.open(open)).await?
    } else {
        at_bridge(context, open).await?
    };
    let body = match opened {
        Opened::Stream(body) => body,
        Opened::SessionEnded => {
            context.memory.sessions.forget(&session.handle);
            return Err(Error::Unauthenticated { reason: "session ended meanwhile" });
        }
        Opened::TooMany => return Err(Error::TooMany),
    };
    look_after(context, session);
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

/// A session that only talks and listens calls no upstream, and would never learn that its account's grant is over (M10,
/// M27). Streams begin anew every few minutes, so that is when the account's token is renewed if it is over: after the
/// answer, which waits for no provider.
fn look_after<P: Platform>(context: &Context<'_, P>, session: &Session) {
    let own = session.record.accounts.get(&session.record.provider);
    let is_due = |it: &LinkedAccount| it.is_expired(context.platform.now_ms()) && it.tokens.refresh_token.is_some();
    if own.is_some_and(is_due) {
        context.deferred_refresh.replace(Some(session.clone()));
    }
}

/// The bridge's stream, passed through untouched: nothing of it stays alive at the edge.
async fn at_bridge<P: Platform>(context: &Context<'_, P>, open: OpenStream) -> Result<Opened<P::Body>, Error> {
    let request = StreamRequest {
        subject: open.subject,
        session: open.session,
        last_event_id: open.last_event_id,
        session_ends_in_ms: millis(open.session_ends_in),
        jitter: open.jitter,
    };
    let outgoing = bridge::request(context, Method::GET, &request.target(), Vec::new(), BRIDGE_TIMEOUT)?;
    let response = context.platform.send(outgoing).await?;
    match response.status {
        StatusCode::OK => Ok(Opened::Stream(Body::Native(response.body))),
        StatusCode::GONE => Ok(Opened::SessionEnded),
        StatusCode::TOO_MANY_REQUESTS => Ok(Opened::TooMany),
        status => Err(Unavailable::new("bridge", format_args!("answered a stream with {status}")).into()),
    }
}
