//! Identifies the user who signed in: from the ID token of an OpenID provider, or from GitHub's `GET /user`.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_protocol::subject::Subject;
use http::{HeaderMap, Method, StatusCode, header};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{
    cache,
    dpop::DpopKey,
    fetch_json::{Expected, FetchError, fetch_json},
    github_rate::rate_limited_for_seconds,
    id_token::{self, IdClaims, IdTokenError, SignIn},
    logout_token::is_name,
    provider::{Kind, Provider},
    signing_key::SigningKey,
    token_endpoint::Client,
    userinfo,
};
use crate::{
    error::Error,
    http::web::{Outgoing, USER_AGENT, without_slash},
    runtime::{
        clock::now_seconds, dependency::Dependency, platform::Platform, reason::Reason, unavailable::Unavailable,
    },
    token_set::{TokenSet, User},
};

const TIMEOUT: Duration = Duration::from_secs(10);
const EXPECTED_USER: Expected = Expected {
    from: Dependency::GitHub,
    is_status: |status| *status == StatusCode::OK,
    max_bytes: 256 * 1024,
    malformed: "/user is not what it must be",
};

/// The user who signed in, and the provider's own identifiers of the user.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user.
    pub user: User,
    /// The issuer that authenticated the user, exactly as it writes itself.
    pub issuer: String,
    /// The issuer's identifier of the user (`sub`; GitHub's numeric id).
    pub sub: String,
    /// The issuer's own session, if it names one (`sid`).
    pub sid: Option<String>,
    /// When the issuer authenticated the user, in Unix milliseconds by the issuer's clock.
    pub signed_in_at_ms: u64,
    /// Whether that time is by this isolate's clock instead, because the issuer names none.
    pub by_own_clock: bool,
}

/// Identifies the user of the tokens from a sign-in that began at `began_ms`. Until this succeeds, nothing is stored
/// and the tokens are used for nothing else (M18).
///
/// # Errors
/// [`Error::SignInRefused`] if the identity is rejected, [`Error::Unavailable`] or [`Error::UpstreamRateLimited`] if it
/// cannot be determined now.
pub async fn identify<P: Platform>(
    client: &Client<'_, P>,
    tokens: &TokenSet,
    dpop: Option<&DpopKey>,
    nonce: &str,
    began_ms: u64,
) -> Result<Identity, Error> {
    let Client { platform, provider, endpoints, .. } = *client;
    if let Kind::GitHub { api, .. } = &provider.kind {
        return github_user(platform, provider, api, tokens).await;
    }
    let token = tokens.id_token.as_ref().ok_or(Error::SignInRefused { reason: Reason::IdTokenMissing })?;
    let now_seconds = now_seconds(platform);
    let sign_in = SignIn { nonce, began_ms };
    let check = |keys: &[SigningKey]| id_token::validate(token.expose_secret(), keys, provider, sign_in, now_seconds);
    let claims = with_keys(client, check).await?;
    let claims = claims.map_err(|error| Error::SignInRefused { reason: error.reason() })?;
    // An ID token issued for this sign-in cannot be older than it (M38).
    if id_token::is_older_than(&claims, provider, began_ms) {
        return Err(Error::SignInRefused { reason: Reason::IdTokenPredatesSignIn });
    }
    // Reject a user that no logout token could name. A `sid` that none could name is dropped below; the session is then
    // found by the user's `sub`.
    if !is_name(&claims.sub) {
        return Err(Error::SignInRefused { reason: Reason::IdTokenSubjectUnusable });
    }
    // Undo the backdating. Otherwise a sign-in right after a logout at the provider would count as one before it, and
    // that logout would end it.
    let signed_in_at_seconds = match provider.backdates_seconds() {
        0 => claims.issued_at_seconds,
        seconds => claims.issued_at_seconds.saturating_add(seconds).min(now_seconds),
    };
    let subject = subject(provider, &claims).ok_or(Error::SignInRefused { reason: Reason::IdTokenWithoutIdentity })?;
    let (mut name, mut email) = (claims.name.or(claims.preferred_username), claims.email);
    // Many providers put only the identity into the ID token.
    if let (None, Some(url)) = (&name, &endpoints.userinfo)
        && let Some(more) = userinfo::userinfo(client, url, &tokens.access_token, dpop, &claims.sub).await?
    {
        name = more.name.or(more.preferred_username);
        email = email.or(more.email);
    }
    let name = name.filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| subject.user().to_owned());
    Ok(Identity {
        user: User { subject, name, email },
        issuer: claims.iss,
        sub: claims.sub,
        sid: claims.sid.filter(|sid| is_name(sid)),
        signed_in_at_ms: u64::try_from(signed_in_at_seconds).unwrap_or_default().saturating_mul(1000),
        by_own_clock: false,
    })
}

/// Checks an ID token with the provider's signing keys.
pub(super) async fn with_keys<T>(
    client: &Client<'_, impl Platform>,
    check: impl Fn(&[SigningKey]) -> Result<T, IdTokenError>,
) -> Result<Result<T, IdTokenError>, Unavailable> {
    let Client { platform, cache, provider, endpoints, .. } = *client;
    let jwks = endpoints.jwks.as_ref();
    let jwks = jwks.ok_or_else(|| Unavailable::new(Dependency::IdentityProvider, "has no signing keys"))?;
    cache::with_keys(platform, cache, provider, jwks, check).await
}

/// The immutable identity in the claims: never an e-mail address or a name (M76, S58).
fn subject(provider: &Provider, claims: &IdClaims) -> Option<Subject> {
    match &provider.kind {
        Kind::Entra { .. } => {
            let (tid, oid) = claims.entra.as_ref()?.identity();
            Subject::new(tid?, oid?).ok()
        }
        Kind::OpenId { .. } => Subject::new(&provider.id, &user_part(&claims.sub)?).ok(),
        Kind::GitHub { .. } => None,
    }
}

/// The user part of a subject for a `sub`, which may have up to 255 characters of any kind. One that does not fit is
/// hashed. One that looks like a hash is hashed, too, so that two values of `sub` never become one user.
fn user_part(sub: &str) -> Option<String> {
    let fits = !sub.starts_with('~') && Subject::new("x", sub).is_ok();
    match sub {
        "" => None,
        sub if fits => Some(sub.to_owned()),
        sub => Some(format!("~{}", BASE64.encode(Sha256::digest(sub.as_bytes())))),
    }
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
    let outage = |detail: &dyn std::fmt::Display| Unavailable::new(Dependency::GitHub, detail);
    let url = Url::parse(&format!("{}/user", without_slash(api))).map_err(|e| outage(&e))?;
    let request = Outgoing::new(Method::GET, url, TIMEOUT)
        .with(header::ACCEPT, "application/vnd.github+json")
        .with(header::USER_AGENT, USER_AGENT)
        .with_bearer(&tokens.access_token);
    let fetched: Result<GitHubUser, _> = fetch_json(platform, request, TIMEOUT, &EXPECTED_USER).await;
    let user = fetched.map_err(|error| match error {
        FetchError::Unavailable(error) => error.into(),
        FetchError::Status(status, headers) => github_error(status, &headers, platform.now_ms()),
    })?;
    // The numeric id never changes. A login can be given up and taken by another person (M66).
    let sub = user.id.to_string();
    let subject = Subject::new("github", &sub).map_err(|e| outage(&e))?;
    let name = user.name.filter(|name| !name.is_empty()).unwrap_or(user.login);
    Ok(Identity {
        user: User { subject, name, email: user.email },
        issuer: provider.issuer(),
        sub,
        sid: None,
        signed_in_at_ms: platform.now_ms(),
        by_own_clock: true,
    })
}

fn github_error(status: StatusCode, headers: &HeaderMap, now_ms: u64) -> Error {
    let outage = |detail: &dyn std::fmt::Display| Unavailable::new(Dependency::GitHub, detail);
    match (rate_limited_for_seconds(status, headers, now_ms), status) {
        (Some(retry_after_seconds), _) => {
            Error::UpstreamRateLimited { unavailable: outage(&"limits the rate of requests"), retry_after_seconds }
        }
        (None, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            Error::SignInRefused { reason: Reason::GitHubTokenUnknown }
        }
        (None, status) => outage(&format_args!("/user answered {status}")).into(),
    }
}

#[cfg(test)]
mod tests;
