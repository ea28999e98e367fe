//! `GET /stream`: the events for the user, as Server-Sent Events.

use std::{rc::Rc, time::Duration};

use causeway_protocol::{
    channel::Channel,
    cursor::{Cursor, MAX_CURSOR_BYTES},
    deliver::{Outcome, WIRE_VERSION},
    stream::StreamRequest,
};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use url::form_urlencoded;

use super::context::{Context, Returned};
use crate::{
    error::Error,
    http::{
        query::Query,
        web::{Body, Request, Response},
    },
    runtime::{
        clock::{millis, within},
        dependency::Dependency,
        event_name::EventName,
        platform::{BridgeAccess, OpenStream, Opened, Platform},
        reason::Reason,
        telemetry::Event,
        unavailable::Unavailable,
    },
    session::{
        principal::Principal,
        summary::{AccountSummary, Summary},
    },
    stream::{bridge::Bridge, hole::Holes},
};

/// How long the bridge may take to open a stream.
const BRIDGE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a hub may take to open a stream.
const HUB_TIMEOUT: Duration = Duration::from_secs(5);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The same in the query.
const LAST_EVENT_ID_PARAMETER: &str = "last_event_id";

/// The most channels that a stream can choose. A stream that chooses none hears all.
const MAX_CHANNELS: usize = 16;

/// Opens the user's stream where the client left off.
pub(super) async fn open<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
    principal: &Principal,
) -> Result<Response<P::Body>, Error> {
    let open = open_request(context, request, principal)?;
    let returned = P::HUB_AT_EDGE.then(|| returning_client(context, &open)).flatten();
    let opened = if P::HUB_AT_EDGE {
        within(context.platform, HUB_TIMEOUT, Dependency::Hub, context.platform.open(open)).await?
    } else {
        open_at_bridge(context, open).await?
    };
    let body = match opened {
        Opened::Stream(body) => body,
        Opened::SessionEnded => {
            context.memory.sessions.forget(&principal.handle);
            return Err(Error::Unauthenticated { reason: Reason::SessionEndedMeanwhile });
        }
        Opened::TooManyStreams => return Err(Error::TooManyRequests),
    };
    defer_refresh_if_due(context, principal);
    context.afterwards.borrow_mut().returned = returned;
    let mut response = Response { status: StatusCode::OK, headers: http::HeaderMap::new(), body };
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        // A proxy that buffers or compresses would hold events back.
        (header::CACHE_CONTROL, "no-store, no-transform"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        response.headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// The client of a stream, if it names a position in a channel that there is. The bridge knows no others.
fn returning_client<P>(context: &Context<'_, P>, open: &OpenStream) -> Option<Returned> {
    let cursor: Cursor = open.last_event_id.as_deref()?.parse().ok()?;
    let is_known = context.config.channels.iter().any(|known| *known == cursor.channel.as_str());
    is_known.then(|| Returned { subject: open.subject.clone(), cursor })
}

/// Puts the gap of a hole that a client has not heard of into the user's hub, which sends it to all open streams. No
/// stream waits for it: it comes last in any case. If that fails, the next stream that opens tries again, after a rotation
/// at the latest.
pub(crate) async fn tell_hole<P: Platform>(bridge: &Bridge<'_, P>, holes: &Holes, returned: &Returned) {
    let platform = bridge.platform;
    let told = async {
        let Some(slice) = holes.after(bridge, &returned.cursor).await? else { return Ok(()) };
        let slices = serde_json::to_string(&[slice]).unwrap_or_default();
        let append = platform.append(&returned.subject, &slices);
        match within(platform, HUB_TIMEOUT, Dependency::Hub, append).await? {
            Outcome::Stored | Outcome::Held => Ok(()),
            other => Err(Unavailable::new(Dependency::Hub, format_args!("answered a gap with {other:?}"))),
        }
    };
    let told: Result<(), Unavailable> = told.await;
    if let Err(failure) = told {
        Event::warn(EventName::StreamHole).with("detail", &failure).write(platform);
    }
}

/// What the hub needs to open the stream.
fn open_request<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
    principal: &Principal,
) -> Result<OpenStream, Error> {
    let channels = channels(&context.config.channels, request.query.as_deref().unwrap_or_default())?;
    let mut random = [0];
    context.platform.fill(&mut random)?;
    let ends_in_ms = principal.summary.expires_at_ms.saturating_sub(context.platform.now_ms());
    Ok(OpenStream {
        subject: principal.summary.user.subject.clone(),
        session: principal.handle.clone(),
        channels,
        last_event_id: last_event_id(request),
        session_ends_in: Duration::from_millis(ends_in_ms),
        bridge: BridgeAccess {
            url: context.config.bridge_url.clone(),
            keys: Rc::clone(&context.config.bridge_keys),
            request_id: context.request_id.to_owned(),
        },
        jitter: f64::from(u8::from_be_bytes(random)) / 255.0,
    })
}

/// Where the client left off. A page that goes on after another one names the position in the query, because the first
/// request of an `EventSource` has no such header. The later ones have, and their query is out of date.
fn last_event_id<B>(request: &Request<B>) -> Option<String> {
    let id = if request.headers.contains_key(LAST_EVENT_ID) {
        request.header(&LAST_EVENT_ID).map(str::to_owned)
    } else {
        Query::parse(request.query.as_deref()).one(LAST_EVENT_ID_PARAMETER).transpose()?.ok()
    };
    let id = id.filter(|id| id.len() <= MAX_CURSOR_BYTES && id.bytes().all(|byte| byte.is_ascii_graphic()));
    // No cursor: the hub tells the client that its position is lost.
    Some(id.unwrap_or_else(|| "unreadable".to_owned()))
}

/// The channels that a query chooses, each once. A channel that does not exist must not seem to be silent.
fn channels(configured: &[String], query: &str) -> Result<Vec<Channel>, Error> {
    let mut channels = Vec::new();
    for (_, name) in form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == "channel") {
        let known = configured.iter().find(|known| **known == name).ok_or(Error::NotFound)?;
        let channel = Channel::parse(known).map_err(|_| Error::NotFound)?;
        if !channels.contains(&channel) {
            channels.push(channel);
        }
    }
    if channels.len() > MAX_CHANNELS {
        return Err(Error::BadRequest { reason: Reason::StreamChannels });
    }
    Ok(channels)
}

/// Has an expired token of the session's own account refreshed after the answer, which therefore waits for no provider.
///
/// A session that only sends and receives events calls no upstream, and would not notice that the provider revoked its
/// account's grant (M10, M27). Streams reconnect every few minutes, so a refresh here does.
fn defer_refresh_if_due<P: Platform>(context: &Context<'_, P>, principal: &Principal) {
    let Summary { provider, accounts, .. } = &*principal.summary;
    let own = accounts.get(provider);
    let is_due = |it: &AccountSummary| it.is_expired(context.platform.now_ms()) && it.is_renewable;
    if own.is_some_and(is_due) {
        context.afterwards.borrow_mut().refresh = Some(principal.clone());
    }
}

/// Opens a stream at the bridge. Its body passes through the edge untouched.
async fn open_at_bridge<P: Platform>(
    context: &Context<'_, P>,
    open: OpenStream,
) -> Result<Opened<Body<P::Body>>, Error> {
    let request = StreamRequest {
        version: WIRE_VERSION,
        subject: open.subject,
        session: open.session,
        channels: open.channels,
        last_event_id: open.last_event_id,
        session_ends_in_ms: millis(open.session_ends_in),
        jitter: open.jitter,
    };
    let outgoing = context.bridge().signed_request(Method::GET, &request.target(), Vec::new(), BRIDGE_TIMEOUT)?;
    let response = context.platform.send(outgoing).await?;
    match response.status {
        StatusCode::OK => Ok(Opened::Stream(Body::Native(response.body))),
        StatusCode::GONE => Ok(Opened::SessionEnded),
        StatusCode::TOO_MANY_REQUESTS => Ok(Opened::TooManyStreams),
        status => Err(Unavailable::new(Dependency::Bridge, format_args!("answered a stream with {status}")).into()),
    }
}
