//! `GET /events/{channel}/history`: a page of the user's earlier events, which the bridge reads from Kafka.

use std::time::Duration;

use causeway_protocol::{
    channel::Channel,
    cursor::Cursor,
    deliver::{MAX_RECORD_BYTES, WIRE_VERSION},
    replay::{MAX_BEFORE, MAX_REPLAY_BYTES, ReplayHead, ReplayRange, ReplayRequest},
};
use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use super::context::Context;
use crate::{
    error::Error,
    guard::rate,
    http::{
        body::ReadBody as _,
        query::Query,
        web::{Request, Response},
    },
    runtime::{clock::within, dependency::Dependency, platform::Platform, reason::Reason, unavailable::Unavailable},
    session::store::Session,
};

/// How many records a page has, unless the query says so.
const DEFAULT_LIMIT: u32 = 50;
/// Longer than the bridge takes at most, so that the bridge's answer decides.
const BRIDGE_TIMEOUT: Duration = Duration::from_secs(8);
/// The longest answer of the bridge. Its first record may exceed what the bridge gathers.
const MAX_ANSWER_BYTES: usize = MAX_REPLAY_BYTES + MAX_RECORD_BYTES + 64 * 1024;

/// A page.
#[derive(Serialize)]
struct Page<'a> {
    /// The newest last.
    events: Vec<&'a RawValue>,
    /// What the next request says to get the page before this one. `None` if there is none.
    before: Option<String>,
    /// Whether no event of this page's time is missing.
    complete: bool,
}

/// Answers with the events before an id, or with the last ones.
pub(super) async fn page<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
    session: &Session,
) -> Result<Response<P::Body>, Error> {
    let name = context.parameter(0);
    let channel = context.config.channels.iter().find(|known| *known == name).ok_or(Error::NotFound)?;
    let channel = Channel::parse(channel).map_err(|_| Error::NotFound)?;
    let (before, limit) = asked_for(&channel, request.query.as_deref())?;
    // A scan of Kafka costs more than an event.
    let key = format!("history:{}", session.record.user.subject);
    rate::check(context.platform, context.config.rates.events, &key).await?;
    let request = ReplayRequest {
        version: WIRE_VERSION,
        // The session's user, whatever the id says.
        subject: session.record.user.subject.clone(),
        channel,
        range: ReplayRange::Before { cursor: before, limit },
    };
    let answer = within(context.platform, BRIDGE_TIMEOUT, Dependency::Bridge, ask(context, &request)).await?;
    let text = answer.ok_or(Error::TooManyRequests)?;
    let unreadable = |error: &dyn std::fmt::Display| Unavailable::new(Dependency::Bridge, error);
    let (head, frames) = ReplayHead::parse(&text).map_err(|error| unreadable(&error))?;
    let events: Result<Vec<&RawValue>, _> =
        frames.lines().filter_map(|line| line.strip_prefix("data: ")).map(serde_json::from_str).collect();
    let page = Page {
        events: events.map_err(|error| unreadable(&error))?,
        before: head.next.map(|next| next.to_string()),
        complete: head.gone.is_none(),
    };
    Ok(Response::json(StatusCode::OK, "application/json", &page))
}

/// The id and the limit of a query.
fn asked_for(channel: &Channel, query: Option<&str>) -> Result<(Option<Cursor>, u32), Error> {
    let query = Query::parse(query);
    let bad_limit = Error::BadRequest { reason: Reason::HistoryLimit };
    let bad_id = Error::BadRequest { reason: Reason::HistoryBefore };
    let limit = match query.one("limit") {
        Ok(None) => DEFAULT_LIMIT,
        Ok(Some(text)) => {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let limit = text.parse().ok().filter(|limit| is_number && (1..=MAX_BEFORE).contains(limit));
            limit.ok_or(bad_limit)?
        }
        Err(_) => return Err(bad_limit),
    };
    let before = match query.one("before") {
        Ok(None) => None,
        Ok(Some(text)) => {
            let cursor = text.parse().ok().filter(|cursor: &Cursor| cursor.channel == *channel);
            Some(cursor.ok_or(bad_id)?)
        }
        Err(_) => return Err(bad_id),
    };
    Ok((before, limit))
}

/// The bridge's answer, or nothing if the user asks for too much at a time.
async fn ask<P: Platform>(context: &Context<'_, P>, request: &ReplayRequest) -> Result<Option<String>, Unavailable> {
    let bridge = context.bridge();
    let outgoing = bridge.signed_request(Method::GET, &request.target(), Vec::new(), BRIDGE_TIMEOUT)?;
    let response = context.platform.send(outgoing).await?;
    let failed = |detail: &dyn std::fmt::Display| Unavailable::new(Dependency::Bridge, detail);
    match response.status {
        StatusCode::OK => {
            let body = response.body.read(MAX_ANSWER_BYTES).await.map_err(|error| failed(&error))?;
            String::from_utf8(body).map(Some).map_err(|error| failed(&error))
        }
        StatusCode::TOO_MANY_REQUESTS => Ok(None),
        status => Err(failed(&format_args!("answered a replay with {status}"))),
    }
}
