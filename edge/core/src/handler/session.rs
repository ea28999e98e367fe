//! `/auth/session` and `/auth/logout`.

use causeway_protocol::hub::EndReason;
use http::{StatusCode, header};
use serde_json::json;

use super::Context;
use crate::{
    cookie::{self, SameSite},
    error::Error,
    platform::Platform,
    session::store::{SESSION_COOKIE, Session},
    web::{Request, Response},
};

/// `GET /auth/session`: who is signed in, and how one could. Never a token.
pub(super) fn describe<P: Platform>(context: &Context<'_, P>, session: Option<&Session>) -> Response<P::Body> {
    let providers: Vec<_> =
        context.config.providers.iter().map(|provider| json!({"id": provider.id, "name": provider.name})).collect();
    let body = match session {
        None => json!({"authenticated": false, "providers": providers}),
        Some(Session { record, .. }) => json!({
            "authenticated": true,
            "user": {
                "id": record.user.subject.to_string(),
                "name": record.user.name,
                "email": record.user.email,
            },
            "connections": record.connections.keys().map(|provider| json!({"provider": provider})).collect::<Vec<_>>(),
            "expires_in": record.expires_at_ms.saturating_sub(context.platform.now_ms()) / 1000,
            "providers": providers,
        }),
    };
    Response::json(StatusCode::OK, "application/json", &body)
}

/// `POST /auth/logout`: the session ends on the server and with it its streams; then the cookie goes.
///
/// Without a session it does the same nothing, so a second click is no error.
pub(super) async fn logout<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let sessions = context.sessions();
    match sessions.id(&request.headers) {
        Ok(id) => sessions.end(&id.handle(), EndReason::SignedOut).await?,
        Err(Error::Unauthenticated { .. }) => {}
        Err(error) => return Err(error),
    }
    let mut response = Response::empty(StatusCode::NO_CONTENT);
    response.add(header::SET_COOKIE, &cookie::clear(SESSION_COOKIE, SameSite::of_session(context.config.embed)));
    Ok(response)
}
