//! `POST /auth/github/webhook`: a user took GitHub's authorization back, so every session that acts for them ends (M71).
//!
//! A delivery that is repeated does no harm, so `X-GitHub-Delivery` is not remembered: ending what has ended changes
//! nothing, and the header is not covered by the signature anyway, so whoever repeats could change it. The worst a
//! captured delivery does is to sign its user out again.
//!
//! An app hears of much more than this (`push`, `check_run`), up to 25 MiB each. Nothing is done for those, so there is
//! nothing to prove, and no body is held for somebody who made a signature up. A `ping` is believed like the word itself:
//! it is how an operator sees that both sides have the same secret.
//!
//! What GitHub signed is not counted: all comes from a few addresses, and a delivery that is refused is not sent again by
//! itself.

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
    runtime::{platform::Platform, telemetry::Event},
    session::index::{IndexName, IssuedAt},
};

const SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature-256");
const EVENT: HeaderName = HeaderName::from_static("x-github-event");
const AUTHORIZATION_EVENT: &str = "github_app_authorization";
const PING_EVENT: &str = "ping";

/// Takes a delivery; 204 if GitHub signed it, or if it is about something of no concern.
pub(super) async fn deliver<P: Platform>(
    context: &Context<'_, P>,
    request: Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let config = context.config;
    let github = config.providers.iter().find(|provider| matches!(provider.kind, Kind::GitHub { .. }));
    let (Some(github), Some(secret)) = (github, &config.github_webhook_secret) else { return Err(Error::NotFound) };
    let sender = request.client_address;
    // Nothing of a body is held for somebody who does not even try.
    let Some(signature) = request.header(&SIGNATURE).and_then(HubSignature::parse) else {
        return Err(refused(context, &github.id, sender, "webhook signature missing or malformed").await);
    };
    let is_ping = match request.header(&EVENT) {
        Some(AUTHORIZATION_EVENT) => false,
        Some(PING_EVENT) => true,
        _ => return Ok(Response::empty(StatusCode::NO_CONTENT)),
    };
    // Of anybody else there is no more than this body, in the time that a body has, and one hash of it.
    let body = read_body(context.platform, context.row, request).await?;
    if !signature.is_of(&body, secret) {
        return Err(refused(context, &github.id, sender, "webhook signature not believed").await);
    }
    if is_ping {
        return Ok(Response::empty(StatusCode::NO_CONTENT));
    }
    let event: Authorization = serde_json::from_slice(&body)
        .map_err(|_| Error::BadRequest { reason: "not an event of this kind as GitHub describes it" })?;
    if let Some(account) = event.revoked_account() {
        let index = IndexName::account(&github.issuer(), &account);
        let ended = context.sessions().end_all(&index, IssuedAt::Ago(0), EndReason::Revoked).await?;
        Event::info("logout.webhook").with("ended", ended).write(context.platform);
    }
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

/// Counts a delivery that is nobody's, and says what it is refused with.
async fn refused<P: Platform>(
    context: &Context<'_, P>,
    provider: &str,
    sender: Option<IpAddr>,
    reason: &'static str,
) -> Error {
    let allowed = rate::allow_logout(context, provider, sender).await;
    allowed.err().unwrap_or(Error::Unauthenticated { reason })
}
