//! Refreshing tokens. The caller holds the session's lease and stores the outcome. This module decides what the
//! provider's answer means for the refresh token that was sent.

use std::time::Duration;

use oauth2::{RefreshToken, Scope};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    dpop::DpopKey,
    id_token::{self, IdClaims, IdTokenError},
    identity::with_signing_keys,
    jws::SignatureError,
    protocol::{self, TokenHttpClient, TokenResult},
    provider::{Provider, RefreshPolicy},
    restriction::Restriction,
    token_endpoint::{Client, TokenError},
};
use crate::{
    runtime::{
        clock::{now_seconds, within},
        dependency::Dependency,
        event_name::EventName,
        platform::Platform,
        reason::Reason,
        telemetry::{Event, Name},
    },
    token_set::TokenSet,
};

/// Timeout for the keys that verify a new ID token. The new tokens wait for them, and the caller's time is limited.
const KEYS_TIMEOUT: Duration = Duration::from_secs(3);

/// The outcome of a refresh.
#[derive(Debug)]
pub enum RefreshOutcome {
    /// New tokens. The old ones must not be used again. Boxed because they are large.
    Refreshed(Box<TokenSet>),
    /// The provider ended the grant. The reason is for the log.
    GrantEnded(Reason),
    /// The provider does not issue a token with the requested restriction. The refresh token may be consumed:
    /// oidc-provider checks the request after consuming it. The reason is for the log.
    RestrictionDenied(Reason),
    /// The ID token in the answer is about another user or from another issuer. The session can no longer be trusted
    /// (S55).
    SubjectMismatch {
        /// For the log.
        reason: Reason,
        /// The received tokens. They must not be used. End the session first, then revoke them: the end must not wait.
        tokens: Box<TokenSet>,
    },
    /// The provider answered with an error that does not end the grant. Unless `possibly_consumed`, the refresh token
    /// still works.
    Failed {
        /// When the provider may be asked again, in seconds.
        retry_after_seconds: Option<u32>,
        /// For the log.
        detail: Reason,
        /// Whether the refresh token may be consumed despite the error.
        possibly_consumed: bool,
    },
    /// No answer, or an unreadable one: the refresh token may be consumed.
    Unknown,
}

/// Refreshes an account's tokens. The new access token has the given restriction.
pub async fn refresh<P: Platform>(
    client: &Client<'_, P>,
    before: &TokenSet,
    restriction: Option<&Restriction>,
    dpop: Option<&DpopKey>,
) -> RefreshOutcome {
    let Some(refresh_token) = &before.refresh_token else {
        return RefreshOutcome::GrantEnded(Reason::RefreshTokenMissing);
    };
    let response = request_tokens(client, refresh_token, restriction, dpop).await;
    let granted = restriction.map_or(&before.scopes, |restriction| &restriction.scopes);
    match protocol::tokens(client.platform, response, dpop.is_some(), granted) {
        Ok(tokens) => accept(client, before, tokens).await,
        Err(error) => classify(&error, restriction.is_some(), client.provider.refresh),
    }
}

/// Sends the refresh token to the token endpoint.
async fn request_tokens<P: Platform>(
    client: &Client<'_, P>,
    refresh_token: &SecretString,
    restriction: Option<&Restriction>,
    dpop: Option<&DpopKey>,
) -> TokenResult {
    let oauth2_client = protocol::oauth2_client(client.provider, client.endpoints);
    let refresh_token = RefreshToken::new(refresh_token.expose_secret().to_owned());
    let scopes = client.provider.scopes_of(restriction);
    let mut request =
        oauth2_client.exchange_refresh_token(&refresh_token).add_scopes(scopes.iter().cloned().map(Scope::new));
    if let Some(resource) = client.provider.resource_of(restriction) {
        request = request.add_extra_param("resource", resource);
    }
    request.request_async(&TokenHttpClient { client, dpop }).await
}

/// Accepts new tokens whose ID token, if there is one, is about the same user and sign-in. What the answer leaves out is
/// taken from the tokens before.
async fn accept<P: Platform>(client: &Client<'_, P>, before: &TokenSet, tokens: TokenSet) -> RefreshOutcome {
    let checked = match &tokens.id_token {
        Some(token) => check_id_token(client, token, before.id_token.as_ref()).await,
        None => Ok(None),
    };
    let tokens = with_refresh_token_of(before, tokens);
    match checked {
        Ok(claims) => {
            let tokens = with_comparable_id_token(before, tokens, claims.as_ref(), client.provider);
            RefreshOutcome::Refreshed(Box::new(tokens))
        }
        Err(reason) => RefreshOutcome::SubjectMismatch { reason, tokens: Box::new(tokens) },
    }
}

/// Keeps the old refresh token if the answer has none: a provider that does not rotate refresh tokens may omit it
/// (S120).
fn with_refresh_token_of(before: &TokenSet, mut tokens: TokenSet) -> TokenSet {
    if tokens.refresh_token.is_none() {
        tokens.refresh_token.clone_from(&before.refresh_token);
    }
    tokens
}

/// Keeps the old ID token if the new one is not verified, or if only the old one has an `auth_time`. Later ID tokens
/// are compared with it.
fn with_comparable_id_token(
    before: &TokenSet,
    mut tokens: TokenSet,
    claims: Option<&IdClaims>,
    provider: &Provider,
) -> TokenSet {
    let old = before.id_token.as_ref().and_then(|token| IdClaims::read_unverified(token.expose_secret(), provider));
    let old_has_time = old.is_some_and(|old| old.auth_time.is_some());
    if claims.is_none_or(|claims| old_has_time && claims.auth_time.is_none()) {
        tokens.id_token.clone_from(&before.id_token);
    }
    tokens
}

/// Checks a refreshed ID token against the one before (M42, S55).
///
/// Returns `None` if it cannot be verified now: the provider's keys cannot be fetched or do not include its key yet, or
/// it is outside its validity by our clock. The new tokens exist, and discarding them would end the session because of
/// an outage. Its claims must match even then, and it is not kept.
async fn check_id_token<P: Platform>(
    client: &Client<'_, P>,
    token: &SecretString,
    before: Option<&SecretString>,
) -> Result<Option<IdClaims>, Reason> {
    let Client { platform, provider, .. } = client;
    let before = before.and_then(|token| IdClaims::read_unverified(token.expose_secret(), provider));
    let before = before.ok_or(Reason::PreviousIdTokenMissing)?;
    let now = now_seconds(*platform);
    let validated = with_signing_keys(client, |keys| {
        id_token::validate_refreshed(token.expose_secret(), keys, provider, &before, now)
    });
    match within(*platform, KEYS_TIMEOUT, Dependency::IdentityProvider, validated).await {
        Ok(Ok(claims)) => Ok(Some(claims)),
        // Forged tokens that exhaust the early key refreshes must not end other sessions, and neither must a wrong
        // clock of our own (S117).
        Ok(Err(IdTokenError::Signature(SignatureError::UnknownKey) | IdTokenError::Time)) | Err(_) => {
            match IdClaims::read_unverified(token.expose_secret(), provider) {
                Some(claims) if claims.check_party(provider).is_ok() && claims.continues(&before, now) => Ok(None),
                _ => Err(Reason::RefreshedIdTokenInvalid),
            }
        }
        Ok(Err(error)) => {
            Event::warn(EventName::RefreshIdToken)
                .with("provider", Name(&provider.id))
                .with("detail", error.reason())
                .write(*platform);
            Err(Reason::RefreshedIdTokenInvalid)
        }
    }
}

/// Decides what an error means for the refresh token. Only an error code that says so ends the grant. Every other error
/// is an outage (S113) or concerns the requested restriction.
fn classify(error: &TokenError, is_restricted: bool, policy: RefreshPolicy) -> RefreshOutcome {
    let failed = |detail, retry_after_seconds: &Option<u32>, possibly_consumed| RefreshOutcome::Failed {
        retry_after_seconds: *retry_after_seconds,
        detail,
        possibly_consumed,
    };
    match error {
        TokenError::Refused(
            code @ (Reason::InvalidGrant
            | Reason::BadRefreshToken
            | Reason::InteractionRequired
            | Reason::LoginRequired
            | Reason::ConsentRequired),
        ) => RefreshOutcome::GrantEnded(*code),
        TokenError::Refused(code) if is_restricted => RefreshOutcome::RestrictionDenied(*code),
        // The error may concern the restriction, and the refresh token may be consumed. If sending it again would end
        // the whole grant, even that unlikely case counts.
        TokenError::UnexpectedResponse(_) if is_restricted && policy.rotates && !policy.retries_lost_answer => {
            RefreshOutcome::Unknown
        }
        TokenError::UnexpectedResponse(detail) => failed(*detail, &None, is_restricted && policy.rotates),
        TokenError::Refused(detail) => failed(*detail, &None, false),
        TokenError::NotSent => failed(Reason::NotSent, &None, false),
        TokenError::NotProcessed { detail, retry_after_seconds } => failed(*detail, retry_after_seconds, false),
        TokenError::ServerError { retry_after_seconds } => failed(Reason::ServerError, retry_after_seconds, true),
        TokenError::InvalidSuccess(_) | TokenError::OutcomeUnknown(_) => RefreshOutcome::Unknown,
    }
}

#[cfg(test)]
mod tests;
