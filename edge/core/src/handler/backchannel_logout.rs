//! `POST /auth/{provider}/backchannel-logout`: a provider ends sessions by a signed logout token (OpenID Connect
//! Back-Channel Logout 1.0).
//!
//! What a known key signed is not counted: a provider that signs out all its users says a lot at once, and need not say it
//! again. Of the others each costs a look at its signature, and as many as [`rate::LOGOUT_RATE`] lets may make the edge look
//! for newer keys.

use std::net::IpAddr;

use causeway_protocol::hub::EndReason;
use http::{StatusCode, header};

use super::{
    context::{Context, read_body},
    rate,
};
use crate::{
    error::Error,
    http::web::{Request, Response},
    oauth::{
        cache::{self, with_keys, with_keys_at_hand},
        logout_token::{self, Ends, LogoutToken},
        provider::Provider,
        signing_key::SigningKey,
    },
    runtime::{
        clock::MAX_SKEW_MS,
        platform::Platform,
        telemetry::{Event, Name},
        unavailable::Unavailable,
    },
    session::{
        index::{IndexName, IssuedAt},
        replay_guard::{self, ReplayGuardName},
    },
};

/// How long the claim on a token's id holds, in seconds: longer than ending its sessions takes, so short that a provider
/// whose request was broken off can send it again.
const CLAIM_SECONDS: u32 = 30;

/// Takes a logout token. 200 says that whatever it names has ended, also if that was nothing.
pub(super) async fn receive<P: Platform>(
    context: &Context<'_, P>,
    request: Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let platform = context.platform;
    let provider = context.config.provider(context.parameter(0)).ok_or(Error::NotFound)?;
    let sender = request.client_address;
    let token = token_of::<P>(context, request).await?;
    let token = validate(context, provider, &token, sender).await?;
    let once = ReplayGuardName::jti(&token.issuer, &token.jti);
    let sessions = context.sessions();
    let for_ms = 1000 * u64::from(CLAIM_SECONDS);
    match sessions.ask_replay_guard(&once, replay_guard::Command::Claim { for_ms }).await? {
        replay_guard::Reply::First => {}
        replay_guard::Reply::Claimed => {
            // Whoever claimed it may have been broken off: a refusal would be the last that the provider hears.
            let unavailable = Unavailable::new("logout token", "is being used");
            return Err(Error::UpstreamRateLimited { unavailable, retry_after_seconds: CLAIM_SECONDS });
        }
        replay_guard::Reply::Repeat => return Err(Error::LogoutRefused { reason: "logout token used before" }),
    }
    let issued_at = IssuedAt::At(token.issued_at_seconds.saturating_mul(1000));
    let indexes = match &token.ends {
        Ends::Session { sid, sub } => {
            // The provider's session is over: no sign-in of it counts any more, whenever it was.
            let of_session = (IndexName::provider_session(&token.issuer, sid), IssuedAt::At(u64::MAX));
            let nameless = sub.as_ref().map(|sub| IndexName::account_without_session(&token.issuer, sub));
            vec![Some(of_session), nameless.map(|index| (index, issued_at))]
        }
        Ends::User(sub) => vec![Some((IndexName::account(&token.issuer, sub), issued_at))],
    };
    let mut ended = Ok(0);
    for (index, before) in indexes.into_iter().flatten() {
        let more = sessions.end_all(&index, before, EndReason::Revoked).await;
        // What failed is said, after the rest was tried.
        ended = ended.and_then(|count| more.map(|more| count + more));
    }
    // Another isolate's clock may be behind, and believe it for longer.
    let left_ms = token.refused_from_ms().saturating_sub(platform.now_ms()).saturating_add(MAX_SKEW_MS);
    let for_ms = if ended.is_ok() { left_ms } else { 0 };
    if let Err(error) = sessions.ask_replay_guard(&once, replay_guard::Command::Settle { for_ms }).await {
        // The claim lapses by itself. That the token then works again harms nobody: what it ends has ended.
        Event::warn("logout.unsettled").with("detail", &error).write(platform);
    }
    let ended = ended?;
    Event::info("logout.backchannel").with("provider", Name(&provider.id)).with("ended", ended).write(platform);
    Ok(Response::empty(StatusCode::OK))
}

/// The token in the form that the specification asks for.
async fn token_of<P: Platform>(context: &Context<'_, P>, request: Request<P::Body>) -> Result<String, Error> {
    let content_type = request.header(&header::CONTENT_TYPE).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Error::BadRequest { reason: "the body must be application/x-www-form-urlencoded" });
    }
    let body = read_body(context.platform, context.row, request).await?;
    let mut tokens = url::form_urlencoded::parse(&body).filter(|(name, _)| name == "logout_token");
    match (tokens.next(), tokens.next()) {
        (Some((_, token)), None) => Ok(token.into_owned()),
        _ => Err(Error::BadRequest { reason: "the body must have one logout_token" }),
    }
}

async fn validate<P: Platform>(
    context: &Context<'_, P>,
    provider: &Provider,
    token: &str,
    sender: Option<IpAddr>,
) -> Result<LogoutToken, Error> {
    let (platform, cache) = (context.platform, &context.memory.discovery);
    let endpoints = cache::endpoints(platform, cache, provider).await?;
    // A provider without signing keys says nothing this way.
    let jwks = endpoints.jwks.as_ref().ok_or(Error::NotFound)?;
    let now_seconds = i64::try_from(platform.now_ms() / 1000).unwrap_or(i64::MAX);
    let check = |keys: &[SigningKey]| logout_token::validate(token, keys, provider, now_seconds);
    let mut validated = with_keys_at_hand(platform, cache, provider, jwks, check).await?;
    if validated.is_err() {
        rate::allow_logout(context, &provider.id, sender).await?;
        validated = with_keys(platform, cache, provider, jwks, check).await?;
    }
    validated.map_err(|error| Error::LogoutRefused { reason: error.reason() })
}
