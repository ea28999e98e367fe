//! `POST /auth/github/webhook`: when a user revokes their authorization at GitHub, all sessions with that account end (M71).
//!
//! `X-GitHub-Delivery` is not remembered, because a repeated delivery does no harm. The signature does not cover that header,
//! so an attacker who repeats a delivery could change it. The worst that a captured delivery does is to sign its user out
//! again.
//!
//! An app also receives other events (`push`, `check_run`), of up to 25 MiB each. They have no effect, so their signature is
//! not checked and their body not read: a made-up signature must not make the edge hold a body. A `ping` is checked like a
//! revocation, because it shows an operator whether both sides have the same secret.
//!
//! Deliveries signed by GitHub are not counted: they all come from a few addresses, and GitHub does not retry a refused
//! delivery.

use std::net::IpAddr;

use causeway_protocol::hub::EndReason;
use http::{HeaderName, StatusCode};

use super::{
    context::{Context, read_body},
    rate,
};
use crate::{
    error::Error,
    http::web::{Request, Response},
    oauth::{
        provider::Kind,
        webhook::{Authorization, HubSignature},
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
    // Without a well-formed signature no body is read.
    let Some(signature) = request.header(&SIGNATURE).and_then(HubSignature::parse) else {
        return Err(refused(context, &github.id, sender, Reason::WebhookSignatureMissing).await);
    };
    let is_ping = match request.header(&EVENT) {
        Some(AUTHORIZATION_EVENT) => false,
        Some(PING_EVENT) => true,
        _ => return Ok(Response::empty(StatusCode::NO_CONTENT)),
    };
    // A made-up signature costs no more than this: reading one body, within the time limit, and hashing it.
    let body = read_body(context.platform, context.row, request).await?;
    if !signature.is_signature_of(&body, secret) {
        return Err(refused(context, &github.id, sender, Reason::WebhookSignatureMismatch).await);
    }
    if is_ping {
        return Ok(Response::empty(StatusCode::NO_CONTENT));
    }
    let event: Authorization =
        serde_json::from_slice(&body).map_err(|_| Error::BadRequest { reason: Reason::WebhookMalformed })?;
    if let Some(account) = event.revoked_account() {
        let index = IndexName::account(&github.issuer(), &account);
        let ended = context.sessions().end_all(&index, IssuedAt::Ago(0), EndReason::Revoked).await?;
        Event::info(EventName::LogoutWebhook).with("ended", ended).write(context.platform);
    }
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

/// Counts a delivery that GitHub did not sign, and returns the error that refuses it.
async fn refused<P: Platform>(
    context: &Context<'_, P>,
    provider: &str,
    sender: Option<IpAddr>,
    reason: Reason,
) -> Error {
    let allowed = rate::allow_logout(context, provider, sender).await;
    allowed.err().unwrap_or(Error::Unauthenticated { reason })
}
