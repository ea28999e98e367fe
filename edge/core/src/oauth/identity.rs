//! Identifies the user who signed in: from the ID token of an OpenID provider, or from GitHub's `GET /user`.

mod github_user;
mod subject;

use causeway_protocol::subject::Subject;
use secrecy::ExposeSecret as _;
use url::Url;

use self::{github_user::fetch_user, subject::subject};
use super::{
    cache,
    claim::is_identifier,
    dpop::DpopKey,
    id_token::{self, IdClaims, IdTokenError, SignIn},
    provider::{Kind, Provider},
    signing_key::SigningKey,
    token_endpoint::Client,
    userinfo,
};
use crate::{
    error::Error,
    runtime::{
        clock::now_seconds, dependency::Dependency, platform::Platform, reason::Reason, unavailable::Unavailable,
    },
    token_set::{TokenSet, User},
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

/// Identifies the user of the tokens from a sign-in. Until this succeeds, nothing is stored and the tokens are used for
/// nothing else (M18).
///
/// # Errors
/// [`Error::SignInRefused`] if the identity is rejected, [`Error::Unavailable`] or [`Error::UpstreamRateLimited`] if it
/// cannot be determined now.
pub async fn identify<P: Platform>(
    client: &Client<'_, P>,
    tokens: &TokenSet,
    dpop: Option<&DpopKey>,
    sign_in: SignIn<'_>,
) -> Result<Identity, Error> {
    match &client.provider.kind {
        Kind::GitHub { api, .. } => identify_by_github_user(client, api, tokens).await,
        Kind::Entra { .. } | Kind::OpenId { .. } => identify_by_id_token(client, tokens, dpop, sign_in).await,
    }
}

/// Identifies the user by the ID token. Names that it leaves out come from userinfo.
async fn identify_by_id_token<P: Platform>(
    client: &Client<'_, P>,
    tokens: &TokenSet,
    dpop: Option<&DpopKey>,
    sign_in: SignIn<'_>,
) -> Result<Identity, Error> {
    let provider = client.provider;
    let now_seconds = now_seconds(client.platform);
    let claims = validate_id_token(client, tokens, sign_in, now_seconds).await?;
    check_issued_for(sign_in, &claims, provider)?;
    check_sub(&claims)?;
    let signed_in_at_ms = signed_in_at_ms(&claims, provider, now_seconds);
    let subject = subject(provider, &claims).ok_or(Error::SignInRefused { reason: Reason::IdTokenWithoutIdentity })?;
    let (name, email) = name_and_email(client, tokens, dpop, &claims).await?;
    let name = name.unwrap_or_else(|| subject.user().to_owned());
    Ok(Identity {
        user: User { subject, name, email },
        issuer: claims.iss,
        sub: claims.sub,
        // No logout token could have another `sid`. Without one, the session is found by the user's `sub`.
        sid: claims.sid.filter(|sid| is_identifier(sid)),
        signed_in_at_ms,
        by_own_clock: false,
    })
}

/// Validates the ID token of a sign-in with the provider's signing keys.
async fn validate_id_token<P: Platform>(
    client: &Client<'_, P>,
    tokens: &TokenSet,
    sign_in: SignIn<'_>,
    now_seconds: i64,
) -> Result<IdClaims, Error> {
    let token = tokens.id_token.as_ref().ok_or(Error::SignInRefused { reason: Reason::IdTokenMissing })?;
    let validate =
        |keys: &[SigningKey]| id_token::validate(token.expose_secret(), keys, client.provider, sign_in, now_seconds);
    let claims = with_signing_keys(client, validate).await?;
    claims.map_err(|error| Error::SignInRefused { reason: error.reason() })
}

/// Checks that the ID token is not older than the sign-in: one that was issued for it cannot be (M38).
fn check_issued_for(sign_in: SignIn<'_>, claims: &IdClaims, provider: &Provider) -> Result<(), Error> {
    if id_token::is_older_than(claims, provider, sign_in.began_ms) {
        return Err(Error::SignInRefused { reason: Reason::IdTokenPredatesSignIn });
    }
    Ok(())
}

/// Checks that a logout token could name the user.
fn check_sub(claims: &IdClaims) -> Result<(), Error> {
    if !is_identifier(&claims.sub) {
        return Err(Error::SignInRefused { reason: Reason::IdTokenSubjectUnusable });
    }
    Ok(())
}

/// When the issuer authenticated the user. Undoes the backdating: otherwise a sign-in right after a logout at the
/// provider would count as one before it, and that logout would end it.
fn signed_in_at_ms(claims: &IdClaims, provider: &Provider, now_seconds: i64) -> u64 {
    let seconds = match provider.backdates_seconds() {
        0 => claims.issued_at_seconds,
        seconds => claims.issued_at_seconds.saturating_add(seconds).min(now_seconds),
    };
    u64::try_from(seconds).unwrap_or_default().saturating_mul(1000)
}

/// The user's name and e-mail address. Many providers put only the identity into the ID token; then userinfo has them.
async fn name_and_email<P: Platform>(
    client: &Client<'_, P>,
    tokens: &TokenSet,
    dpop: Option<&DpopKey>,
    claims: &IdClaims,
) -> Result<(Option<String>, Option<String>), Error> {
    let mut name = claims.name.as_ref().or(claims.preferred_username.as_ref()).cloned();
    let mut email = claims.email.clone();
    if let (None, Some(url)) = (&name, &client.endpoints.userinfo)
        && let Some(more) = userinfo::userinfo(client, url, &tokens.access_token, dpop, &claims.sub).await?
    {
        name = more.name.or(more.preferred_username);
        email = email.or(more.email);
    }
    Ok((name.filter(|name| !name.is_empty()), email))
}

/// Identifies the user by GitHub's numeric id, which never changes (M66).
async fn identify_by_github_user<P: Platform>(
    client: &Client<'_, P>,
    api: &Url,
    tokens: &TokenSet,
) -> Result<Identity, Error> {
    let platform = client.platform;
    let user = fetch_user(platform, api, &tokens.access_token).await?;
    let sub = user.id.to_string();
    let subject = Subject::new("github", &sub).map_err(|e| Unavailable::new(Dependency::GitHub, e))?;
    let name = user.name.filter(|name| !name.is_empty()).unwrap_or(user.login);
    Ok(Identity {
        user: User { subject, name, email: user.email },
        issuer: client.provider.issuer(),
        sub,
        sid: None,
        signed_in_at_ms: platform.now_ms(),
        by_own_clock: true,
    })
}

/// Checks an ID token with the provider's signing keys.
pub(super) async fn with_signing_keys<T>(
    client: &Client<'_, impl Platform>,
    check: impl Fn(&[SigningKey]) -> Result<T, IdTokenError>,
) -> Result<Result<T, IdTokenError>, Unavailable> {
    let Client { platform, cache, provider, endpoints, .. } = *client;
    let jwks = endpoints.jwks.as_ref();
    let jwks = jwks.ok_or_else(|| Unavailable::new(Dependency::IdentityProvider, "has no signing keys"))?;
    cache::with_keys(platform, cache, provider, jwks, check).await
}
