//! Revoking tokens at the provider. This is best effort: the session has ended once the coordinator says so, whether or
//! not the provider confirms (S128).

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, Method, StatusCode, header};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use url::Url;
use zeroize::Zeroizing;

use super::{
    dpop::DpopKey,
    provider::{ClientAuth, Kind},
    token_endpoint::Client,
};
use crate::{
    http::web::{Body, Outgoing, USER_AGENT},
    runtime::{
        clock::within,
        dependency::Dependency,
        event_name::EventName,
        platform::Platform,
        telemetry::{Event, Name, Redacted},
        unavailable::Unavailable,
    },
    token_set::TokenSet,
};

/// Longest wait for a provider, across all requests. Nothing depends on its answer, and a user is waiting.
pub const MAX_WAIT: Duration = Duration::from_secs(4);

/// Request body of GitHub's revocation API.
#[derive(Serialize)]
struct GitHubRevocation<'a> {
    access_token: &'a str,
}

/// Revokes an account's tokens, as far as the provider supports it and within [`MAX_WAIT`]. Returns whether the
/// provider confirmed.
pub async fn revoke<P: Platform>(client: &Client<'_, P>, tokens: &TokenSet, dpop: Option<&DpopKey>) -> bool {
    let revocation = async { Ok(send_revocation(client, tokens, dpop).await) };
    let result = within(client.platform, MAX_WAIT, Dependency::IdentityProvider, revocation).await;
    let result = result.unwrap_or_else(|timeout| Err(timeout.to_string()));
    if let Err(detail) = &result {
        Event::warn(EventName::RevocationFailed)
            .with("provider", Name(&client.provider.id))
            .with("detail", Redacted(detail))
            .write(client.platform);
    }
    result.is_ok_and(|confirmed| confirmed)
}

/// Returns whether the provider confirmed. A provider without revocation is not an error.
async fn send_revocation<P: Platform>(
    client: &Client<'_, P>,
    tokens: &TokenSet,
    dpop: Option<&DpopKey>,
) -> Result<bool, String> {
    match (&client.provider.kind, &client.endpoints.revocation) {
        (Kind::GitHub { api, .. }, _) => revoke_at_github(client, api, tokens).await.map(|()| true),
        (_, Some(endpoint)) => {
            // Revoking the refresh token also revokes the access tokens issued from it (RFC 7009 §2.1).
            let (token, hint) = match &tokens.refresh_token {
                Some(token) => (token, "refresh_token"),
                None => (&tokens.access_token, "access_token"),
            };
            let form = vec![("token", token.expose_secret()), ("token_type_hint", hint)];
            client.post_any(endpoint, form, dpop).await.map(|_| true).map_err(|error| error.to_string())
        }
        (_, None) => Ok(false),
    }
}

/// Revokes the access token through GitHub's API. Deleting the grant instead would sign the user out of the app
/// everywhere.
async fn revoke_at_github<P: Platform>(client: &Client<'_, P>, api: &Url, tokens: &TokenSet) -> Result<(), String> {
    let request = github_request(client, api, tokens).map_err(|error| error.to_string())?;
    let response = client.platform.send(request).await.map_err(|e| e.to_string())?;
    match response.status {
        status if status.is_success() => Ok(()),
        // GitHub does not know the access token, and there is no refresh token, so nothing is left to revoke.
        StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY if tokens.refresh_token.is_none() => Ok(()),
        // GitHub does not know an expired access token either, and does not revoke refresh tokens: that one stays
        // valid.
        StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => {
            Err(unavailable("knows the access token no more; the refresh token lives until it expires").to_string())
        }
        status => Err(unavailable(status).to_string()),
    }
}

/// The request that deletes the access token, authenticated as the app.
fn github_request<P: Platform>(
    client: &Client<'_, P>,
    api: &Url,
    tokens: &TokenSet,
) -> Result<Outgoing<P::Body>, Unavailable> {
    let client_id = &client.provider.client_id;
    let (ClientAuth::Post(secret) | ClientAuth::Basic(secret)) = &client.provider.client_auth else {
        return Err(unavailable("no secret to authenticate with"));
    };
    let mut url = api.clone();
    let mut path = url.path_segments_mut().map_err(|()| unavailable("no address"))?;
    path.pop_if_empty().extend(["applications", client_id, "token"]);
    drop(path);
    let pair = Zeroizing::new(format!("{client_id}:{}", secret.expose_secret()));
    let basic = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut basic = basic.map_err(unavailable)?;
    basic.set_sensitive(true);
    let mut request = Outgoing::new(Method::DELETE, url, MAX_WAIT)
        .with(header::ACCEPT, "application/vnd.github+json")
        .with(header::CONTENT_TYPE, "application/json")
        .with(header::USER_AGENT, USER_AGENT);
    request.headers.insert(header::AUTHORIZATION, basic);
    let body = serde_json::to_vec(&GitHubRevocation { access_token: tokens.access_token.expose_secret() });
    request.body = Body::Bytes(body.map_err(unavailable)?.into());
    Ok(request)
}

fn unavailable(detail: impl std::fmt::Display) -> Unavailable {
    Unavailable::new(Dependency::GitHub, detail)
}

#[cfg(test)]
mod tests;
