//! New tokens for old. The caller holds the session exclusively and stores what comes of it; here it is decided what a
//! provider's answer means for the refresh token that was sent.

use std::time::Duration;

use oauth2::{RefreshToken, Scope};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    dpop::DpopKey,
    id_token::{self, IdClaims, IdTokenError},
    identity::with_keys,
    jws::SignatureError,
    protocol::{self, TokenHttpClient},
    provider::RefreshPolicy,
    restriction::Restriction,
    token_endpoint::{Client, TokenError},
};
use crate::{
    runtime::{
        clock::{now_seconds, within},
        platform::Platform,
        telemetry::{Event, Name},
    },
    token_set::TokenSet,
};

/// How long the keys for a new ID token may take: the new tokens wait for it, and the caller's patience has an end.
const KEYS_TIMEOUT: Duration = Duration::from_secs(3);

/// What became of a refresh.
#[derive(Debug)]
pub enum Refresh {
    /// New tokens; the old ones must not be used again. Boxed, for they are large.
    Refreshed(Box<Refreshed>),
    /// The provider says, or its answer shows, that this connection is over. The reason is for the log.
    Ended(&'static str),
    /// There is no token restricted as asked for. The refresh token may be used up all the same: oidc-provider looks at
    /// what is asked for after it. The reason is for the log.
    Denied(&'static str),
    /// The answer speaks of another user or comes from somebody else: the session itself cannot be trusted (S55).
    SubjectMismatch {
        /// For the log.
        reason: &'static str,
        /// What came: nobody gets it. To be revoked once the session is over, which must not wait for that.
        tokens: Box<TokenSet>,
    },
    /// The provider answered and used nothing up: the same refresh token works later.
    Answered {
        /// When the provider wants to be asked again, in seconds.
        retry_after_seconds: Option<u32>,
        /// For the log.
        detail: &'static str,
        /// Whether the provider broke down, and may have used it up all the same.
        possibly_consumed: bool,
    },
    /// No answer, or none that can be read: the refresh token may be used up.
    Lost,
}

/// What a refresh gave.
#[derive(Debug)]
pub struct Refreshed {
    /// The tokens.
    pub tokens: TokenSet,
    /// What a new ID token says, if one came and could be verified.
    pub claims: Option<IdClaims>,
}

/// Refreshes; the new access token is restricted as asked for.
pub async fn refresh<P: Platform>(
    client: &Client<'_, P>,
    before: &TokenSet,
    restriction: Option<&Restriction>,
    dpop: Option<&DpopKey>,
) -> Refresh {
    let Some(refresh_token) = &before.refresh_token else { return Refresh::Ended("no refresh token") };
    let protocol = protocol::of(client.provider, client.endpoints);
    let refresh_token = RefreshToken::new(refresh_token.expose_secret().to_owned());
    let scopes = client.provider.scopes_of(restriction);
    let mut request =
        protocol.exchange_refresh_token(&refresh_token).add_scopes(scopes.iter().cloned().map(Scope::new));
    if let Some(resource) = client.provider.resource_of(restriction) {
        request = request.add_extra_param("resource", resource);
    }
    let answered = request.request_async(&TokenHttpClient { client, dpop }).await;
    let mut tokens = match protocol::tokens(
        client.platform,
        answered,
        dpop.is_some(),
        restriction.map_or(&before.scopes, |it| &it.scopes),
    ) {
        Ok(tokens) => tokens,
        Err(error) => return of_error(&error, restriction.is_some(), client.provider.refresh),
    };
    // A provider that does not rotate leaves it out (S120).
    if tokens.refresh_token.is_none() {
        tokens.refresh_token.clone_from(&before.refresh_token);
    }
    let claims = match &tokens.id_token {
        None => None,
        Some(token) => match check(client, token, before.id_token.as_ref()).await {
            Ok(claims) => claims,
            // Somebody else's tokens, perhaps.
            Err(reason) => return Refresh::SubjectMismatch { reason, tokens: Box::new(tokens) },
        },
    };
    // One that no longer says when the user signed in does not take the place of one that does: later ones are held to it.
    let known = before.id_token.as_ref().and_then(|token| IdClaims::of_own(token.expose_secret(), client.provider));
    let said_when = known.is_some_and(|known| known.auth_time.is_some());
    if claims.as_ref().is_none_or(|claims| said_when && claims.auth_time.is_none()) {
        tokens.id_token.clone_from(&before.id_token);
    }
    Refresh::Refreshed(Box::new(Refreshed { tokens, claims }))
}

/// Checks the ID token that came with new tokens against the one before (M42, S55). `None` if the provider's keys
/// cannot be had, or are so new that nobody has them yet: the new tokens exist, dropping them would end the session for an outage. What it claims must be right
/// even then, only who signed it stays open; it is not kept.
async fn check<P: Platform>(
    client: &Client<'_, P>,
    token: &SecretString,
    before: Option<&SecretString>,
) -> Result<Option<IdClaims>, &'static str> {
    const ANOTHER: &str = "refreshed ID token is not believed";
    let Client { platform, provider, .. } = client;
    let before = before.and_then(|token| IdClaims::of_own(token.expose_secret(), provider));
    let before = before.ok_or("no ID token to compare with")?;
    let now = now_seconds(*platform);
    let validated =
        with_keys(client, |keys| id_token::validate_refreshed(token.expose_secret(), keys, provider, &before, now));
    match within(*platform, KEYS_TIMEOUT, "identity provider", validated).await {
        Ok(Ok(claims)) => Ok(Some(claims)),
        // Who makes keys be fetched too often, by forging tokens, must not end the sessions that come after; nor must a
        // clock of ours that is wrong (S117).
        Ok(Err(IdTokenError::Signature(SignatureError::UnknownKey) | IdTokenError::Time)) | Err(_) => {
            match IdClaims::of_own(token.expose_secret(), provider) {
                Some(claims) if claims.check_party(provider).is_ok() && claims.continues(&before, now) => Ok(None),
                _ => Err(ANOTHER),
            }
        }
        Ok(Err(error)) => {
            Event::warn("refresh.id-token")
                .with("provider", Name(&provider.id))
                .with("detail", error.reason())
                .write(*platform);
            Err(ANOTHER)
        }
    }
}

/// Only a provider's word that the grant is over ends a connection; whatever else it says is an outage (S113), or about
/// the restriction that was asked for.
fn of_error(error: &TokenError, is_restricted: bool, policy: RefreshPolicy) -> Refresh {
    let answered = |detail, retry_after_seconds: &Option<u32>, possibly_consumed| Refresh::Answered {
        retry_after_seconds: *retry_after_seconds,
        detail,
        possibly_consumed,
    };
    match error {
        TokenError::Refused(
            code @ ("invalid_grant"
            | "bad_refresh_token"
            | "interaction_required"
            | "login_required"
            | "consent_required"),
        ) => Refresh::Ended(code),
        TokenError::Refused(code) if is_restricted => Refresh::Denied(code),
        // It may have been about the restriction, and after the refresh token was used up. Where a repeat costs the whole
        // grant, even the unlikely counts.
        TokenError::Unintelligible(_) if is_restricted && policy.rotates && !policy.retries_lost_answer => {
            Refresh::Lost
        }
        TokenError::Unintelligible(detail) => answered(detail, &None, is_restricted && policy.rotates),
        TokenError::Refused(detail) => answered(detail, &None, false),
        TokenError::HeldUp => answered("held up before it was asked", &None, false),
        TokenError::Outage { detail, retry_after_seconds } => answered(detail, retry_after_seconds, false),
        TokenError::Breakdown { retry_after_seconds } => answered("server error", retry_after_seconds, true),
        TokenError::Unreadable(_) | TokenError::Lost(_) => Refresh::Lost,
    }
}

#[cfg(test)]
mod tests;
