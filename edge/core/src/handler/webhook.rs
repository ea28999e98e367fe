//! `POST /auth/github/webhook`: when a user revokes their authorization at GitHub, all sessions with that account end (M71).
//!
//! `X-GitHub-Delivery` is not remembered, because a repeated delivery does no harm. The signature does not cover that header,
//! so an attacker who repeats a delivery could change it. The worst that a captured delivery does is to sign its user out
//! again.
//!
//! An app also receives other events (`push`, `check_run`), of up to 25 MiB each. They have no effect, so their signature is
//! not checked and their body is not read: nobody can make the edge buffer 25 MiB with a forged signature. A `ping` is
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
    session::index::{IndexName, IssuedAt},
};

const SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature-256");
const EVENT: HeaderName = HeaderName::from_static("x-github-event");
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
        let ended = context.sessions().end_all(&index, IssuedAt::Ago(0), EndReason::Revoked).await?;
        Event::info(EventName::LogoutWebhook).with("ended", ended).write(context.platform);
    }
    Ok(Response::empty(StatusCode::NO_CONTENT))
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
