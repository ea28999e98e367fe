//! `GET /auth/{provider}/login?return_to=&connect=&handoff=&prompt=&step_up=`: sends the browser to the provider.

use http::{HeaderMap, header};

use super::{
    context::{Context, client, provider},
    login_confirmation::login_confirmation,
};
use crate::{
    config::Config,
    error::Error,
    guard::{self, rate},
    http::{
        cookie::Embed,
        origin::ReturnTo,
        query::Query,
        web::{Request, Response},
    },
    oauth::{cache, exchange, prompt::Prompt},
    runtime::{
        event_name::EventName,
        platform::Platform,
        reason::Reason,
        telemetry::{Event, Name},
    },
    session::handoff::Recipient,
    sign_in::{step_up::Demand, transaction::Transaction},
};

/// Begins a sign-in. Reads no other parameter: no caller can add a scope or another redirect URI (S15). A page can make the
/// provider ask its user more, but not less. What an upstream demands of the authentication comes sealed, as `step_up`.
pub(super) async fn login<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    guard::check_visited(&request.headers)?;
    let provider = provider(context)?;
    let query = Query::parse(request.query.as_deref());
    let (return_to, recipient) = destination(context.config, &query, &request.headers)?;
    let prompt = chosen_prompt(&query)?;
    let demand = query.one("step_up").map_err(|_| Error::BadRequest { reason: Reason::StepUpNotOpened })?;
    // The session's account is connected once more.
    let is_connect = demand.is_some() || query.one("connect").ok().flatten().as_deref() == Some("1");
    match is_connect {
        true if recipient.is_some() => {
            return Err(Error::BadRequest { reason: Reason::ConnectFromOtherPage });
        }
        // Refused instead of asking the user: another site would have connected an account of its own choice.
        true => guard::check_started_here(context.config, &request.headers)?,
        false if guard::is_started_elsewhere(context.config, &request.headers) => {
            Event::info(EventName::LoginAsked).with("provider", Name(&provider.id)).write(context.platform);
            return Ok(login_confirmation(provider, &return_to, prompt));
        }
        false => {}
    }
    rate::check_sign_in(context.platform, context.config, request).await?;
    let connects = match is_connect {
        // A user who is not signed in learns it here, not after the provider's pages.
        true => Some(context.sessions().load(&request.headers).await?.id),
        false => None,
    };
    let demand = match (&connects, demand) {
        (Some(session), Some(text)) => {
            let keys = &context.config.sessions.keys;
            Some(Demand::open(context.platform, keys, session, provider, &text)?)
        }
        _ => None,
    };
    let endpoints = cache::endpoints(context.platform, &context.memory.discovery, provider).await?;
    let replaces = match is_connect || recipient.is_some() {
        // A navigation does not carry the page's session cookie. That session ends when the page redeems the new one.
        true => None,
        false => context.sessions().id(&request.headers).ok().map(|id| id.handle()),
    };
    let transaction = Transaction::begin(context.platform, return_to, replaces, connects, recipient)?.answering(demand);
    let step_up = transaction.demand.as_ref().map(Demand::step_up);
    let client = client(context, provider, &endpoints);
    let url = exchange::authorization_url(&client, &transaction.secrets, prompt, step_up).await?;
    let mut response = Response::see_other(url.as_str());
    for cookie in transaction.cookies(context.platform, &context.config.sessions.keys, provider, &request.headers)? {
        response.add(header::SET_COOKIE, &cookie);
    }
    Ok(response)
}

/// The prompt that the page chose, such as `select_account` for a user who wants another account.
fn chosen_prompt(query: &Query) -> Result<Option<Prompt>, Error> {
    let bad = Error::BadRequest { reason: Reason::PromptNotAllowed };
    let Some(text) = query.one("prompt").map_err(|_| bad.clone())? else { return Ok(None) };
    Prompt::parse(&text).map(Some).ok_or(bad)
}

/// Where the user goes after the sign-in, and the page that the session is handed to, if any. A hand-off that cannot work
/// is refused at once: a session that never reaches its page is of no use.
fn destination(config: &Config, query: &Query, headers: &HeaderMap) -> Result<(ReturnTo, Option<Recipient>), Error> {
    let bad = |reason| Error::BadRequest { reason };
    let return_to = query.one("return_to").ok().flatten();
    let Some(challenge) = query.one("handoff").map_err(|_| bad(Reason::HandoffMalformed))? else {
        let parse = |text: String| ReturnTo::parse(&text, &config.public_origin, &config.host_origins);
        return Ok((return_to.map_or_else(ReturnTo::home, parse), None));
    };
    if config.sessions.embed != Embed::CrossSite {
        return Err(bad(Reason::HandoffNotEnabled));
    }
    let page = return_to.and_then(|text| ReturnTo::at_host_page(&text, &config.host_origins));
    let (origin, return_to) = page.ok_or(bad(Reason::HandoffReturnTo))?;
    let recipient = Recipient::new(&origin, &challenge).ok_or(bad(Reason::HandoffMalformed))?;
    guard::check_started_at(&origin, headers)?;
    Ok((return_to, Some(recipient)))
}
