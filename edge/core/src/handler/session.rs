//! `/auth/session`.

use http::StatusCode;
use serde_json::json;

use super::Context;
use crate::{platform::Platform, session::store::Session, web::Response};

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
