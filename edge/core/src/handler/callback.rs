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
        provider::{Kind, Provider},
        revocation::revoke,
        token_endpoint::Client,
    },
    runtime::{
        clock::millis,
        platform::Platform,
        reason::Reason,
        telemetry::outcome::{self, Login},
    },
    session::{
        record::{LinkedAccount, SessionRecord},
        replay_guard::{self, ReplayGuardName},
    },
    sign_in::{
        account::ChangeError,
        transaction::{self, Transaction, is_in_progress},
    },
};

/// Names the code of a hand-off in the fragment of the page's address.
const HANDOFF_FRAGMENT: &str = "causeway";
/// Names what became of a sign-in, in the fragment of the page's address.
const ERROR_FRAGMENT: &str = "causeway_error";
/// The errors of a user who cancelled or declined at the provider. Most providers use that of RFC 6749 §4.1.2.1, Entra also
/// for AADSTS65004. LinkedIn has two errors of its own, Apple one of these. Other errors, such as `consent_required` and
/// `login_required`, are not the user's decision.
const CANCELLATIONS: [&str; 3] = ["access_denied", "user_cancelled_authorize", "user_cancelled_login"];

/// The title of the page for a user who cancels a sign-in that is over: once more, or after its cookie's end. It only
/// repeats what the browser brought, so nothing is cleared and nobody is sent anywhere.
const CANCELLED: &str = "The sign-in was cancelled.";

/// What the provider answers.
enum Answer {
    /// The authorization code.
    Code(String),
    /// The user cancelled.
    Cancelled,
}

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
    rate::check_sign_in(context.platform, context.config, request).await?;
    let query = Query::parse(request.query.as_deref());
    if is_app_installation(provider, &query) {
        // As if its user had followed a link to the sign-in, with the same checks of who began it.
        return Ok(Response::see_other(&format!("/auth/{}/login", provider.id)));
    }
    let state = query.one("state").ok().flatten();
    let state = state.as_deref();
    let (transaction, endpoints) = match check_sender(context, provider, &query, state, &request.headers).await {
        Ok(checked) => checked,
        // Anyone may have written this address. Nothing is cleared, and the provider's own answer still works (S158).
        Err(error) => {
            let response = answer_failure(context, provider, request, state, &error).await;
            let is_ended = is_cancelled(&query) && !state.is_some_and(|it| is_in_progress(&request.headers, it));
            return Ok(if is_ended && response.status == error.status() {
                error.page_with(CANCELLED, &[], context.request_id)
            } else {
                response
            });
        }
    };
    let client = client(context, provider, &endpoints);
    let mut response = match finish(context, &client, &query, &transaction, &request.headers).await {
        Ok(response) => response,
        Err(error) => answer_failure(context, provider, request, state, &error).await,
    };
    // A transaction is used once, even by a callback that fails (S3).
    if let Some(name) = transaction::cookie_name(&transaction.secrets.state) {
        response.add(header::SET_COOKIE, &cookie::clear(&name, SameSite::Lax));
    }
    Ok(response)
}

/// Whether the provider seems to say that the user cancelled. Anyone may have written it.
fn is_cancelled(query: &Query) -> bool {
    query.one("error").is_ok_and(|error| error.is_some_and(|error| CANCELLATIONS.contains(&error.as_str())))
}

/// Whether GitHub sends a user back who installed the app, with a code that no sign-in here asked for. Nothing binds the code
/// to this browser, so it is not exchanged: it may be another user's (S1).
fn is_app_installation(provider: &Provider, query: &Query) -> bool {
    let has = |name| query.one(name).map(|value| value.is_some());
    let is_own_issuer = || query.one("iss").is_ok_and(|issuer| issuer.is_none_or(|it| provider.is_issuer(&it)));
    matches!(provider.kind, Kind::GitHub { .. })
        && matches!((has("code"), has("state"), has("error")), (Ok(true), Ok(false), Ok(false)))
        && is_own_issuer()
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
    outcome::login(context.platform, &provider.id, outcome);
    error::reject(context.platform, error, Some(&request.method));
    // The back button or a prefetch may load a callback again. Its user is signed in already, and an error page would only
    // make them start again (S19).
    let is_repeated = matches!(error, Error::SignInRefused { reason: Reason::StateReplayed })
        || state.is_some_and(|state| !is_in_progress(&request.headers, state));
    if is_repeated && context.sessions().load(&request.headers).await.is_ok() {
        return Response::see_other(ReturnTo::home().as_str());
    }
    error.page(context.request_id)
}

/// Checks that the callback belongs to a sign-in of this browser and comes from the provider that was asked. Afterwards even
/// a reported error is known to come from this provider.
async fn check_sender<P: Platform>(
    context: &Context<'_, P>,
    provider: &Provider,
    query: &Query,
    state: Option<&str>,
    headers: &HeaderMap,
) -> Result<(Transaction, Endpoints), Error> {
    let (platform, keys) = (context.platform, &context.config.sessions.keys);
    let state = state.ok_or(refused(Reason::StateMissing))?;
    let transaction = Transaction::find(platform, keys, provider, headers, state).map_err(refused)?;
    let endpoints = cache::endpoints(platform, &context.memory.discovery, provider).await?;
    check_issuer(provider, &endpoints, query)?;
    Ok((transaction, endpoints))
}

async fn finish<P: Platform>(
    context: &Context<'_, P>,
    client: &Client<'_, P>,
    query: &Query,
    transaction: &Transaction,
    headers: &HeaderMap,
) -> Result<Response<P::Body>, Error> {
    let (platform, provider) = (context.platform, client.provider);
    claim_state(context, &transaction.secrets.state).await?;
    let code = match provider_answer(query)? {
        Answer::Code(code) => code,
        Answer::Cancelled => {
            outcome::login(platform, &provider.id, Login::Cancelled);
            // The session that the browser had is still there.
            let page = transaction.return_to.with_fragment_entry(ERROR_FRAGMENT, "cancelled");
            return Ok(Response::see_other(&page));
        }
    };
    let (account, dpop) = redeem_code(client, transaction, &code).await?;
    let tokens = account.tokens.clone();
    match store_account(context, transaction, provider, account, headers).await {
        Ok((outcome, response)) => {
            outcome::login(platform, &provider.id, outcome);
            Ok(response)
        }
        // If the session has the tokens, it uses them.
        Err(ChangeError::Unknown(error)) => Err(error),
        Err(ChangeError::NotStored(error)) => {
            // No session will use these tokens.
            revoke(client, &tokens, dpop.as_ref()).await;
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

/// The authorization code, or that the user cancelled. Any other error of the provider's is a failure.
fn provider_answer(query: &Query) -> Result<Answer, Error> {
    match query.one("error").map_err(refused)?.as_deref() {
        Some(error) if CANCELLATIONS.contains(&error) => Ok(Answer::Cancelled),
        Some(_) => Err(refused(Reason::ProviderError)),
        None => query.one("code").map_err(refused)?.map(Answer::Code).ok_or(refused(Reason::CodeMissing)),
    }
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
    let step_up = transaction.demand.as_ref().map(|demand| demand.answered_at(client.platform.now_ms()));
    let account =
        LinkedAccount { user, issuer, sub, sid, signed_in_at_ms, by_own_clock, tokens, restricted, dpop_key, step_up };
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
        let mut response = Response::see_other(&transaction.return_to.with_fragment_entry(HANDOFF_FRAGMENT, &code));
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
