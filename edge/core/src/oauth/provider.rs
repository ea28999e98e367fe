//! Configured identity providers as data. Every difference between providers is defined here, and only here.

use std::fmt;

use secrecy::SecretString;
use url::Url;

use super::{
    client_key::ClientKey,
    prompt::Prompt,
    restriction::{Restriction, is_resource},
};
use crate::http::web::without_slash;

/// One configured identity provider.
#[derive(Debug)]
pub struct Provider {
    /// Id in paths (`/auth/{id}/login`) and records: lower-case letters, digits and `-`.
    pub id: String,
    /// Display name.
    pub name: String,
    /// OAuth client id.
    pub client_id: String,
    /// How the edge authenticates as that client.
    pub client_auth: ClientAuth,
    /// Redirect URI. It comes from configuration only, never from a request's `Host` (S23).
    pub redirect_uri: String,
    /// Requested scopes.
    pub scopes: Vec<String>,
    /// Audience of the tokens, for providers that need it in the request (RFC 8707).
    pub audience: Option<String>,
    /// Token restrictions that services ask for. Tokens of all other services are for `audience` and `scopes`.
    pub restrictions: Vec<Restriction>,
    /// How long before a sign-in begins the user may have authenticated, in seconds (`max_age`). `None` leaves it to
    /// the provider.
    pub max_age_seconds: Option<u64>,
    /// What the provider must ask the user at every sign-in. `None` leaves it to the provider.
    pub prompt: Option<Prompt>,
    /// Whether tokens are bound to a key of the session (DPoP, RFC 9449).
    pub dpop: bool,
    /// Whether the provider supports PKCE with S256 if its metadata does not say so. A list without S256 is rejected all the
    /// same.
    pub pkce_unlisted: bool,
    /// Whether a sign-out ends the provider's session, too, if its metadata says where.
    pub ends_session: bool,
    /// Whether a logout token must have the type `logout+jwt`. Not all providers set it.
    pub strict_logout_typ: bool,
    /// How the provider treats refresh tokens.
    pub refresh: RefreshPolicy,
    /// Which kind of provider it is, with that kind's settings.
    pub kind: Kind,
}

/// A kind of provider.
#[derive(Debug)]
pub enum Kind {
    /// Microsoft Entra ID, v2.0 endpoint.
    Entra {
        /// The tenants whose users may sign in.
        tenants: Tenants,
        /// `https://login.microsoftonline.com`, or the authority of a national cloud.
        authority: Url,
        /// Group ids. The user must be in at least one; an empty list requires none.
        groups: Vec<String>,
    },
    /// GitHub, which has OAuth 2.0 without ID tokens.
    GitHub {
        /// `https://github.com`, or the site of an Enterprise Server.
        site: Url,
        /// `https://api.github.com`, or the API of an Enterprise Server.
        api: Url,
    },
    /// Any provider that publishes its metadata (OpenID Connect Discovery).
    OpenId {
        /// The issuer, exactly as the provider writes it.
        issuer: String,
        /// The issuer as a URL.
        address: Url,
    },
}

/// The Entra tenants whose users may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenants {
    /// One tenant, by id.
    Single(String),
    /// Several.
    Multi {
        /// Path segment of the endpoints in the authority: `organizations` or `common`.
        endpoint: String,
        /// Ids of the tenants whose tokens are accepted (M74).
        allowed: Vec<String>,
    },
}

impl Tenants {
    /// Path segment of the endpoints in the authority.
    #[must_use]
    pub fn segment(&self) -> &str {
        match self {
            Self::Single(tenant) => tenant,
            Self::Multi { endpoint, .. } => endpoint,
        }
    }

    /// Whether a tenant's users may sign in.
    #[must_use]
    pub fn allows(&self, tenant: &str) -> bool {
        match self {
            Self::Single(only) => only == tenant,
            Self::Multi { allowed, .. } => allowed.iter().any(|allowed| allowed == tenant),
        }
    }
}

/// How the edge authenticates at the token endpoint. `Debug` prints the method only.
pub enum ClientAuth {
    /// `client_secret_basic`
    Basic(SecretString),
    /// `client_secret_post`
    Post(SecretString),
    /// `private_key_jwt` (RFC 7523)
    PrivateKey(Box<ClientKey>),
}

impl ClientAuth {
    /// Name of the method in provider metadata.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self {
            Self::Basic(_) => "client_secret_basic",
            Self::Post(_) => "client_secret_post",
            Self::PrivateKey(_) => "private_key_jwt",
        }
    }
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(…)", self.method())
    }
}

/// How a provider treats refresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// A refresh token works once; each refresh returns a new one.
    pub rotates: bool,
    /// A refresh invalidates the previous access token (M67). A request in progress may get 401 for it.
    pub invalidates_access_token: bool,
    /// A refresh token may be sent once more if the answer to its first use was lost.
    pub retries_lost_answer: bool,
    /// Errors may have status 200 (M65).
    pub errors_with_200: bool,
}

impl RefreshPolicy {
    /// Each refresh returns a new refresh token; the old one keeps working (M78).
    pub const ENTRA: Self =
        Self { rotates: false, invalidates_access_token: false, retries_lost_answer: true, errors_with_200: false };
    /// Refresh tokens work once, and a refresh invalidates the old access token (M67).
    pub const GITHUB: Self =
        Self { rotates: true, invalidates_access_token: true, retries_lost_answer: true, errors_with_200: true };

    /// The policy of any other provider. Only its operator knows whether it tolerates a repeated refresh token.
    #[must_use]
    pub const fn openid(retries_lost_answer: bool) -> Self {
        Self { rotates: true, invalidates_access_token: false, retries_lost_answer, errors_with_200: false }
    }
}

/// Placeholder for the tenant id in the issuer for several tenants (M72).
pub const TENANT_PLACEHOLDER: &str = "{tenantid}";

impl Provider {
    /// The provider's issuer. For Entra with several tenants it contains [`TENANT_PLACEHOLDER`]; compare with
    /// [`Provider::is_issuer`] instead.
    #[must_use]
    pub fn issuer(&self) -> String {
        match &self.kind {
            Kind::Entra { tenants: Tenants::Single(tenant), authority, .. } => entra_issuer(authority, tenant),
            Kind::Entra { tenants: Tenants::Multi { .. }, authority, .. } => {
                entra_issuer(authority, TENANT_PLACEHOLDER)
            }
            // GitHub sends it as `iss` in callbacks since 2026 (M68).
            Kind::GitHub { site, .. } => format!("{}/login/oauth", without_slash(site)),
            Kind::OpenId { issuer, .. } => issuer.clone(),
        }
    }

    /// Every accepted issuer, as exact text: a single one, or one for each allowed tenant.
    #[must_use]
    pub fn issuers(&self) -> Vec<String> {
        match &self.kind {
            Kind::Entra { tenants: Tenants::Multi { allowed, .. }, authority, .. } => {
                allowed.iter().map(|tenant| entra_issuer(authority, tenant)).collect()
            }
            _ => vec![self.issuer()],
        }
    }

    /// Whether a URL is in the provider's own API, so that its answer about a token counts as the provider's.
    #[must_use]
    pub fn is_own_api(&self, url: &Url) -> bool {
        match &self.kind {
            Kind::GitHub { api, .. } => api.origin() == url.origin(),
            Kind::Entra { .. } | Kind::OpenId { .. } => false,
        }
    }

    /// How far the provider backdates its ID tokens, in seconds. Entra sets `iat` and `nbf` five minutes early, for
    /// servers whose clocks are behind.
    #[must_use]
    pub fn backdates_seconds(&self) -> i64 {
        match self.kind {
            Kind::Entra { .. } => 300,
            Kind::GitHub { .. } | Kind::OpenId { .. } => 0,
        }
    }

    /// Whether the exact text is an accepted issuer of this provider. With tenants, the tenant must be allowed.
    #[must_use]
    pub fn is_issuer(&self, issuer: &str) -> bool {
        self.issuers().iter().any(|known| known == issuer)
    }
}

fn entra_issuer(authority: &Url, tenant: &str) -> String {
    format!("{}/{tenant}/v2.0", without_slash(authority))
}

impl Provider {
    /// The scopes that the user consents to at sign-in: those of the provider's own token and of all restricted tokens.
    #[must_use]
    pub fn consented_scopes(&self) -> Vec<&str> {
        let restricted = self.restrictions.iter().flat_map(|restriction| &restriction.scopes);
        distinct(self.scopes.iter().chain(restricted).map(String::as_str))
    }

    /// The scopes to send in a token request. If it has none, the provider grants all that the user consented to
    /// (RFC 6749 §6), which is right if nothing is restricted.
    #[must_use]
    pub fn scopes_of<'a>(&'a self, restriction: Option<&'a Restriction>) -> &'a [String] {
        match restriction {
            Some(restriction) => &restriction.scopes,
            None if self.restrictions.is_empty() => &[],
            None => &self.scopes,
        }
    }

    /// The resource to send in a token request.
    #[must_use]
    pub fn resource_of<'a>(&'a self, restriction: Option<&'a Restriction>) -> Option<&'a str> {
        match restriction {
            Some(restriction) => restriction.resource.as_deref(),
            None => self.own_resource(),
        }
    }

    /// The prompt of a sign-in for which the page asked for one: never less than the settings demand. OpenID providers take
    /// a list. Entra and GitHub take one value.
    #[must_use]
    pub fn prompt_with(&self, asked: Option<Prompt>) -> Option<String> {
        match (self.prompt, asked) {
            (Some(always), Some(asked)) if always != asked && matches!(self.kind, Kind::OpenId { .. }) => {
                Some(format!("{} {}", always.value(), asked.value()))
            }
            (always, asked) => always.max(asked).map(|prompt| prompt.value().to_owned()),
        }
    }

    /// The resources of all token requests.
    #[must_use]
    pub fn resources(&self) -> Vec<&str> {
        let restricted = self.restrictions.iter().filter_map(|restriction| restriction.resource.as_deref());
        distinct(self.own_resource().into_iter().chain(restricted))
    }

    /// The audience, if it is a URI. Other audiences cannot be a `resource`.
    fn own_resource(&self) -> Option<&str> {
        self.audience.as_deref().filter(|audience| is_resource(audience))
    }
}

fn distinct<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut distinct = Vec::new();
    for text in texts {
        if !distinct.contains(&text) {
            distinct.push(text);
        }
    }
    distinct
}
