//! `POST /auth/logout`: ends the session. The browser may then end the provider's session, too: see
//! [`crate::sign_in::end_session`].

use causeway_protocol::hub::EndReason;
use futures_util::{future::join_all, join};
use http::{HeaderMap, HeaderName, StatusCode, header};
use serde_json::json;

use super::{
    context::Context,
    end_session::{end_session_endpoint, report_failure},
};
use crate::{
    error::{self, Error},
    http::{
        cookie::{self, Embed},
        web::{Request, Response},
    },
    runtime::platform::Platform,
    session::{
        id::SessionId,
        record::{LinkedAccount, SessionRecord},
    },
    sign_in::end_session::LogoutRedirect,
};

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// A provider whose session the browser can end, too.
struct Redirect {
    provider_id: String,
    /// The `Set-Cookie` value to begin with; `None` if the browser has the cookie already.
    cookie: Option<String>,
}

/// Ends the session on the server, and with it its streams. Then clears the cookie, and has the providers revoke the
/// tokens if they can.
///
/// - 204: the session has ended, or there was none. So a second click is no error.
/// - 200 with `end_session`: the same, and where the browser goes to end the provider's session.
/// - 503: the end of the session or of its streams is not confirmed. A repeated request is safe, and completes it.
///
/// If cookies open several sessions, all of them end. Only the first one's provider is offered in `end_session`.
pub(super) async fn logout<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let ids = context.sessions().ids(&request.headers);
    let (records, ended): (Vec<_>, Vec<_>) = join_all(ids.iter().map(|id| end(context, id))).await.into_iter().unzip();
    let ended = ended.into_iter().collect::<Result<(), Error>>();
    let records: Vec<SessionRecord> = records.into_iter().flatten().collect();
    // Even if the end is not confirmed: the records may be gone, and a later attempt would not find their tokens.
    let accounts = records.iter().flat_map(|record| &record.accounts);
    let revoked = join_all(accounts.map(|account| revoke(context, account)));
    let redirect = match records.first() {
        Some(record) => join!(revoked, begin_redirect(context, record)).1,
        // The second attempt at a session whose end was not confirmed the first time.
        None if !ids.is_empty() => begun_redirect(context, &request.headers),
        None => None,
    };
    let mut response = match (&ended, &redirect) {
        // The session cookie stays, so that the browser can try again. It opens nothing once the coordinator knows of the
        // end.
        (Err(error), _) => {
            error::reject(context.platform, error, Some(&request.method));
            error.response(context.request_id)
        }
        (Ok(()), Some(Redirect { provider_id, .. })) => {
            let address = format!("/auth/{provider_id}/end-session");
            Response::json(StatusCode::OK, "application/json", &json!({"end_session": address}))
        }
        (Ok(()), None) => Response::empty(StatusCode::NO_CONTENT),
    };
    if ended.is_ok() {
        for cookie in cookie::clear_session(context.config.sessions.embed) {
            response.add(header::SET_COOKIE, &cookie);
        }
    }
    if let Some(Redirect { cookie: Some(cookie), .. }) = redirect {
        response.add(header::SET_COOKIE, &cookie);
    }
    // Not "cookies" or "storage": those would be cleared for the whole site, including the host pages.
    response.set(CLEAR_SITE_DATA, "\"cache\"");
    Ok(response)
}

/// Ends a session. Returns its last known record, and whether the end is confirmed.
async fn end<P: Platform>(context: &Context<'_, P>, id: &SessionId) -> (Option<SessionRecord>, Result<(), Error>) {
    let sessions = context.sessions();
    // Read first, in case the answer to the end is lost and the record with it.
    let before = sessions.read_by_id(id.clone()).await;
    let (last, ended) = sessions.end_own(id, EndReason::SignedOut).await;
    // The last record's tokens are the ones to revoke: another isolate may just have stored them (S114).
    (last.or(before.ok().map(|session| session.record)), ended)
}

/// Has a provider revoke an account's tokens. The session has ended, whether or not that succeeds (S128).
async fn revoke<P: Platform>(context: &Context<'_, P>, (id, account): (&String, &LinkedAccount)) {
    if let Some(provider) = context.config.provider(id) {
        context.accounts().revoke_tokens(provider, account).await;
    }
}

/// Prepares the redirect to the provider of a session, if the provider's session can be ended.
async fn begin_redirect<P: Platform>(context: &Context<'_, P>, record: &SessionRecord) -> Option<Redirect> {
    // The browser would keep a cookie that a page of another site gets in that site's partition, where the navigation
    // does not find it.
    if context.config.sessions.embed == Embed::CrossSite {
        return None;
    }
    let provider = context.config.provider(&record.provider)?;
    end_session_endpoint(context, provider).await?;
    match LogoutRedirect::cookie(context.platform, &context.config.sessions.keys, provider, record) {
        Ok(cookie) => Some(Redirect { provider_id: provider.id.clone(), cookie: Some(cookie?) }),
        Err(error) => {
            report_failure(context, provider, &error);
            None
        }
    }
}

/// The redirect that an earlier attempt to sign out has prepared.
fn begun_redirect<P: Platform>(context: &Context<'_, P>, headers: &HeaderMap) -> Option<Redirect> {
    let Context { platform, config, .. } = *context;
    let mut providers = config.providers.iter();
    let provider = providers
        .find(|provider| LogoutRedirect::find(platform, &config.sessions.keys, provider, headers).is_some())?;
    Some(Redirect { provider_id: provider.id.clone(), cookie: None })
}
