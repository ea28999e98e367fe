//! Ends the provider's session after the edge's own: `GET /auth/{provider}/end-session` sends the browser to the provider,
//! `GET /auth/{provider}/logged-out` takes it back. See [`crate::sign_in::end_session`].

use http::header;
use secrecy::ExposeSecret as _;
use url::Url;

use super::context::{Context, provider};
use crate::{
    error::Error,
    http::{
        cookie::{self, SameSite},
        origin::ReturnTo,
        query::Query,
        web::{Request, Response},
    },
    oauth::{cache, provider::Provider, revocation::MAX_WAIT},
    runtime::{
        clock::within,
        dependency::Dependency,
        event_name::EventName,
        platform::Platform,
        telemetry::{Event, Name},
        unavailable::Unavailable,
    },
    sign_in::end_session::{LOGOUT_REDIRECT_COOKIE, LogoutRedirect, LogoutReturn, RETURN_COOKIE},
};

/// `GET /auth/{provider}/end-session?return_to=`: sends a browser that has just signed out to the provider. Any other
/// browser goes to the return address, so a link to this path signs no user out.
pub(super) async fn end_session<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let (platform, config) = (context.platform, context.config);
    let keys = &config.sessions.keys;
    let provider = provider(context)?;
    let return_to = match Query::parse(request.query.as_deref()).one("return_to") {
        Ok(Some(text)) => ReturnTo::parse(&text, &config.public_origin, &config.host_origins),
        Ok(None) | Err(_) => ReturnTo::home(),
    };
    let mut response = Response::see_other(return_to.as_str());
    if let Some(redirect) = LogoutRedirect::find(platform, keys, provider, &request.headers)
        && let Some(endpoint) = end_session_endpoint(context, provider).await
    {
        let back = LogoutReturn::begin(platform, return_to.clone())?;
        let back_to = format!("{}/auth/{}/logged-out", config.public_origin, provider.id);
        let url = redirect.url(provider, &endpoint, &back_to, &back.state);
        response = Response::see_other(url.expose_secret());
        response.add(header::SET_COOKIE, &back.cookie(platform, keys, provider)?);
    }
    response.add(header::SET_COOKIE, &cookie::clear(LOGOUT_REDIRECT_COOKIE, SameSite::Strict));
    Ok(response)
}

/// `GET /auth/{provider}/logged-out?state=`: takes the browser back.
pub(super) fn logged_out<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let provider = provider(context)?;
    let state = Query::parse(request.query.as_deref()).one("state").ok().flatten().unwrap_or_default();
    let address =
        LogoutReturn::return_to(context.platform, &context.config.sessions.keys, provider, &request.headers, &state);
    let mut response = Response::see_other(address.unwrap_or_else(ReturnTo::home).as_str());
    response.add(header::SET_COOKIE, &cookie::clear(RETURN_COOKIE, SameSite::Lax));
    Ok(response)
}

/// Where a provider ends its session; `None` if it cannot, or if it does not answer now.
pub(super) async fn end_session_endpoint<P: Platform>(context: &Context<'_, P>, provider: &Provider) -> Option<Url> {
    let endpoints = cache::endpoints(context.platform, &context.memory.discovery, provider);
    match within(context.platform, MAX_WAIT, Dependency::IdentityProvider, endpoints).await {
        Ok(endpoints) => endpoints.end_session.clone(),
        Err(error) => {
            report_failure(context, provider, &error);
            None
        }
    }
}

/// Logs why a provider's session is not ended.
pub(super) fn report_failure<P: Platform>(context: &Context<'_, P>, provider: &Provider, error: &Unavailable) {
    Event::warn(EventName::LogoutEndSession)
        .with("provider", Name(&provider.id))
        .with("detail", error)
        .write(context.platform);
}
