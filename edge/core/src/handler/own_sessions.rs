//! `/auth/sessions`: a user sees where they are signed in, and ends sessions that they do not recognize.

use std::cmp::Reverse;

use causeway_protocol::hub::EndReason;
use http::StatusCode;
use serde_json::json;

use super::{context::Context, logout};
use crate::{
    error::Error,
    http::web::{Request, Response},
    runtime::{clock::rfc3339, platform::Platform},
    session::{
        index::{Entry, IndexName},
        principal::Principal,
    },
};

/// The index of all sessions of a session's user.
fn user_index(principal: &Principal) -> IndexName {
    IndexName::user(&principal.summary.user.subject.to_string())
}

/// `GET /auth/sessions`: the user's live sessions, newest first.
pub(super) async fn list<P: Platform>(
    context: &Context<'_, P>,
    principal: &Principal,
) -> Result<Response<P::Body>, Error> {
    let mut entries = context.sessions().list_alive(&user_index(principal)).await?;
    entries.sort_by_key(|entry| Reverse(entry.created_at_ms));
    let sessions: Vec<_> = entries
        .iter()
        .map(|Entry { session: handle, created_at_ms, expires_at_ms, label, .. }| {
            json!({
                "id": handle.as_str(),
                "label": label,
                "created_at": rfc3339(*created_at_ms),
                "expires_at": rfc3339(*expires_at_ms),
                "current": *handle == principal.handle,
            })
        })
        .collect();
    Ok(Response::json(StatusCode::OK, "application/json", &json!({"sessions": sessions})))
}

/// `DELETE /auth/sessions/{id}`: ends one of the user's sessions. Another user's session is answered like one that does not
/// exist. The requesting session itself is signed out as by [`logout::logout`].
pub(super) async fn end_one<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
    principal: &Principal,
) -> Result<Response<P::Body>, Error> {
    if principal.handle.as_str() == context.parameter(0) {
        return logout::logout(context, request).await;
    }
    let sessions = context.sessions();
    let mut entries = sessions.list(&user_index(principal)).await?;
    entries.retain(|entry| entry.session.as_str() == context.parameter(0));
    if entries.is_empty() {
        return Err(Error::NotFound);
    }
    sessions.end_entries(&user_index(principal), &entries, EndReason::Revoked).await?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

/// `DELETE /auth/sessions`: ends all the user's sessions but the requesting one.
pub(super) async fn end_others<P: Platform>(
    context: &Context<'_, P>,
    principal: &Principal,
) -> Result<Response<P::Body>, Error> {
    let sessions = context.sessions();
    let mut entries = sessions.list(&user_index(principal)).await?;
    entries.retain(|entry| entry.session != principal.handle);
    sessions.end_entries(&user_index(principal), &entries, EndReason::Revoked).await?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}
