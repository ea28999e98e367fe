//! Validation of an ID token (OpenID Connect Core §3.1.3.7, §12.2; Entra's own rules on top). No I/O and no clock in
//! here: keys and `now` are passed in.

use jwt_compact::Claims;
use serde::{Deserialize, de::IgnoredAny};
use subtle::ConstantTimeEq as _;

use super::{
    claim,
    entra::EntraClaims,
    jws::{self, SignatureError, SignatureResult, Verified},
    provider::{Kind, Provider, TENANT_PLACEHOLDER},
    signing_key::SigningKey,
};

/// How far clocks may differ, in seconds.
pub(super) const SKEW_SECONDS: i64 = 60;

/// Why a token is not believed, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// Its form, its signature or its key.
    #[error("ID token {0}")]
    Signature(#[from] SignatureError),
    /// Another issuer, audience or party.
    #[error("ID token is not from this issuer for this client")]
    WrongParty,
    /// Over, not yet valid, or without times.
    #[error("ID token outside its time")]
    Time,
    /// Of another sign-in.
    #[error("ID token nonce does not match")]
    Nonce,
    /// The user proved who they are longer ago than was asked for, or the token does not say when.
    #[error("ID token does not say that the user signed in recently enough")]
    AuthTime,
    /// Entra: tenant or version is not a configured one.
    #[error("ID token of another tenant or version")]
    Tenant,
    /// Entra: of no required group, or of too many to be listed.
    #[error("ID token does not show a required group")]
    Group,
    /// A refreshed one: of another user or sign-in than the first.
    #[error("refreshed ID token is not of the same user and sign-in")]
    AnotherUser,
}

impl IdTokenError {
    /// The same as one text, for the log.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Signature(SignatureError::Malformed) => "ID token malformed",
            Self::Signature(SignatureError::WrongKind) => "ID token of another algorithm or type",
            Self::Signature(SignatureError::UnknownKey) => "ID token signed with an unknown key",
            Self::Signature(SignatureError::Wrong) => "ID token signature does not verify",
            Self::WrongParty => "ID token of another issuer or audience",
            Self::Time => "ID token outside its time",
            Self::Nonce => "ID token nonce does not match",
            Self::AuthTime => "ID token of a user who signed in too long ago",
            Self::Tenant => "ID token of another tenant or version",
            Self::Group => "ID token without a required group",
            Self::AnotherUser => "ID token of another user or sign-in",
        }
    }
}

/// What is read of an ID token.
#[derive(Debug, Clone, Deserialize)]
pub struct IdClaims {
    /// Who issued it.
    pub iss: String,
    /// The user, by the issuer's immutable id; pairwise per client for Entra.
    pub sub: String,
    aud: Audience,
    azp: Option<String>,
    nonce: Option<String>,
    /// When it was issued, in Unix seconds.
    #[serde(skip)]
    pub issued_at_seconds: i64,
    /// When the user proved who they are, in Unix seconds.
    #[serde(default, deserialize_with = "claim::whole_seconds")]
    pub auth_time: Option<i64>,
    /// The provider's own session, named in its logout requests.
    pub sid: Option<String>,
    /// What else Entra says; at other providers none, whatever their tokens hold.
    #[serde(skip)]
    pub entra: Option<EntraClaims>,
    /// What a logout token has and an ID token has not.
    events: Option<IgnoredAny>,
    /// For show.
    #[serde(default, deserialize_with = "claim::for_show")]
    pub name: Option<String>,
    /// For show; never an identity (nOAuth, S58).
    #[serde(default, deserialize_with = "claim::for_show")]
    pub email: Option<String>,
    /// For show.
    #[serde(default, deserialize_with = "claim::for_show")]
    pub preferred_username: Option<String>,
}

/// `aud`: one party or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    /// Exactly this client: a token that is also for somebody else is not for us (M33).
    pub(super) fn is_only(&self, client_id: &str) -> bool {
        match self {
            Self::One(audience) => audience == client_id,
            Self::Many(audiences) => !audiences.is_empty() && audiences.iter().all(|audience| audience == client_id),
        }
    }
}

/// What the token of a sign-in must fit.
#[derive(Debug, Clone, Copy)]
pub struct SignIn<'a> {
    /// What the provider was told to put into it.
    pub nonce: &'a str,
    /// When the browser was sent to the provider, in Unix milliseconds.
    pub began_ms: u64,
}

/// Validates the token of a sign-in.
///
/// # Errors
/// [`IdTokenError`]; on [`SignatureError::UnknownKey`] try once more with freshly fetched keys.
pub fn validate(
    token: &str,
    keys: &[SigningKey],
    provider: &Provider,
    sign_in: SignIn<'_>,
    now_seconds: i64,
) -> Result<IdClaims, IdTokenError> {
    let claims = verified(token, keys, provider, now_seconds)?;
    if !claims.nonce.as_ref().is_some_and(|given| bool::from(given.as_bytes().ct_eq(sign_in.nonce.as_bytes()))) {
        return Err(IdTokenError::Nonce);
    }
    if claims.azp.as_ref().is_some_and(|azp| *azp != provider.client_id) {
        return Err(IdTokenError::WrongParty);
    }
    if let Some(max_age) = provider.max_age_seconds {
        // As old as the provider was allowed to take it for when it was asked: what the user did there deferred_refresh, a second
        // factor or a consent, may take its time.
        let oldest = seconds(sign_in.began_ms).saturating_sub(i64::try_from(max_age).unwrap_or(i64::MAX));
        let recent = claims.auth_time.is_some_and(|at| {
            at >= oldest.saturating_sub(SKEW_SECONDS) && at <= now_seconds.saturating_add(SKEW_SECONDS)
        });
        if !recent {
            return Err(IdTokenError::AuthTime);
        }
    }
    Ok(claims)
}

/// Whether a token was issued before a moment, in Unix milliseconds, as far as clocks agree and its provider says when.
pub(super) fn is_older_than(claims: &IdClaims, provider: &Provider, began_ms: u64) -> bool {
    let tolerance_seconds = SKEW_SECONDS.saturating_add(provider.backdates_seconds());
    claims.issued_at_seconds < seconds(began_ms).saturating_sub(tolerance_seconds)
}

fn seconds(ms: u64) -> i64 {
    i64::try_from(ms / 1000).unwrap_or(i64::MAX)
}

/// Validates the token that came with a refresh against the one before it (§12.2): the same user by the same issuer
/// for the same client, the same sign-in (M42, S55).
///
/// # Errors
/// [`IdTokenError`]; on [`SignatureError::UnknownKey`] try once more with freshly fetched keys. On any other the
/// connection must end.
pub fn validate_refreshed(
    token: &str,
    keys: &[SigningKey],
    provider: &Provider,
    before: &IdClaims,
    now_seconds: i64,
) -> Result<IdClaims, IdTokenError> {
    let claims = verified(token, keys, provider, now_seconds)?;
    if claims.continues(before, now_seconds) { Ok(claims) } else { Err(IdTokenError::AnotherUser) }
}

impl IdClaims {
    /// Reads a token that was validated when it came and has rested sealed since; `None` if it is none.
    #[must_use]
    pub fn of_own(token: &str, provider: &Provider) -> Option<Self> {
        jws::claims_of_own::<Self>(token).and_then(|claims| claims.completed(token, provider)).ok()
    }

    /// With what the same token says beyond that, if it is one of Entra.
    fn completed(self, token: &str, provider: &Provider) -> Result<Self, SignatureError> {
        let entra = match provider.kind {
            Kind::Entra { .. } => Some(jws::claims_of_own(token)?),
            Kind::OpenId { .. } | Kind::GitHub { .. } => None,
        };
        Ok(Self { entra, ..self })
    }

    /// Who speaks to whom about whom, signed by whoever: what the configuration allows, whoever the user is. Returns the
    /// tenant, empty where there is none.
    pub(super) fn check_party(&self, provider: &Provider) -> Result<&str, IdTokenError> {
        if self.events.is_some() {
            return Err(SignatureError::WrongKind.into());
        }
        if !self.aud.is_only(&provider.client_id) {
            return Err(IdTokenError::WrongParty);
        }
        match &provider.kind {
            Kind::Entra { tenants, groups, .. } => {
                // The tenant's id first: a token's own issuer means nothing before it is tied to an allowed tenant (M72, M74).
                let entra = self.entra.as_ref().ok_or(IdTokenError::Tenant)?;
                let tenant = entra.tenant(tenants).ok_or(IdTokenError::Tenant)?;
                if self.iss != provider.issuer().replace(TENANT_PLACEHOLDER, tenant) {
                    return Err(IdTokenError::WrongParty);
                }
                if !entra.is_in_a_group(groups) {
                    return Err(IdTokenError::Group);
                }
                Ok(tenant)
            }
            Kind::OpenId { issuer, .. } if self.iss == *issuer => Ok(""),
            Kind::OpenId { .. } | Kind::GitHub { .. } => Err(IdTokenError::WrongParty),
        }
    }

    /// Whether these are of the same user and sign-in as those before.
    pub(super) fn continues(&self, before: &Self, now_seconds: i64) -> bool {
        let is_same_time = match (self.auth_time, before.auth_time) {
            (None, _) => true,
            (Some(at), Some(known)) => at == known,
            // It is optional: the sign-in's own token did not say.
            (Some(at), None) => at <= now_seconds.saturating_add(SKEW_SECONDS),
        };
        self.iss == before.iss
            && self.sub == before.sub
            && self.azp == before.azp
            && is_same_time
            && (self.nonce.is_none() || self.nonce == before.nonce)
            && self.entra.as_ref().map(EntraClaims::identity) == before.entra.as_ref().map(EntraClaims::identity)
    }
}

/// What holds for the first token as for refreshed ones.
fn verified(token: &str, keys: &[SigningKey], provider: &Provider, now_seconds: i64) -> Result<IdClaims, IdTokenError> {
    let Verified { claims, key_issuer } = jws::verify::<IdClaims>(token, keys, "JWT", false)?;
    let issued_at_seconds = check_time(&claims, now_seconds)?;
    let claims = IdClaims { issued_at_seconds, ..claims.custom }.completed(token, provider)?;
    let tenant = claims.check_party(provider)?;
    if key_issuer.is_some_and(|of_key| of_key.replace(TENANT_PLACEHOLDER, tenant) != claims.iss) {
        return Err(IdTokenError::WrongParty);
    }
    Ok(claims)
}

/// Checks expiry and begin, and returns when it was issued.
fn check_time<T>(claims: &Claims<T>, now: i64) -> Result<i64, IdTokenError> {
    let expires = claims.expiration.ok_or(IdTokenError::Time)?.timestamp();
    let issued = claims.issued_at.ok_or(IdTokenError::Time)?.timestamp();
    let not_before = claims.not_before.map_or(i64::MIN, |time| time.timestamp());
    let ahead = now.saturating_add(SKEW_SECONDS);
    // No provider was there before 1970 (S47).
    if claims.not_before.is_some_and(|time| time.timestamp() < 0) || issued < 0 {
        return Err(IdTokenError::Time);
    }
    if now.saturating_sub(SKEW_SECONDS) >= expires || issued > ahead || not_before > ahead {
        return Err(IdTokenError::Time);
    }
    Ok(issued)
}

impl SignatureResult for IdTokenError {
    fn signature_error(&self) -> Option<SignatureError> {
        if let Self::Signature(error) = self { Some(*error) } else { None }
    }
}

#[cfg(test)]
mod tests;
