//! `POST /events/{channel}`: adds the user's identity to an event, and sends it to Kafka through the bridge.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_protocol::{
    deliver::WIRE_VERSION,
    event::{EVENTS_PATH, InboundEvent, is_name},
    subject::Subject,
};
use http::{HeaderName, Method, StatusCode, header};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{json, value::RawValue};
use sha2::{Digest as _, Sha256};

use super::context::{Context, read_body};
use crate::{
    error::Error,
    guard::rate,
    http::{
        json::StrictObject,
        media_type::is_json,
        web::{Request, Response},
    },
    runtime::{clock::rfc3339, dependency::Dependency, platform::Platform, reason::Reason, unavailable::Unavailable},
    seal::length_prefixed,
    session::principal::Principal,
};

/// The user that the page shows, by `user.id` of `/auth/session`. Optional.
const EXPECTED_USER: HeaderName = HeaderName::from_static("x-causeway-user");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// In a repeat, how many seconds ago the event was first sent. Optional.
const REPEAT: HeaderName = HeaderName::from_static("x-causeway-repeat");
/// For how long a key is recognised.
const MAX_REPEAT_SECONDS: u32 = 600;
const MAX_IDEMPOTENCY_KEY_BYTES: usize = 128;
/// Longer than the bridge waits for Kafka, so that the bridge's answer decides.
const BRIDGE_TIMEOUT: Duration = Duration::from_secs(15);

/// Members of a posted event that are ignored, because the edge sets them itself.
const SET_BY_EDGE: [&str; 7] = ["id", "source", "specversion", "subject", "tenant", "time", "user"];

/// What a page posts.
#[derive(Deserialize)]
struct Posted {
    #[serde(rename = "type")]
    kind: String,
    data: Box<RawValue>,
    /// Any other member, which is not sent on.
    #[serde(flatten)]
    rest: BTreeMap<String, IgnoredAny>,
}

/// Accepts an event. Answers 202 once Kafka has it.
pub(super) async fn post<P: Platform>(
    context: &Context<'_, P>,
    request: Request<P::Body>,
    principal: &Principal,
) -> Result<Response<P::Body>, Error> {
    let channel = context.parameter(0).to_owned();
    if !context.config.channels.contains(&channel) {
        return Err(Error::NotFound);
    }
    if !is_json(request.header(&header::CONTENT_TYPE).unwrap_or_default()) {
        return Err(Error::UnsupportedMediaType);
    }
    let subject = &principal.summary.user.subject;
    // A page that still shows another user must not send in this user's name.
    if request.headers.contains_key(EXPECTED_USER) && request.header(&EXPECTED_USER) != Some(&subject.to_string()) {
        return Err(Error::UserChanged);
    }
    // One user must not crowd out the others' events.
    rate::check(context.platform, context.config.rates.events, &subject.to_string()).await?;
    let id = event_id(context.platform, &request, subject, &channel)?;
    // Without a key, the event has a new id, and nothing can be found.
    let is_repeat = request.headers.contains_key(REPEAT) && request.headers.contains_key(IDEMPOTENCY_KEY);
    let repeated_after_seconds = is_repeat.then(|| repeated_after_seconds(&request));
    let body = read_body(context.platform, context.row, request).await?;
    let posted = parse(&body)?;
    let event = InboundEvent {
        version: WIRE_VERSION,
        channel,
        id: id.clone(),
        kind: posted.kind,
        source: context.config.public_origin.to_string(),
        subject: subject.clone(),
        time: rfc3339(context.platform.now_ms()),
        traceparent: Some(context.trace.to_string()),
        repeated_after_seconds,
        data: posted.data,
    };
    send(context, &event).await?;
    Ok(Response::json(StatusCode::ACCEPTED, "application/json", &json!({"id": id})))
}

/// Reads and checks a posted event.
fn parse(body: &[u8]) -> Result<Posted, Error> {
    let StrictObject(posted): StrictObject<Posted> =
        serde_json::from_slice(body).map_err(|_| Error::BadRequest { reason: Reason::EventBody })?;
    // If a key, a partition or a channel were silently dropped, it would seem to have been accepted.
    if posted.rest.keys().any(|name| !SET_BY_EDGE.contains(&name.as_str())) {
        return Err(Error::BadRequest { reason: Reason::EventMemberUnknown });
    }
    if !is_name(&posted.kind) {
        return Err(Error::BadRequest { reason: Reason::EventType });
    }
    Ok(posted)
}

/// Sends an event to the bridge, and waits until Kafka has it.
async fn send<P: Platform>(context: &Context<'_, P>, event: &InboundEvent) -> Result<(), Error> {
    let outage = |detail: &dyn std::fmt::Display| Unavailable::new(Dependency::Bridge, detail);
    let body = serde_json::to_vec(event).map_err(|e| outage(&e))?;
    let outgoing = context.bridge().signed_request(Method::POST, EVENTS_PATH, body, BRIDGE_TIMEOUT)?;
    let response = context.platform.send(outgoing).await?;
    match response.status {
        StatusCode::ACCEPTED => Ok(()),
        StatusCode::UNPROCESSABLE_ENTITY => Err(Error::IdempotencyKeyReused),
        StatusCode::PAYLOAD_TOO_LARGE => Err(Error::TooLarge),
        // The bridge looks for few of a user's repeats at a time.
        StatusCode::TOO_MANY_REQUESTS => Err(Error::TooManyRequests),
        // Any other answer, such as that to an unknown channel, is for the operator: the user did nothing wrong.
        status => Err(outage(&format_args!("answered {status}")).into()),
    }
}

/// The event's id. It is random, or derived from the user's `Idempotency-Key`, so that a repeat has the same id everywhere.
/// The client derives it in the same way, to recognise its event's echo (`idOf` in `widget/src/client/sender.js`).
fn event_id<P: Platform>(
    platform: &P,
    request: &Request<P::Body>,
    subject: &Subject,
    channel: &str,
) -> Result<String, Error> {
    let mut bytes = [0; 18];
    if request.headers.contains_key(IDEMPOTENCY_KEY) {
        let bad = Error::BadRequest { reason: Reason::IdempotencyKeyMalformed };
        let key = request.header(&IDEMPOTENCY_KEY).filter(|key| {
            (1..=MAX_IDEMPOTENCY_KEY_BYTES).contains(&key.len())
                && key.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        });
        let parts = length_prefixed(&[subject.to_string().as_bytes(), channel.as_bytes(), key.ok_or(bad)?.as_bytes()]);
        let digest = Sha256::new_with_prefix(b"causeway-event-id-v1").chain_update(parts);
        for (to, from) in bytes.iter_mut().zip(digest.finalize()) {
            *to = from;
        }
    } else {
        platform.fill(&mut bytes)?;
    }
    Ok(BASE64.encode(bytes))
}

/// How long ago a repeat was first sent. A text that says nothing of it counts as the longest time.
fn repeated_after_seconds<B>(request: &Request<B>) -> u32 {
    let seconds = request.header(&REPEAT).and_then(|text| text.parse().ok());
    seconds.unwrap_or(MAX_REPEAT_SECONDS).min(MAX_REPEAT_SECONDS)
}
