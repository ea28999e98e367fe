//! Who signed in: from Entra's ID token, from GitHub's `GET /user`.

use std::time::Duration;

use causeway_protocol::subject::Subject;
use http::{Method, StatusCode, header};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use url::Url;

use super::{
    discovery::{self, DiscoveryCache, Endpoints},
    id_token::{self, IdTokenError},
    provider::{Kind, Provider, without_slash},
};
use crate::{
    error::Error,
    platform::{Platform, ReadBody as _, Unavailable},
    session::record::{TokenSet, User},
    web::Outgoing,
};

const MAX_USER_BYTES: usize = 256 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);
/// GitHub refuses requests without one.
pub const USER_AGENT: &str = concat!("causeway/", env!("CARGO_PKG_VERSION"));

/// Who signed in, and as whom the provider knows them.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user.
    pub user: User,
    /// The issuer that vouches.
    pub issuer: String,
    /// What the issuer calls them.
    pub sub: String,
    /// The issuer's own session, where it names one.
    pub sid: Option<String>,
    /// When the issuer said so, by its own clock, in Unix milliseconds.
    pub signed_in_at_ms: u64,
}

/// Tells who the tokens belong to. Nothing is stored and no token used for anything else before this succeeds (M18).
///
/// # Errors
/// [`Error::SignInRefused`] if it cannot be believed, [`Error::Unavailable`] if it cannot be known.
pub async fn identify(
    platform: &impl Platform,
    cache: &DiscoveryCache,
    provider: &Provider,
    endpoints: &Endpoints,
    tokens: &TokenSet,
    nonce: &str,
) -> Result<Identity, Error> {
    match (&provider.kind, &endpoints.jwks) {
        (Kind::GitHub { api, .. }, _) => github_user(platform, provider, api, tokens).await,
        (Kind::Entra { .. }, Some(jwks)) => entra_user(platform, cache, provider, jwks, tokens, nonce).await,
        (Kind::Entra { .. }, None) => Err(Error::SignInRefused { reason: "provider without signing keys" }),
    }
}

async fn entra_user(
    platform: &impl Platform,
    cache: &DiscoveryCache,
    provider: &Provider,
    jwks: &Url,
    tokens: &TokenSet,
    nonce: &str,
) -> Result<Identity, Error> {
    let token = tokens.id_token.as_ref().ok_or(Error::SignInRefused { reason: "no ID token" })?;
    let now_seconds = i64::try_from(platform.now_ms() / 1000).unwrap_or(i64::MAX);
    let keys = discovery::signing_keys(platform, cache, provider, jwks, false).await?;
    let claims = match id_token::validate(token.expose_secret(), &keys, provider, nonce, now_seconds) {
        Err(IdTokenError::UnknownKey) => {
            let keys = discovery::signing_keys(platform, cache, provider, jwks, true).await?;
            id_token::validate(token.expose_secret(), &keys, provider, nonce, now_seconds)
        }
        result => result,
    };
    let claims = claims.map_err(|error| {
        platform.log(&serde_json::json!({"level": "warn", "event": "login.id_token", "detail": error.to_string()}));
        Error::SignInRefused { reason: "ID token is not believed" }
    })?;
    let no_identity = Error::SignInRefused { reason: "ID token without tid and oid" };
    let (Some(tid), Some(oid)) = (&claims.tid, &claims.oid) else { return Err(no_identity) };
    let subject = Subject::new(tid, oid).map_err(|_| no_identity)?;
    let name = claims.name.or(claims.preferred_username).unwrap_or_else(|| subject.user().to_owned());
    Ok(Identity {
        user: User { subject, name, email: claims.email },
        issuer: provider.issuer(),
        sub: claims.sub,
        sid: claims.sid,
        signed_in_at_ms: u64::try_from(claims.issued_at_seconds).unwrap_or_default().saturating_mul(1000),
    })
}

#[derive(Deserialize)]
struct GitHubUser {
    id: u64,
    login: String,
    name: Option<String>,
    email: Option<String>,
}

async fn github_user(
    platform: &impl Platform,
    provider: &Provider,
    api: &Url,
    tokens: &TokenSet,
) -> Result<Identity, Error> {
    let outage = |detail: &dyn std::fmt::Display| Unavailable::new("GitHub", detail);
    let url = Url::parse(&format!("{}/user", without_slash(api))).map_err(|e| outage(&e))?;
    let request = Outgoing::new(Method::GET, url, TIMEOUT)
        .with(header::ACCEPT, "application/vnd.github+json")
        .with(header::USER_AGENT, USER_AGENT)
        .with(header::AUTHORIZATION, &format!("Bearer {}", tokens.access_token.expose_secret()));
    let response = platform.send(request).await?;
    match response.status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(Error::SignInRefused { reason: "GitHub does not know its own token" });
        }
        status => return Err(outage(&format_args!("/user answered {status}")).into()),
    }
    let body = response.body.read(MAX_USER_BYTES).await.map_err(|e| outage(&e))?;
    let user: GitHubUser = serde_json::from_slice(&body).map_err(|e| outage(&e))?;
    // The number stays with the person; the login can be given up and taken by another (M66).
    let subject = Subject::new("github", &user.id.to_string()).map_err(|e| outage(&e))?;
    let name = user.name.filter(|name| !name.is_empty()).unwrap_or(user.login);
    Ok(Identity {
        user: User { subject, name, email: user.email },
        issuer: provider.issuer(),
        sub: user.id.to_string(),
        sid: None,
        signed_in_at_ms: platform.now_ms(),
    })
}
