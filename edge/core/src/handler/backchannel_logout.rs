//! `POST /auth/{provider}/backchannel-logout`: a provider ends sessions by a signed logout token (OpenID Connect
//! Back-Channel Logout 1.0).
//!
//! Tokens signed by a known key are not counted: a provider that signs out all its users sends many at once, and need not
//! send them again. Any other token costs one signature check, and may make the edge fetch newer keys. Those are counted
//! against [`rate::LOGOUT_RATE`].

use std::net::IpAddr;

use causeway_protocol::hub::EndReason;
use http::{StatusCode, header};

use super::context::{Context, provider, read_body};
use crate::{
    error::Error,
    guard::rate,
    http::{
        media_type,
        query::Query,
        web::{Request, Response},
    },
    oauth::{
        cache::{self, with_cached_keys, with_keys},
        logout_token::{self, LogoutTarget, LogoutToken},
        provider::Provider,
        signing_key::SigningKey,
    },
    runtime::{
        clock::{MAX_SKEW_MS, now_seconds},
        dependency::Dependency,
        event_name::EventName,
        platform::Platform,
        reason::Reason,
        telemetry::{Event, Name},
        unavailable::Unavailable,
    },
    session::{
        index::{Ending, IndexName, IssuedAt},
        replay_guard::{self, ReplayGuardName},
    },
};

/// How long a token's id stays claimed, in seconds. Longer than it takes to end the token's sessions, and short enough that
/// a provider can retry a request that was cut off.
const CLAIM_SECONDS: u32 = 30;

/// Receives a logout token. 200 confirms that the sessions it names have ended, or that there were none. A session whose
/// account signed in after the token was issued is not one of them, however late the token comes (S156).
pub(super) async fn receive<P: Platform>(
    context: &Context<'_, P>,
    request: Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let provider = provider(context)?;
    let sender = request.client_address;
    let token = read_token::<P>(context, request).await?;
    let token = validate(context, provider, &token, sender).await?;
    let guard = ReplayGuardName::jti(&token.issuer, &token.jti);
    claim(context, &guard).await?;
    let ended = end_sessions(context, provider, &token).await;
    settle(context, &guard, &token, ended.is_ok()).await;
    Event::info(EventName::LogoutBackchannel)
        .with("provider", Name(&provider.id))
        .with("ended", ended?)
        .write(context.platform);
    Ok(Response::empty(StatusCode::OK))
}

/// Reads the token from the form that the specification prescribes.
async fn read_token<P: Platform>(context: &Context<'_, P>, request: Request<P::Body>) -> Result<String, Error> {
    let content_type = request.header(&header::CONTENT_TYPE).unwrap_or_default();
    if !media_type::is_of(content_type, "application/x-www-form-urlencoded") {
        return Err(Error::BadRequest { reason: Reason::BodyNotForm });
    }
    let body = read_body(context.platform, context.row, request).await?;
    let token = Query::of_form(&body).one("logout_token").ok().flatten();
    token.ok_or(Error::BadRequest { reason: Reason::LogoutTokenMissing })
}

async fn validate<P: Platform>(
    context: &Context<'_, P>,
    provider: &Provider,
    token: &str,
    sender: Option<IpAddr>,
) -> Result<LogoutToken, Error> {
    let (platform, cache) = (context.platform, &context.memory.discovery);
    let endpoints = cache::endpoints(platform, cache, provider).await?;
    // A provider without signing keys has no back-channel logout.
    let jwks = endpoints.jwks.as_ref().ok_or(Error::NotFound)?;
    let check = |keys: &[SigningKey]| logout_token::validate(token, keys, provider, now_seconds(platform));
    let mut validated = with_cached_keys(platform, cache, provider, jwks, check).await?;
    if validated.is_err() {
        rate::check_logout(context.platform, context.config, &provider.id, sender).await?;
        validated = with_keys(platform, cache, provider, jwks, check).await?;
    }
    validated.map_err(|error| Error::LogoutRefused { reason: error.reason() })
}

/// Claims a token's id, so that of concurrent requests with the same token one goes on.
async fn claim<P: Platform>(context: &Context<'_, P>, guard: &ReplayGuardName) -> Result<(), Error> {
    let claim = replay_guard::Command::Claim { for_ms: 1000 * u64::from(CLAIM_SECONDS) };
    match context.sessions().ask_replay_guard(guard, claim).await? {
        replay_guard::Reply::First => Ok(()),
        // The request that claimed it may have been cut off, so this one is not refused for good: a provider would not try
        // again.
        replay_guard::Reply::Claimed => {
            let unavailable = Unavailable::new(Dependency::LogoutToken, "is being used");
            Err(Error::UpstreamRateLimited { unavailable, retry_after_seconds: CLAIM_SECONDS })
        }
        replay_guard::Reply::Repeat => Err(Error::LogoutRefused { reason: Reason::LogoutTokenReplayed }),
    }
}

/// Ends what a token names, and returns how many sessions that were.
async fn end_sessions<P: Platform>(
    context: &Context<'_, P>,
    provider: &Provider,
    token: &LogoutToken,
) -> Result<usize, Error> {
    let issued_at_ms = token.issued_at_seconds.saturating_mul(1000);
    let tolerance_ms = logout_token::tolerance_ms(provider);
    // A user who signs in again right after a logout has a newer sign-in, which may be complete before the token comes.
    let of_user = Ending { before: IssuedAt::At(issued_at_ms), tolerance_ms, message: None };
    // After a logout, a provider names a new session. So within the tolerance, a sign-in in the ended one is an older one.
    let of_session =
        Ending { before: IssuedAt::At(issued_at_ms.saturating_add(tolerance_ms)), tolerance_ms: 0, message: None };
    let indexes = match &token.target {
        LogoutTarget::Session { sid, sub } => {
            let of_session = (IndexName::provider_session(&token.issuer, sid), of_session);
            let without_sid = sub.as_ref().map(|sub| IndexName::account_without_session(&token.issuer, sub));
            vec![Some(of_session), without_sid.map(|index| (index, of_user))]
        }
        LogoutTarget::User(sub) => vec![Some((IndexName::account(&token.issuer, sub), of_user))],
    };
    let mut ended = Ok(0);
    for (index, ending) in indexes.into_iter().flatten() {
        let more = context.sessions().end_all(&index, ending, EndReason::Revoked).await;
        // A failure is returned after the other index was tried.
        ended = ended.and_then(|count| more.map(|more| count + more));
    }
    ended
}

/// Marks a token's id as used for as long as the token is valid; after a failure, frees it for another attempt.
async fn settle<P: Platform>(context: &Context<'_, P>, guard: &ReplayGuardName, token: &LogoutToken, is_done: bool) {
    // The clock of another isolate may be behind, and the token valid there for longer.
    let valid_ms = token.accepted_until_ms().saturating_sub(context.platform.now_ms()).saturating_add(MAX_SKEW_MS);
    let for_ms = if is_done { valid_ms } else { 0 };
    if let Err(error) = context.sessions().ask_replay_guard(guard, replay_guard::Command::Settle { for_ms }).await {
        // The claim expires by itself. The token can then be used again, which does no harm: its sessions have ended, and
        // newer ones do not end by it.
        Event::warn(EventName::LogoutUnsettled).with("detail", &error).write(context.platform);
    }
}
