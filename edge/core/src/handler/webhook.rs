//! `POST /auth/github/webhook`: when a user revokes their authorization at GitHub, all sessions with that account end (M71).
//!
//! A delivery has no time, so it cannot be compared with a sign-in, as a logout token is (S156). It counts as sent when its
//! `X-GitHub-Delivery` was first seen: a redelivery completes the first attempt, and sessions that began since stay. The
//! signature does not cover that header, though, and the body of a user's second revocation is byte for byte the one of the
//! first. So a signed body under a new id is taken for a new revocation: to miss one would be worse than to sign a user out
//! once too often. What remains is that someone who captured a delivery can sign its user out again, and nothing else, until
//! `GITHUB_WEBHOOK_SECRET` is changed.
//!
//! An app also receives other events (`push`, `check_run`), of up to 25 MiB each. They have no effect, so their signature is
//! not checked and their body is not read: a forged signature cannot make the edge buffer 25 MiB. A `ping` is
//! checked like a revocation, because it shows an operator whether both sides have the same secret.
//!
//! Deliveries signed by GitHub are not rate-limited: they all come from a few addresses, and GitHub does not retry a refused
//! delivery.

use std::net::IpAddr;

use causeway_protocol::hub::EndReason;
use http::{HeaderName, StatusCode};

use super::context::{Context, read_body};
use crate::{
    error::Error,
    guard::rate,
    http::web::{Request, Response},
    oauth::{
        provider::Kind,
        webhook::{AuthorizationEvent, WebhookSignature},
    },
    runtime::{event_name::EventName, platform::Platform, reason::Reason, telemetry::Event},
    session::index::{Ending, IndexName, IssuedAt, MessageId},
};

const SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature-256");
const EVENT: HeaderName = HeaderName::from_static("x-github-event");
const DELIVERY: HeaderName = HeaderName::from_static("x-github-delivery");
/// Longest id of a delivery that is remembered, in bytes. GitHub's have 36.
const MAX_DELIVERY_BYTES: usize = 128;
/// How much later than a delivery's first attempt a session may have been signed in that its redelivery still ends, in
/// milliseconds: the coordinator's clock may have been set back by so much.
const TOLERANCE_MS: u64 = 60 * 1000;
const AUTHORIZATION_EVENT: &str = "github_app_authorization";
const PING_EVENT: &str = "ping";

/// Receives a delivery. Answers 204 if GitHub signed it, or if its event has no effect.
pub(super) async fn receive<P: Platform>(
    context: &Context<'_, P>,
    request: Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let config = context.config;
    let github = config.providers.iter().find(|provider| matches!(provider.kind, Kind::GitHub { .. }));
    let (Some(github), Some(secret)) = (github, &config.github_webhook_secret) else { return Err(Error::NotFound) };
    let sender = request.client_address;
    let Some(signature) = request.header(&SIGNATURE).and_then(WebhookSignature::parse) else {
        return reject_forgery(context, &github.id, sender, Reason::WebhookSignatureMissing).await;
    };
    let is_ping = match request.header(&EVENT) {
        Some(AUTHORIZATION_EVENT) => false,
        Some(PING_EVENT) => true,
        _ => return Ok(Response::empty(StatusCode::NO_CONTENT)),
    };
    let ending = ending(&request);
    // For these two events, a forged signature costs reading one body, limited in size and time, and hashing it.
    let body = read_body(context.platform, context.row, request).await?;
    if !signature.is_signature_of(&body, secret) {
        return reject_forgery(context, &github.id, sender, Reason::WebhookSignatureMismatch).await;
    }
    if is_ping {
        return Ok(Response::empty(StatusCode::NO_CONTENT));
    }
    let event: AuthorizationEvent =
        serde_json::from_slice(&body).map_err(|_| Error::BadRequest { reason: Reason::WebhookMalformed })?;
    if let Some(account) = event.revoked_account() {
        let index = IndexName::account(&github.issuer(), &account);
        let ended = context.sessions().end_all(&index, ending, EndReason::Revoked).await?;
        Event::info(EventName::LogoutWebhook).with("ended", ended).write(context.platform);
    }
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

/// Which sessions of the account a delivery ends: all, unless it is a redelivery.
fn ending<B>(request: &Request<B>) -> Ending {
    let id = request.header(&DELIVERY).filter(|id| (1..=MAX_DELIVERY_BYTES).contains(&id.len()));
    let message = id.map(MessageId::new);
    let tolerance_ms = if message.is_some() { TOLERANCE_MS } else { u64::MAX };
    Ending { before: IssuedAt::Ago(0), tolerance_ms, message }
}

/// Rejects a delivery that GitHub did not sign, and counts it against the rate of its sender.
async fn reject_forgery<P: Platform>(
    context: &Context<'_, P>,
    provider: &str,
    sender: Option<IpAddr>,
    reason: Reason,
) -> Result<Response<P::Body>, Error> {
    rate::check_logout(context.platform, context.config, provider, sender).await?;
    Err(Error::Unauthenticated { reason })
}
