//! Signing in: `/auth/{provider}/login` sends the browser to the provider, `/auth/{provider}/callback` takes it back.

use std::collections::BTreeMap;

use causeway_protocol::hub::EndReason;
use http::{HeaderMap, header};

use super::{
    connect::{self, ChangeError},
    context::{Context, client, provider},
    login_confirmation::login_confirmation,
    query::Query,
    rate,
};
use crate::{
    config::Config,
    error::{self, Error},
    guard,
    http::{
        cookie::{self, Embed, SameSite},
        origin::ReturnTo,
        web::{Request, Response, single},
    },
    oauth::{
        cache,
        discovery::Endpoints,
        dpop::DpopKey,
        exchange::{self, ExchangeError},
        identity::{self, Identity},
        provider::Provider,
        revocation::revoke,
    },
    runtime::{
        clock::millis,
        platform::Platform,
        telemetry::{self, Event, Login, Name},
    },
    session::{
        handoff::Recipient,
        record::{LinkedAccount, SessionRecord},
        replay_guard::{self, ReplayGuardName},
    },
    sign_in::transaction::{self, Transaction},
};

/// Names the code of a hand-off in the fragment of the page's address.
const FRAGMENT: &str = "causeway";

/// Why a callback is refused whose sign-in another one has finished, or is finishing.
const STATE_USED: &str = "state used before";

/// `GET /auth/{provider}/login?return_to=&connect=&handoff=`
pub(super) async fn login<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    guard::check_visited(&request.headers)?;
    let provider = provider(context)?;
    // Nothing else is read: no caller gets to add a scope, a prompt or another redirect URI (S15).
    let query = Query::parse(request.query.as_deref());
    let (return_to, recipient) = destination(context.config, &query, &request.headers)?;
    let is_connect = query.one("connect").ok().flatten().as_deref() == Some("1");
    match is_connect {
        true if recipient.is_some() => {
            return Err(Error::BadRequest { reason: "accounts are connected from the edge's own page" });
        }
        // Refused and not asked about: what another site would have connected is an account of its own choice.
        true => guard::check_begun_here(context.config, &request.headers)?,
        false if guard::is_begun_elsewhere(context.config, &request.headers) => {
            Event::info("login.asked").with("provider", Name(&provider.id)).write(context.platform);
            return Ok(login_confirmation(provider, &return_to));
        }
        false => {}
    }
    rate::allow_sign_in(context, request).await?;
    let endpoints = cache::endpoints(context.platform, &context.memory.discovery, provider).await?;
    let (replaces, connects) = match is_connect {
        // Whoever is not signed in learns it here and not after a walk to the provider.
        true => (None, Some(context.sessions().load(&request.headers).await?.id)),
        // The page's session is not the one that a navigation shows; it ends when the page takes the new one.
        false if recipient.is_some() => (None, None),
        false => (context.sessions().id(&request.headers).ok().map(|id| id.handle()), None),
    };
    let transaction = Transaction::begin(context.platform, return_to.as_str(), replaces, connects, recipient)?;
    let url = exchange::authorization_url(&client(context, provider, &endpoints), &transaction.secrets).await?;
    let mut response = Response::see_other(url.as_str());
    for cookie in transaction.cookies(context.platform, &context.config.sessions.keys, provider, &request.headers)? {
        response.add(http::header::SET_COOKIE, &cookie);
    }
    Ok(response)
}

/// Where the user goes deferred_refresh, and the page that the session is handed to if there is one. Whoever asks for that
/// learns at once that it cannot be: a session that is begun for a page and never reaches it helps nobody.
fn destination(config: &Config, query: &Query, headers: &HeaderMap) -> Result<(ReturnTo, Option<Recipient>), Error> {
    let bad = |reason| Error::BadRequest { reason };
    let return_to = query.one("return_to").ok().flatten();
    let Some(challenge) = query.one("handoff").map_err(|_| bad("`handoff` is malformed"))? else {
        let parse = |text: String| ReturnTo::parse(&text, &config.public_origin, &config.host_origins);
        return Ok((return_to.map_or_else(ReturnTo::home, parse), None));
    };
    if config.sessions.embed != Embed::CrossSite {
        return Err(bad("sessions are not handed to pages of other sites here"));
    }
    let page = return_to.and_then(|text| ReturnTo::at_host_page(&text, &config.host_origins));
    let (origin, return_to) = page.ok_or(bad("`return_to` is no page that a session can be handed to"))?;
    let recipient = Recipient::new(&origin, &challenge).ok_or(bad("`handoff` is malformed"))?;
    guard::check_begun_at(&origin, headers)?;
    Ok((return_to, Some(recipient)))
}

/// `GET /auth/{provider}/callback`
pub(super) async fn callback<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let provider = provider(context)?;
    // Nothing is spent: the same callback works a little later.
    rate::allow_sign_in(context, request).await?;
    let query = Query::parse(request.query.as_deref());
    let state = query.one("state").ok().flatten();
    // Used once, whatever comes of it (S3).
    let spent = state.as_deref().and_then(transaction::cookie_name).map(|name| cookie::clear(&name, SameSite::Lax));
    let result = finish(context, provider, &query, state.as_deref(), &request.headers).await;
    let mut response = match result {
        Ok(response) => response,
        Err(error) => {
            let outcome = if error.status().is_server_error() { Login::Failed } else { Login::Refused };
            telemetry::login(context.platform, &provider.id, outcome);
            error::reject(context.platform, &error, Some(&request.method));
            // A callback that was reached again, by the back button or by a prefetch: the user is where they wanted to
            // be, and an error page would only make them begin anew (S19).
            let is_expired = matches!(error, Error::SignInRefused { reason: STATE_USED })
                || state.as_deref().is_some_and(|state| !transaction::is_under_way(&request.headers, state));
            if is_expired && context.sessions().load(&request.headers).await.is_ok() {
                Response::see_other(ReturnTo::home().as_str())
            } else {
                error.page(context.request_id)
            }
        }
    };
    if let Some(spent) = spent {
        response.add(http::header::SET_COOKIE, &spent);
    }
    Ok(response)
}

async fn finish<P: Platform>(
    context: &Context<'_, P>,
    provider: &Provider,
    query: &Query,
    state: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response<P::Body>, Error> {
    let refused = |reason| Error::SignInRefused { reason };
    let platform = context.platform;
    let state = state.ok_or(refused("state missing or repeated"))?;
    let transaction =
        Transaction::find(platform, &context.config.sessions.keys, provider, headers, state).map_err(refused)?;
    let endpoints = cache::endpoints(platform, &context.memory.discovery, provider).await?;
    check_issuer(provider, &endpoints, query)?;
    // The cookie that goes is the browser's to drop; that this happens once, whatever else comes of it, is for the
    // coordinator to say (M23).
    let once = replay_guard::Command::Claim { for_ms: transaction::FINISHABLE_MS };
    if context.sessions().ask_replay_guard(&ReplayGuardName::state(state), once).await? != replay_guard::Reply::First {
        return Err(refused(STATE_USED));
    }
    // Only now may even an error be believed to come from this provider.
    if query.one("error").map_err(refused)?.is_some() {
        return Err(refused("provider reported an error"));
    }
    let code = query.one("code").map_err(refused)?.ok_or(refused("code missing"))?;
    let client = client(context, provider, &endpoints);
    let (tokens, dpop) =
        exchange::exchange(&client, &transaction.secrets, &code).await.map_err(|error| match error {
            ExchangeError::Refused(reason) => refused(reason),
            ExchangeError::Unavailable(unavailable) => unavailable.into(),
        })?;
    let identity = match identity::identify(
        &client,
        &tokens,
        dpop.as_ref(),
        &transaction.secrets.nonce,
        transaction.created_at_ms,
    )
    .await
    {
        Ok(identity) => identity,
        Err(error) => {
            // Nobody will ever use them.
            revoke(&client, &tokens, dpop.as_ref()).await;
            return Err(error);
        }
    };
    let Identity { user, issuer, sub, sid, signed_in_at_ms, by_own_clock } = identity;
    let dpop_key = dpop.as_ref().map(DpopKey::to_jwk);
    let account = LinkedAccount {
        user,
        issuer,
        sub,
        sid,
        signed_in_at_ms,
        by_own_clock,
        tokens,
        restricted: BTreeMap::new(),
        dpop_key,
    };
    let tokens = account.tokens.clone();
    let result = match &transaction.connects {
        Some(id) => {
            let connected = connect::connect(context, id.clone(), provider, account).await;
            connected.map(|cookie| (Login::Connected, back(context.config, &transaction, &cookie)))
        }
        None => {
            let begun = begin(context, &transaction, provider, account, headers).await;
            begun.map(|response| (Login::Done, response)).map_err(ChangeError::Surely)
        }
    };
    let (outcome, response) = match result {
        Ok(done) => done,
        // If the session has them now, it uses them.
        Err(ChangeError::Perhaps(error)) => return Err(error),
        Err(ChangeError::Surely(error)) => {
            // Nobody will ever use them.
            revoke(&client, &tokens, dpop.as_ref()).await;
            return Err(error);
        }
    };
    telemetry::login(platform, &provider.id, outcome);
    Ok(response)
}

/// Begins the session of a user who signed in, and sends the browser back with it.
async fn begin<P: Platform>(
    context: &Context<'_, P>,
    transaction: &Transaction,
    provider: &Provider,
    account: LinkedAccount,
    headers: &HeaderMap,
) -> Result<Response<P::Body>, Error> {
    let now_ms = context.platform.now_ms();
    let lifetime_ms = millis(context.config.sessions.lifetime);
    let record = SessionRecord {
        user: account.user.clone(),
        provider: provider.id.clone(),
        created_at_ms: now_ms,
        expires_at_ms: now_ms.saturating_add(lifetime_ms),
        accounts: [(provider.id.clone(), account)].into(),
    };
    let sessions = context.sessions();
    // The old session ends first: failing between the two leaves the user signed out, not signed in twice.
    if let Some(old) = &transaction.replaces {
        sessions.end(old, EndReason::Revoked).await?;
    }
    let user_agent = single(headers, &header::USER_AGENT).unwrap_or_default();
    if let Some(recipient) = &transaction.recipient {
        let code = sessions.create_for(recipient, &record, user_agent).await?;
        // A fragment stays in the browser: no server on the way, no log and no referrer sees it.
        let mut response = Response::see_other(&format!("{}#{FRAGMENT}={code}", transaction.return_to));
        response.add(header::SET_COOKIE, &cookie::clear_former_session(context.config.sessions.embed));
        return Ok(response);
    }
    let cookie = sessions.create(&record, user_agent).await?;
    Ok(back(context.config, transaction, &cookie))
}

/// Back to where the user came from, with the session's cookie.
fn back<B>(config: &Config, transaction: &Transaction, cookie: &str) -> Response<B> {
    let mut response = Response::see_other(&transaction.return_to);
    response.add(header::SET_COOKIE, &cookie::clear_former_session(config.sessions.embed));
    response.add(header::SET_COOKIE, cookie);
    response
}

/// RFC 9207: with several providers, the answer must come from the one that was asked.
fn check_issuer(provider: &Provider, endpoints: &Endpoints, query: &Query) -> Result<(), Error> {
    let refused = |reason| Error::SignInRefused { reason };
    match query.one("iss").map_err(refused)? {
        Some(issuer) if provider.is_issuer(&issuer) => Ok(()),
        Some(_) => Err(refused("answer of another issuer")),
        None if endpoints.names_itself => Err(refused("issuer missing")),
        None => Ok(()),
    }
}
