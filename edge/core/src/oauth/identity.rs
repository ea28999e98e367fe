//! Who signed in: from an OpenID provider's ID token, from GitHub's `GET /user`.

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
    runtime::{clock::now_seconds, platform::Platform, unavailable::Unavailable},
    token_set::{TokenSet, User},
};

const TIMEOUT: Duration = Duration::from_secs(10);
const EXPECTED_USER: Expected = Expected {
    from: "GitHub",
    is_status: |status| *status == StatusCode::OK,
    max_bytes: 256 * 1024,
    malformed: "/user is not what it must be",
};

/// Who signed in, and as whom the provider knows them.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user.
    pub user: User,
    /// The issuer that vouches, exactly as it names itself.
    pub issuer: String,
    /// What the issuer calls them.
    pub sub: String,
    /// The issuer's own session, where it names one.
    pub sid: Option<String>,
    /// When the issuer said so, by its own clock, in Unix milliseconds.
    pub signed_in_at_ms: u64,
    /// Whether that is by this isolate's clock instead: the issuer names no time.
    pub by_own_clock: bool,
}

/// Tells who the tokens of a sign-in that began at `began_ms` belong to. Nothing is stored and no token used for anything else before this succeeds (M18).
///
/// # Errors
/// [`Error::SignInRefused`] if it cannot be believed, [`Error::Unavailable`] if it cannot be known.
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
    let token = tokens.id_token.as_ref().ok_or(Error::SignInRefused { reason: "no ID token" })?;
    let now_seconds = now_seconds(platform);
    let sign_in = SignIn { nonce, began_ms };
    let check = |keys: &[SigningKey]| id_token::validate(token.expose_secret(), keys, provider, sign_in, now_seconds);
    let claims = with_keys(client, check).await?;
    let claims = claims.map_err(|error| Error::SignInRefused { reason: error.reason() })?;
    // Issued for this sign-in, it is no older (M38).
    if id_token::is_older_than(&claims, provider, began_ms) {
        return Err(Error::SignInRefused { reason: "ID token from before the sign-in began" });
    }
    // A user whom no logout of the provider could name is let in by none; a session that none could is not remembered, and
    // the user's own name stands for it.
    if !is_name(&claims.sub) {
        return Err(Error::SignInRefused { reason: "ID token without a usable subject" });
    }
    // Or a sign-in just after its provider ended the one before would be taken for that one.
    let signed_in_at_seconds = match provider.backdates_seconds() {
        0 => claims.issued_at_seconds,
        seconds => claims.issued_at_seconds.saturating_add(seconds).min(now_seconds),
    };
    let subject = subject(provider, &claims).ok_or(Error::SignInRefused { reason: "ID token without an identity" })?;
    let (mut name, mut email) = (claims.name.or(claims.preferred_username), claims.email);
    // Many providers put no more than the identity into the token.
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

/// Checks an ID token with the provider's keys.
pub(super) async fn with_keys<T>(
    client: &Client<'_, impl Platform>,
    check: impl Fn(&[SigningKey]) -> Result<T, IdTokenError>,
) -> Result<Result<T, IdTokenError>, Unavailable> {
    let Client { platform, cache, provider, endpoints, .. } = *client;
    let jwks = endpoints.jwks.as_ref();
    let jwks = jwks.ok_or_else(|| Unavailable::new("identity provider", "has no signing keys"))?;
    cache::with_keys(platform, cache, provider, jwks, check).await
}

/// The immutable identity that claims speak of: never an e-mail address or a name (M76, S58).
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

/// A `sub` (up to 255 characters of any kind) as the user part of a subject. What does not fit is hashed, and so is
/// what looks like a hash: two subs never become one user.
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
    let outage = |detail: &dyn std::fmt::Display| Unavailable::new("GitHub", detail);
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
    // The number never changes; a login can be given up and taken by another person (M66).
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
    let outage = |detail: &dyn std::fmt::Display| Unavailable::new("GitHub", detail);
    match (rate_limited_for_seconds(status, headers, now_ms), status) {
        (Some(retry_after_seconds), _) => {
            Error::UpstreamRateLimited { unavailable: outage(&"limits the rate of requests"), retry_after_seconds }
        }
        (None, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            Error::SignInRefused { reason: "GitHub does not know its own token" }
        }
        (None, status) => outage(&format_args!("/user answered {status}")).into(),
    }
}

#[cfg(test)]
mod tests;
