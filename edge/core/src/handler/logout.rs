//! `POST /auth/logout`, and the way to the provider and back that ends its session, too. See
//! [`crate::sign_in::end_session`].

use causeway_protocol::hub::EndReason;
use futures_util::{future::join_all, join};
use http::{HeaderMap, HeaderName, StatusCode, header};
use serde_json::json;

use super::{connect::give_up, context::Context, query::Query};
use crate::{
    error::{self, Error},
    http::{
        cookie::{self, Embed, SameSite},
        origin::ReturnTo,
        web::{Request, Response},
    },
    oauth::{cache, provider::Provider, revocation::MAX_WAIT},
    runtime::{
        clock::within,
        platform::Platform,
        telemetry::{Event, Name},
        unavailable::Unavailable,
    },
    session::{
        id::SessionId,
        record::{LinkedAccount, SessionRecord},
    },
    sign_in::end_session::{LOGOUT_REDIRECT_COOKIE, LogoutRedirect, RETURN_COOKIE, Return},
};

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// `POST /auth/logout`: the session ends on the server and with it its streams; then the cookie goes, and the providers
/// are told, as far as they listen. 200 with `end_session` says where a browser goes to end the provider's session, too.
/// 503 says that the end is not confirmed, of the session or of its streams: asking again is safe, and finishes it.
///
/// Of several sessions, each of which a cookie opens, all end; a way to a provider is offered for the first.
/// Without a session it does the same nothing, so a second click is no error.
pub(super) async fn logout<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let ids = context.sessions().ids(&request.headers);
    let (records, ended): (Vec<_>, Vec<_>) = join_all(ids.iter().map(|id| end(context, id))).await.into_iter().unzip();
    let ended = ended.into_iter().collect::<Result<(), Error>>();
    let records: Vec<SessionRecord> = records.into_iter().flatten().collect();
    // Even if the end is not confirmed: the records may be gone by now, and their tokens with them, so that no later attempt
    // finds them.
    let accounts = records.iter().flat_map(|record| &record.accounts);
    let given_up = join_all(accounts.map(|account| revoke(context, account)));
    let (mut logout_redirect, mut waiting) = (None, None);
    match records.first() {
        Some(record) => (_, logout_redirect) = join!(given_up, depart(context, record)),
        // The second attempt at a session whose end was not confirmed the first time.
        None if !ids.is_empty() => waiting = departing(context, &request.headers),
        None => {}
    }
    let mut response = match (&ended, logout_redirect.as_ref().map(|(provider, _)| provider).or(waiting.as_ref())) {
        // The cookie stays, so that the browser can ask again. Where the coordinator knows of the end it opens nothing.
        (Err(error), _) => {
            error::reject(context.platform, error, Some(&request.method));
            error.response(context.request_id)
        }
        (Ok(()), Some(provider)) => {
            let address = format!("/auth/{provider}/end-session");
            Response::json(StatusCode::OK, "application/json", &json!({"end_session": address}))
        }
        (Ok(()), None) => Response::empty(StatusCode::NO_CONTENT),
    };
    if ended.is_ok() {
        for cookie in cookie::clear_session(context.config.sessions.embed) {
            response.add(header::SET_COOKIE, &cookie);
        }
    }
    if let Some((_, cookie)) = logout_redirect {
        response.add(header::SET_COOKIE, &cookie);
    }
    // Cookies and storage it would clear for the whole site, host pages included.
    response.set(CLEAR_SITE_DATA, "\"cache\"");
    Ok(response)
}

/// Ends a session; returns what it had.
async fn end<P: Platform>(context: &Context<'_, P>, id: &SessionId) -> (Option<SessionRecord>, Result<(), Error>) {
    let sessions = context.sessions();
    // For when the end's answer is lost, and the record with it.
    context.memory.sessions.forget(&id.handle());
    let before = sessions.load_by_id(id.clone()).await;
    let (last, ended) = sessions.end_own(id, EndReason::SignedOut).await;
    // The tokens to give up are those that it ended with: another isolate may have stored them a moment ago (S114).
    (last.or(before.ok().map(|session| session.record)), ended)
}

/// Gives an account's tokens up at its provider. The session is over whatever comes of it (S128).
async fn revoke<P: Platform>(context: &Context<'_, P>, (id, account): (&String, &LinkedAccount)) {
    if let Some(provider) = context.config.provider(id) {
        give_up(context, provider, account).await;
    }
}

/// The provider that this browser was about to be sent to when its session's end was not confirmed.
fn departing<P: Platform>(context: &Context<'_, P>, headers: &HeaderMap) -> Option<String> {
    let Context { platform, config, .. } = *context;
    let mut providers = config.providers.iter();
    let provider =
        providers.find(|provider| LogoutRedirect::find(platform, &config.sessions.keys, provider, headers).is_some());
    provider.map(|provider| provider.id.clone())
}

/// The provider whose session can be ended, too, and the cookie that waits for the browser to go there.
async fn depart<P: Platform>(context: &Context<'_, P>, record: &SessionRecord) -> Option<(String, String)> {
    // A page of another site has the cookie kept apart from where the navigation would look for it.
    if context.config.sessions.embed == Embed::CrossSite {
        return None;
    }
    let (platform, cache) = (context.platform, &context.memory.discovery);
    let provider = context.config.provider(&record.provider)?;
    let endpoints = cache::endpoints(platform, cache, provider);
    let cookie = async {
        let endpoints = within(platform, MAX_WAIT, "identity provider", endpoints).await?;
        let can = endpoints.end_session.is_some();
        if can { LogoutRedirect::cookie(platform, &context.config.sessions.keys, provider, record) } else { Ok(None) }
    };
    match cookie.await {
        Ok(cookie) => Some((provider.id.clone(), cookie?)),
        Err(error) => {
            report(context, provider, &error);
            None
        }
    }
}

fn report<P: Platform>(context: &Context<'_, P>, provider: &Provider, error: &Unavailable) {
    Event::warn("logout.end-session")
        .with("provider", Name(&provider.id))
        .with("detail", error)
        .write(context.platform);
}

/// `GET /auth/{provider}/end-session?return_to=`: sends a browser that has just signed out on to the provider. Any other
/// goes to the return address: nobody is signed out by a link.
pub(super) async fn leave<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let (platform, config) = (context.platform, context.config);
    let provider = config.provider(context.parameter(0)).ok_or(Error::NotFound)?;
    let return_to = match Query::parse(request.query.as_deref()).one("return_to") {
        Ok(Some(text)) => ReturnTo::parse(&text, &config.public_origin, &config.host_origins),
        Ok(None) | Err(_) => ReturnTo::home(),
    };
    let logout_redirect = LogoutRedirect::find(platform, &config.sessions.keys, provider, &request.headers);
    let mut response = Response::see_other(return_to.as_str());
    if let Some(logout_redirect) = logout_redirect {
        let endpoints = cache::endpoints(platform, &context.memory.discovery, provider);
        match within(platform, MAX_WAIT, "identity provider", endpoints).await {
            Ok(endpoints) => {
                if let Some(endpoint) = &endpoints.end_session {
                    let back = Return::begin(platform, return_to.as_str())?;
                    let back_to = format!("{}/auth/{}/logged-out", config.public_origin, provider.id);
                    let url = logout_redirect.url(provider, endpoint, &back_to, &back.state);
                    response = Response::see_other(secrecy::ExposeSecret::expose_secret(&url));
                    response.add(header::SET_COOKIE, &back.cookie(platform, &config.sessions.keys, provider)?);
                }
            }
            Err(error) => report(context, provider, &error),
        }
    }
    response.add(header::SET_COOKIE, &cookie::clear(LOGOUT_REDIRECT_COOKIE, SameSite::Strict));
    Ok(response)
}

/// `GET /auth/{provider}/logged-out?state=`: takes the browser back.
pub(super) fn come_back<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let provider = context.config.provider(context.parameter(0)).ok_or(Error::NotFound)?;
    let state = Query::parse(request.query.as_deref()).one("state").ok().flatten().unwrap_or_default();
    let address = Return::address(context.platform, &context.config.sessions.keys, provider, &request.headers, &state);
    let mut response = Response::see_other(address.as_deref().unwrap_or(ReturnTo::home().as_str()));
    response.add(header::SET_COOKIE, &cookie::clear(RETURN_COOKIE, SameSite::Lax));
    Ok(response)
}
