//! `GET /auth/{provider}/callback`: the provider sends the browser back, and the sign-in is completed.

use std::collections::BTreeMap;

use causeway_protocol::hub::EndReason;
use http::{HeaderMap, header};

use super::context::{Context, client, provider};
use crate::{
    config::Config,
    error::{self, Error},
    guard::rate,
    http::{
        cookie::{self, SameSite},
        origin::ReturnTo,
        query::Query,
        web::{Request, Response, single},
    },
    oauth::{
        cache,
        discovery::Endpoints,
        dpop::DpopKey,
        exchange::{self, ExchangeError},
        id_token::SignIn,
        identity::{self, Identity},
        provider::Provider,
        revocation::revoke,
        token_endpoint::Client,
    },
    runtime::{
        clock::millis,
        platform::Platform,
        reason::Reason,
        telemetry::{self, Login},
    },
    session::{
        record::{LinkedAccount, SessionRecord},
        replay_guard::{self, ReplayGuardName},
    },
    sign_in::{
        account::ChangeError,
        transaction::{self, Transaction},
    },
};

/// Names the code of a hand-off in the fragment of the page's address.
const HANDOFF_FRAGMENT: &str = "causeway";

fn refused(reason: impl Into<Reason>) -> Error {
    Error::SignInRefused { reason: reason.into() }
}

/// Completes a sign-in, or shows why it failed.
pub(super) async fn callback<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let provider = provider(context)?;
    // A callback over the limit uses nothing up: the same one works a little later.
    rate::check_sign_in(context.platform, request).await?;
    let query = Query::parse(request.query.as_deref());
    let state = query.one("state").ok().flatten();
    let mut response = match finish(context, provider, &query, state.as_deref(), &request.headers).await {
        Ok(response) => response,
        Err(error) => answer_failure(context, provider, request, state.as_deref(), &error).await,
    };
    // A transaction is used once, even by a callback that fails (S3).
    if let Some(name) = state.as_deref().and_then(transaction::cookie_name) {
        response.add(header::SET_COOKIE, &cookie::clear(&name, SameSite::Lax));
    }
    Ok(response)
}

/// Reports a failed callback, and answers with its error page.
async fn answer_failure<P: Platform>(
    context: &Context<'_, P>,
    provider: &Provider,
    request: &Request<P::Body>,
    state: Option<&str>,
    error: &Error,
) -> Response<P::Body> {
    let outcome = if error.status().is_server_error() { Login::Failed } else { Login::Refused };
    telemetry::login(context.platform, &provider.id, outcome);
    error::reject(context.platform, error, Some(&request.method));
    // The back button or a prefetch may load a callback again. Its user is signed in already, and an error page would only
    // make them start again (S19).
    let is_repeated = matches!(error, Error::SignInRefused { reason: Reason::StateReplayed })
        || state.is_some_and(|state| !transaction::is_in_progress(&request.headers, state));
    if is_repeated && context.sessions().load(&request.headers).await.is_ok() {
        return Response::see_other(ReturnTo::home().as_str());
    }
    error.page(context.request_id)
}

async fn finish<P: Platform>(
    context: &Context<'_, P>,
    provider: &Provider,
    query: &Query,
    state: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response<P::Body>, Error> {
    let (platform, keys) = (context.platform, &context.config.sessions.keys);
    let state = state.ok_or(refused(Reason::StateMissing))?;
    let transaction = Transaction::find(platform, keys, provider, headers, state).map_err(refused)?;
    let endpoints = cache::endpoints(platform, &context.memory.discovery, provider).await?;
    check_issuer(provider, &endpoints, query)?;
    claim_state(context, state).await?;
    // From here on even a reported error is known to come from this provider.
    let code = authorization_code(query)?;
    let client = client(context, provider, &endpoints);
    let (account, dpop) = redeem_code(&client, &transaction, &code).await?;
    let tokens = account.tokens.clone();
    match store_account(context, &transaction, provider, account, headers).await {
        Ok((outcome, response)) => {
            telemetry::login(platform, &provider.id, outcome);
            Ok(response)
        }
        // If the session has the tokens, it uses them.
        Err(ChangeError::Unknown(error)) => Err(error),
        Err(ChangeError::NotStored(error)) => {
            // No session will use these tokens.
            revoke(&client, &tokens, dpop.as_ref()).await;
            Err(error)
        }
    }
}

/// RFC 9207: with several providers, the answer must come from the provider that was asked.
fn check_issuer(provider: &Provider, endpoints: &Endpoints, query: &Query) -> Result<(), Error> {
    match query.one("iss").map_err(refused)? {
        Some(issuer) if provider.is_issuer(&issuer) => Ok(()),
        Some(_) => Err(refused(Reason::IssuerMismatch)),
        None if endpoints.sends_iss => Err(refused(Reason::IssuerMissing)),
        None => Ok(()),
    }
}

/// Ensures that a state is used once. A browser can keep a cookie that it was told to drop, so the coordinator decides
/// (M23).
async fn claim_state<P: Platform>(context: &Context<'_, P>, state: &str) -> Result<(), Error> {
    let claim = replay_guard::Command::Claim { for_ms: transaction::MAX_COMPLETION_MS };
    match context.sessions().ask_replay_guard(&ReplayGuardName::state(state), claim).await? {
        replay_guard::Reply::First => Ok(()),
        _ => Err(refused(Reason::StateReplayed)),
    }
}

/// The authorization code, unless the provider reports an error.
fn authorization_code(query: &Query) -> Result<String, Error> {
    if query.one("error").map_err(refused)?.is_some() {
        return Err(refused(Reason::ProviderError));
    }
    query.one("code").map_err(refused)?.ok_or(refused(Reason::CodeMissing))
}

/// Exchanges the code for tokens. Returns the account that they belong to, and the key that they are bound to.
async fn redeem_code<P: Platform>(
    client: &Client<'_, P>,
    transaction: &Transaction,
    code: &str,
) -> Result<(LinkedAccount, Option<DpopKey>), Error> {
    let secrets = &transaction.secrets;
    let (tokens, dpop) = exchange::exchange(client, secrets, code).await.map_err(|error| match error {
        ExchangeError::Refused(reason) => refused(reason),
        ExchangeError::Unavailable(unavailable) => unavailable.into(),
    })?;
    let sign_in = SignIn { nonce: &secrets.nonce, began_ms: transaction.created_at_ms };
    let identified = identity::identify(client, &tokens, dpop.as_ref(), sign_in).await;
    let Identity { user, issuer, sub, sid, signed_in_at_ms, by_own_clock } = match identified {
        Ok(identity) => identity,
        Err(error) => {
            // No session will use these tokens.
            revoke(client, &tokens, dpop.as_ref()).await;
            return Err(error);
        }
    };
    let dpop_key = dpop.as_ref().map(DpopKey::to_jwk);
    let restricted = BTreeMap::new();
    let account = LinkedAccount { user, issuer, sub, sid, signed_in_at_ms, by_own_clock, tokens, restricted, dpop_key };
    Ok((account, dpop))
}

/// Connects the account to the session that asked for it, or begins a new session.
async fn store_account<P: Platform>(
    context: &Context<'_, P>,
    transaction: &Transaction,
    provider: &Provider,
    account: LinkedAccount,
    headers: &HeaderMap,
) -> Result<(Login, Response<P::Body>), ChangeError> {
    if let Some(id) = &transaction.connects {
        let cookie = context.accounts().connect(id.clone(), provider, account).await?;
        return Ok((Login::Connected, return_with_session(context.config, transaction, &cookie)));
    }
    let response = begin_session(context, transaction, provider, account, headers).await?;
    Ok((Login::Done, response))
}

/// Begins the session of the user who signed in, and sends the browser back with it.
async fn begin_session<P: Platform>(
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
    // The old session ends first: a failure in between leaves the user signed out instead of signed in twice.
    if let Some(old) = &transaction.replaces {
        sessions.end(old, EndReason::Revoked).await?;
    }
    let user_agent = single(headers, &header::USER_AGENT).unwrap_or_default();
    if let Some(recipient) = &transaction.recipient {
        let code = sessions.create_for(recipient, &record, user_agent).await?;
        // A fragment stays in the browser: no server, log or referrer sees it.
        let mut response =
            Response::see_other(&format!("{}#{HANDOFF_FRAGMENT}={code}", transaction.return_to.as_str()));
        response.add(header::SET_COOKIE, &cookie::clear_former_session(context.config.sessions.embed));
        return Ok(response);
    }
    let cookie = sessions.create(&record, user_agent).await?;
    Ok(return_with_session(context.config, transaction, &cookie))
}

/// Sends the browser back to where the user came from, with the session's cookie.
fn return_with_session<B>(config: &Config, transaction: &Transaction, cookie: &str) -> Response<B> {
    let mut response = Response::see_other(transaction.return_to.as_str());
    response.add(header::SET_COOKIE, &cookie::clear_former_session(config.sessions.embed));
    response.add(header::SET_COOKIE, cookie);
    response
}
