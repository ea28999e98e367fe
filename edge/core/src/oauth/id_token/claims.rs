//! The claims of ID tokens: reading them, and comparing them with the configuration and with an earlier token.

use serde::{Deserialize, de::IgnoredAny};

use super::error::IdTokenError;
use crate::oauth::{
    claim::{self, Audience, SKEW_SECONDS},
    entra::EntraClaims,
    jws::{self, SignatureError},
    provider::{Kind, Provider, TENANT_PLACEHOLDER, Tenants},
};

/// The claims read from an ID token.
#[derive(Debug, Clone, Deserialize)]
pub struct IdClaims {
    /// The issuer.
    pub iss: String,
    /// The issuer's immutable identifier of the user. Entra's differs per client (pairwise).
    pub sub: String,
    aud: Audience,
    pub(super) azp: Option<String>,
    pub(super) nonce: Option<String>,
    /// When the token was issued (`iat`), in Unix seconds.
    #[serde(skip)]
    pub issued_at_seconds: i64,
    /// When the user authenticated, in Unix seconds.
    #[serde(default, deserialize_with = "claim::whole_seconds")]
    pub auth_time: Option<i64>,
    /// The provider's own session, which its logout requests name.
    pub sid: Option<String>,
    /// Entra's additional claims. Always `None` for other providers, even if their tokens have claims of these names.
    #[serde(skip)]
    pub entra: Option<EntraClaims>,
    /// Present in logout tokens only. An ID token that has it is rejected.
    events: Option<IgnoredAny>,
    /// Displayed only.
    #[serde(default, deserialize_with = "claim::display_only")]
    pub name: Option<String>,
    /// Displayed only, never an identity (nOAuth, S58).
    #[serde(default, deserialize_with = "claim::display_only")]
    pub email: Option<String>,
    /// Displayed only.
    #[serde(default, deserialize_with = "claim::display_only")]
    pub preferred_username: Option<String>,
}

impl IdClaims {
    /// Reads a token without verifying its signature. Only for a token whose signature was verified before, such as one kept
    /// sealed since, or that came from the token endpoint itself over TLS. `None` if it is malformed.
    #[must_use]
    pub fn read_unverified(token: &str, provider: &Provider) -> Option<Self> {
        jws::unverified_claims::<Self>(token).and_then(|claims| claims.with_entra_claims(token, provider)).ok()
    }

    /// Adds Entra's claims from the same token if the provider is Entra.
    pub(super) fn with_entra_claims(self, token: &str, provider: &Provider) -> Result<Self, SignatureError> {
        let entra = match provider.kind {
            Kind::Entra { .. } => Some(jws::unverified_claims(token)?),
            Kind::OpenId { .. } | Kind::GitHub { .. } => None,
        };
        Ok(Self { entra, ..self })
    }

    /// Checks issuer, audience, tenant and groups against the configuration. Does not depend on the signature or on the
    /// particular user. Returns the tenant, or an empty text if the provider has none.
    pub(in crate::oauth) fn check_party(&self, provider: &Provider) -> Result<&str, IdTokenError> {
        self.check_is_id_token()?;
        self.check_audience(provider)?;
        match &provider.kind {
            Kind::Entra { tenants, groups, .. } => {
                let tenant = self.check_entra_tenant(provider, tenants)?;
                self.check_entra_groups(groups)?;
                Ok(tenant)
            }
            Kind::OpenId { issuer, .. } if self.iss == *issuer => Ok(""),
            Kind::OpenId { .. } | Kind::GitHub { .. } => Err(IdTokenError::WrongParty),
        }
    }

    /// Checks that the token is no logout token.
    fn check_is_id_token(&self) -> Result<(), IdTokenError> {
        if self.events.is_some() { Err(SignatureError::WrongKind.into()) } else { Ok(()) }
    }

    /// Checks that the token is for this client only.
    fn check_audience(&self, provider: &Provider) -> Result<(), IdTokenError> {
        if self.aud.is_only(&provider.client_id) { Ok(()) } else { Err(IdTokenError::WrongParty) }
    }

    /// Checks that the tenant is allowed and issued the token, and returns it. The tenant id comes first: the token's
    /// `iss` proves nothing until it is tied to an allowed tenant (M72, M74).
    fn check_entra_tenant(&self, provider: &Provider, tenants: &Tenants) -> Result<&str, IdTokenError> {
        let tenant = self.entra.as_ref().and_then(|entra| entra.allowed_tenant(tenants)).ok_or(IdTokenError::Tenant)?;
        let issuer = provider.issuer().replace(TENANT_PLACEHOLDER, tenant);
        if self.iss == issuer { Ok(tenant) } else { Err(IdTokenError::WrongParty) }
    }

    /// Checks that the user is in one of the required groups.
    fn check_entra_groups(&self, groups: &[String]) -> Result<(), IdTokenError> {
        let is_member = self.entra.as_ref().is_some_and(|entra| entra.is_in_a_group(groups));
        if is_member { Ok(()) } else { Err(IdTokenError::Group) }
    }

    /// Whether these claims belong to the same user and sign-in as `before`.
    pub(in crate::oauth) fn continues(&self, before: &Self, now_seconds: i64) -> bool {
        let is_same_time = match (self.auth_time, before.auth_time) {
            (None, _) => true,
            (Some(at), Some(known)) => at == known,
            // `auth_time` is optional: the earlier token had none.
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
