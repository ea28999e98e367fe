//! `GET /events/{channel}/history`: a page of the user's earlier events. Where the users' hubs live at the edge, a page
//! comes from the user's hub, and the bridge is asked for what is older. Elsewhere the bridge has both.

use std::time::Duration;

use causeway_protocol::{
    channel::Channel,
    cursor::Cursor,
    deliver::MAX_RECORD_BYTES,
    history::{HistoryPage, HistoryRequest},
    replay::{MAX_BEFORE, MAX_REPLAY_BYTES, ReplayHead, ReplayRequest},
    subject::Subject,
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
    session::principal::Principal,
};

/// How many records a page has, unless the query says so.
const DEFAULT_LIMIT: u32 = 50;
/// How long the hub may take. Then the bridge is asked for the whole page.
const HUB_TIMEOUT: Duration = Duration::from_secs(2);
/// Longer than the bridge takes at most, so that the bridge's answer decides.
const BRIDGE_TIMEOUT: Duration = Duration::from_secs(8);
/// The longest answer of the bridge. It may have a part from the buffer and one from Kafka, and the last record of each may
/// exceed what is gathered.
const MAX_ANSWER_BYTES: usize = 2 * (MAX_REPLAY_BYTES + MAX_RECORD_BYTES) + 64 * 1024;

/// A page.
#[derive(Serialize)]
struct Page<'a> {
    /// The newest last.
    events: Vec<&'a RawValue>,
    /// The place of each of them, which is its SSE id on the stream.
    ids: Vec<&'a str>,
    /// What the next request says to get the page before this one. `None` if there is none.
    before: Option<String>,
    /// Whether no event of this page's time is missing.
    complete: bool,
}

/// Answers with the events before an id, or with the last ones.
pub(super) async fn page<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
    principal: &Principal,
) -> Result<Response<P::Body>, Error> {
    let name = context.parameter(0);
    let channel = context.config.channels.iter().find(|known| *known == name).ok_or(Error::NotFound)?;
    let channel = Channel::parse(channel).map_err(|_| Error::NotFound)?;
    let (before, limit) = asked_for(&channel, request.query.as_deref())?;
    // A scan of Kafka costs more than an event.
    let key = format!("history:{}", principal.summary.user.subject);
    rate::check(context.platform, context.config.rates.events, &key).await?;
    let asked = HistoryRequest { channel, before, limit };
    let user = &principal.summary.user.subject;
    let found = read(context, user, &asked).await?;
    let (mut events, mut ids, mut id) = (Vec::new(), Vec::new(), "");
    for line in found.frames.lines() {
        if let Some(text) = line.strip_prefix("id: ") {
            id = text;
        } else if let Some(data) = line.strip_prefix("data: ") {
            let event: &RawValue =
                serde_json::from_str(data).map_err(|error| Unavailable::new(Dependency::Bridge, error))?;
            events.push(event);
            ids.push(id);
        }
    }
    let page =
        Page { events, ids, before: found.head.next.map(|next| next.to_string()), complete: found.head.gone.is_none() };
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

/// Reads a page: what the user's hub has of it, and the rest from Kafka. A hub that fails costs time only, and without the
/// bridge the page has what the hub has.
async fn read<P: Platform>(
    context: &Context<'_, P>,
    user: &Subject,
    asked: &HistoryRequest,
) -> Result<HistoryPage, Error> {
    let of_hub = within(context.platform, HUB_TIMEOUT, Dependency::Hub, context.platform.history(user, asked)).await;
    let Some(newer) = of_hub.unwrap_or_default() else { return ask(context, user, asked).await };
    let Some(rest) = newer.rest_of(asked) else { return Ok(newer) };
    Ok(match ask(context, user, &rest).await {
        Ok(older) => newer.with_older(older),
        Err(_) if newer.head.records > 0 => newer,
        Err(error) => return Err(error),
    })
}

/// Asks the bridge for a page.
async fn ask<P: Platform>(
    context: &Context<'_, P>,
    // The session's user, whatever the id says.
    user: &Subject,
    asked: &HistoryRequest,
) -> Result<HistoryPage, Error> {
    let request = ReplayRequest::for_page(user.clone(), asked);
    let answer = within(context.platform, BRIDGE_TIMEOUT, Dependency::Bridge, answer(context, &request)).await?;
    let text = answer.ok_or(Error::TooManyRequests)?;
    let parsed = ReplayHead::parse(&text).map_err(|error| Unavailable::new(Dependency::Bridge, error))?;
    Ok(HistoryPage { head: parsed.0, frames: parsed.1.to_owned() })
}

/// The bridge's answer, or nothing if the user asks for too much at a time.
async fn answer<P: Platform>(context: &Context<'_, P>, request: &ReplayRequest) -> Result<Option<String>, Unavailable> {
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
