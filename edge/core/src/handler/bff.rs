//! `/bff/{service}/*`: forwards a request to an upstream API, with an access token in place of the session cookie.

use http::HeaderMap;

use super::context::Context;
use crate::{
    config::Config,
    error::Error,
    guard,
    http::web::{Request, Response},
    oauth::{dpop::DpopKey, provider::Kind, restriction::Restriction, step_up::StepUp},
    proxy::{
        authorization::Authorization,
        deadline::Deadline,
        forward::Call,
        header::{
            request::{ForwardingContext, request_headers},
            response::disarm,
        },
        installation_token::{InstallationTokens, is_fresh},
        payload::Payload,
        service::{Credential, Installation, Refusal, Service},
    },
    runtime::{platform::Platform, reason::Reason},
    session::{principal::Principal, store::Session, summary::Summary},
    sign_in::step_up::Demand,
};

/// Forwards a request.
pub(super) async fn proxy<P: Platform>(
    context: &Context<'_, P>,
    request: Request<P::Body>,
    principal: Principal,
) -> Result<Response<P::Body>, Error> {
    let platform = context.platform;
    let service = context.config.service(context.parameter(0)).ok_or(Error::NotFound)?;
    if !is_served(context.config, service, &principal.summary) {
        return Err(Error::NotForUser);
    }
    let path = format!("/{}", context.parameter(1));
    let url = service.target(&request.method, &path, request.query.as_deref()).map_err(|refusal| match refusal {
        Refusal::BadPath => Error::BadRequest { reason: Reason::PathForm },
        Refusal::MethodOverride => Error::BadRequest { reason: Reason::MethodOverride },
        Refusal::UnknownPath => Error::NotFound,
        Refusal::Method { allow } => Error::MethodNotAllowed { allow },
    })?;
    let Request { method, headers: received, body, client_address, .. } = request;
    let is_by_link = guard::is_by_link(&received);
    let forwarding = ForwardingContext {
        public_origin: &context.config.public_origin,
        client_address: client_address.filter(|_| service.gets_client_address),
        traceparent: context.trace.as_str(),
        named: &service.request_headers,
    };
    let headers = request_headers(&received, &forwarding)?;
    let session = &context.sessions().session_of(principal).await?;
    // Before the body is read: a user who must sign in first need not wait for an upload to finish.
    let authorization = authorize(context, session, service, false).await?;
    let limit_bytes = service.body_limit_bytes.min(context.row.body_limit_bytes);
    let deadline = Deadline::after(platform, service.timeout);
    let payload = Payload::take(platform, &method, &received, body, limit_bytes, deadline).await?;
    let call = Call { platform, service, method, url, headers, payload, is_by_link, deadline };
    // Boxed: few requests renew a token, and all would carry the space for it.
    let renew = async |refused: &_| Box::pin(authorize_again(context, session, service, refused)).await;
    let mut response =
        call.forward(authorization, renew, |challenge| step_up(context, session, service, challenge)).await?;
    if is_by_link {
        disarm(&mut response.headers);
    }
    Ok(response)
}

/// The answer to an upstream's demand for another authentication, if the headers of its 401 have one that the service's
/// provider can be asked to meet.
fn step_up<P: Platform>(
    context: &Context<'_, P>,
    session: &Session,
    service: &Service,
    challenge: &HeaderMap,
) -> Option<Error> {
    let Credential::Provider { id, .. } = &service.credential else { return None };
    // GitHub knows none of the parameters.
    let provider = context.config.provider(id).filter(|it| !matches!(it.kind, Kind::GitHub { .. }))?;
    let step_up = StepUp::of_challenge(challenge)?;
    Some(Demand::answer(context.platform, &context.config.sessions.keys, session, provider, &service.name, step_up))
}

/// Whether a service is for users of the provider that began this session.
fn is_served(config: &Config, service: &Service, summary: &Summary) -> bool {
    let Summary { provider, accounts, .. } = summary;
    // The provider's id may have been configured for another issuer since. A user of the former issuer is not its user
    // (M16).
    let is_of_issuer = || accounts.get(provider).is_none_or(|it| config.provider_of(provider, &it.issuer).is_some());
    service.users_of.as_ref().is_none_or(|ids| ids.contains(provider) && is_of_issuer())
}

/// The authorization of a session's requests to a service. `is_refused`: the upstream refused the last one.
///
/// # Errors
/// [`Error::ProviderSignInNeeded`], or [`Error::Unavailable`] if the issuer of the token does not answer.
async fn authorize<'a, P: Platform>(
    context: &Context<'a, P>,
    session: &Session,
    service: &Service,
    is_refused: bool,
) -> Result<Authorization<'a>, Error> {
    match &service.credential {
        Credential::Provider { id, restriction } => {
            authorize_as_user(context, session, id, restriction.as_ref(), is_refused).await
        }
        Credential::Installation(installation) => {
            authorize_as_installation(context, service, installation, is_refused).await
        }
    }
}

/// Another authorization, after an upstream refused one. If there is no other, and the upstream is the provider's own API,
/// the refused token is not sent again.
///
/// # Errors
/// As [`authorize`].
async fn authorize_again<'a, P: Platform>(
    context: &Context<'a, P>,
    session: &Session,
    service: &Service,
    refused: &Authorization<'a>,
) -> Result<Authorization<'a>, Error> {
    let renewed = authorize(context, session, service, true).await;
    if let Err(Error::ProviderSignInNeeded { provider: id }) = &renewed
        && context.config.provider(id).is_some_and(|provider| provider.is_own_api(&service.base))
    {
        // If this fails, the next refusal tries again.
        let _ = context.refresher().mark_token_rejected(session, id, refused.token()).await;
    }
    renewed
}

/// The session's token of exactly this provider, with exactly this restriction.
///
/// # Errors
/// [`Error::ProviderSignInNeeded`] if the session has no usable token.
async fn authorize_as_user<'a, P: Platform>(
    context: &Context<'a, P>,
    session: &Session,
    provider_id: &str,
    restriction: Option<&Restriction>,
    is_refused: bool,
) -> Result<Authorization<'a>, Error> {
    let unusable = || Error::ProviderSignInNeeded { provider: provider_id.to_owned() };
    // On the heap: a refresh is the deepest future of a call, and Wasm has a small stack.
    let account = Box::pin(context.refresher().account(session, provider_id, restriction, is_refused)).await?;
    // A bound token is useless without its key, and must not be sent as a bearer token.
    let key = match &account.dpop_key {
        None => None,
        Some(jwk) => Some(DpopKey::from_jwk(jwk).ok_or_else(unusable)?),
    };
    let access = account.access(restriction.map(Restriction::key).as_deref()).ok_or_else(unusable)?;
    Ok(Authorization::new(access.token.clone(), key, &context.memory.discovery.nonces))
}

/// A token of a GitHub App's installation.
async fn authorize_as_installation<'a, P: Platform>(
    context: &Context<'a, P>,
    service: &Service,
    installation: &Installation,
    is_refused: bool,
) -> Result<Authorization<'a>, Error> {
    let &Context { platform, config, memory, .. } = context;
    // A configuration in which a service needs the app, but has none, is not loaded.
    let app = config.github_app.as_ref().ok_or(Error::Misconfigured)?;
    let tokens = InstallationTokens { platform, app, keys: &config.sessions.keys, cache: &memory.installations };
    let token = tokens.token(installation, service.timeout, is_refused).await?;
    let is_fresh = is_fresh(&token, platform.now_ms());
    let authorization = Authorization::new(token.token, None, &memory.discovery.nonces);
    Ok(if is_fresh { authorization.fresh() } else { authorization })
}
