//! `GET /auth/session`: tells a page who is signed in.

use http::{StatusCode, header};
use serde_json::{Value, json};

use super::context::Context;
use crate::{
    config::Config,
    http::{
        cookie::Embed,
        web::{Request, Response},
    },
    runtime::platform::Platform,
    session::{
        record::{LinkedAccount, SessionRecord},
        store::Session,
    },
};

/// Describes the session's user and accounts, and the providers that a user can sign in with. Never contains a token.
pub(super) async fn describe<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
    session: Option<&Session>,
) -> Response<P::Body> {
    let providers: Vec<_> =
        context.config.providers.iter().map(|provider| json!({"id": provider.id, "name": provider.name})).collect();
    let mut body = match session {
        None => json!({"authenticated": false, "providers": providers}),
        Some(Session { record, .. }) => json!({
            "authenticated": true,
            "user": {
                "id": record.user.subject.to_string(),
                "name": record.user.name,
                "email": record.user.email,
            },
            "connections": accounts(context.config, record, context.platform.now_ms()),
            "expires_in": record.expires_at_ms.saturating_sub(context.platform.now_ms()) / 1000,
            "providers": providers,
        }),
    };
    if context.config.sessions.embed == Embed::CrossSite
        && let Some(body) = body.as_object_mut()
    {
        // Tells a page of another site that it must ask for a hand-off when it begins a sign-in.
        body.insert("handoff".to_owned(), true.into());
    }
    let mut response = Response::json(StatusCode::OK, "application/json", &body);
    if let Some(session) = session
        && let Some(cookie) = context.sessions().reseal(&request.headers, session).await
    {
        response.add(header::SET_COOKIE, &cookie);
    }
    response
}

/// The session's accounts; `sign_in_needed` marks an account that must be connected again.
fn accounts(config: &Config, record: &SessionRecord, now_ms: u64) -> Vec<Value> {
    let describe = |(provider, account): (&String, &LinkedAccount)| {
        if account.is_spent(now_ms) || config.provider_of(provider, &account.issuer).is_none() {
            return json!({"provider": provider, "sign_in_needed": true});
        }
        json!({"provider": provider})
    };
    record.accounts.iter().map(describe).collect()
}
