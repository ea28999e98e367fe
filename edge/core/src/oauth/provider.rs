//! Providers as data: what differs between them stands here and nowhere else.

use std::fmt;

use secrecy::SecretString;
use url::Url;

use super::{
    client_key::ClientKey,
    restriction::{Restriction, is_resource},
};
use crate::http::web::without_slash;

/// One configured identity provider.
#[derive(Debug)]
pub struct Provider {
    /// Its id in paths (`/auth/{id}/login`) and records: lower-case letters, digits and `-`.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// OAuth client id.
    pub client_id: String,
    /// How the edge proves to be that client.
    pub client_auth: ClientAuth,
    /// From configuration only, never from a request's `Host` (S23).
    pub redirect_uri: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// What the tokens shall be for, where the provider needs it said (RFC 8707).
    pub audience: Option<String>,
    /// What services want their tokens restricted to. Those of all others are for `audience` and `scopes`.
    pub restrictions: Vec<Restriction>,
    /// How long before a sign-in begins the user may have proven who they are, in seconds; `None` leaves it to the provider.
    pub max_age_seconds: Option<u64>,
    /// What the provider shall ask the user in any case (OpenID Connect Core §3.1.2.1); `None` leaves it to the provider.
    pub prompt: Option<&'static str>,
    /// Whether tokens are bound to a key of the session (RFC 9449).
    pub dpop: bool,
    /// Whether a logout token must be typed `logout+jwt`; not all providers do that.
    pub strict_logout_typ: bool,
    /// What happens to refresh tokens.
    pub refresh: RefreshPolicy,
    /// What it is.
    pub kind: Kind,
}

/// What a provider is.
#[derive(Debug)]
pub enum Kind {
    /// Microsoft Entra ID, v2.0 endpoint.
    Entra {
        /// Whose users may sign in.
        tenants: Tenants,
        /// `https://login.microsoftonline.com` or a national cloud's.
        authority: Url,
        /// Groups of which one is required, by id; empty requires none.
        groups: Vec<String>,
    },
    /// GitHub: OAuth 2.0 without ID tokens.
    GitHub {
        /// `https://github.com` or an Enterprise Server's.
        site: Url,
        /// `https://api.github.com` or an Enterprise Server's.
        api: Url,
    },
    /// Any provider that describes itself (OpenID Connect Discovery).
    OpenId {
        /// The issuer, exactly as the provider writes it.
        issuer: String,
        /// The same as an address.
        address: Url,
    },
}

/// Whose users may sign in with Entra.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenants {
    /// One tenant, by id.
    Single(String),
    /// Several.
    Multi {
        /// `organizations` or `common`: where in the authority the endpoints are.
        endpoint: String,
        /// The ids of the tenants whose tokens are believed (M74).
        allowed: Vec<String>,
    },
}

impl Tenants {
    /// Where in the authority the endpoints are.
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

/// How the edge authenticates at the token endpoint. Cannot be printed.
pub enum ClientAuth {
    /// `client_secret_basic`
    Basic(SecretString),
    /// `client_secret_post`
    Post(SecretString),
    /// `private_key_jwt` (RFC 7523)
    PrivateKey(Box<ClientKey>),
}

impl ClientAuth {
    /// Its name in metadata.
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

/// What a provider does with refresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// A refresh token works once.
    pub rotates: bool,
    /// A refresh ends the access token that came before (M67): a request under way may get 401 for it.
    pub old_token_dies: bool,
    /// Whether a refresh token may be sent once more when the answer to its first use was lost.
    pub retries_lost_answer: bool,
    /// Errors come with status 200 (M65).
    pub errors_with_200: bool,
}

impl RefreshPolicy {
    /// A new refresh token with each use; the old one goes on working (M78).
    pub const ENTRA: Self =
        Self { rotates: false, old_token_dies: false, retries_lost_answer: true, errors_with_200: false };
    /// Single use, and the old access token dies with it (M67).
    pub const GITHUB: Self =
        Self { rotates: true, old_token_dies: true, retries_lost_answer: true, errors_with_200: true };

    /// Nothing is known of the provider but what its operator knows: whether it forgives a repeat.
    #[must_use]
    pub const fn openid(retries_lost_answer: bool) -> Self {
        Self { rotates: true, old_token_dies: false, retries_lost_answer, errors_with_200: false }
    }
}

/// What stands for the tenant's id in the issuer of several tenants (M72).
pub const TENANT_PLACEHOLDER: &str = "{tenantid}";

impl Provider {
    /// Who must speak in this provider's name. For Entra with several tenants it holds [`TENANT_PLACEHOLDER`]; compare
    /// with [`Provider::is_issuer`].
    #[must_use]
    pub fn issuer(&self) -> String {
        match &self.kind {
            Kind::Entra { tenants: Tenants::Single(tenant), authority, .. } => entra_issuer(authority, tenant),
            Kind::Entra { tenants: Tenants::Multi { .. }, authority, .. } => {
                entra_issuer(authority, TENANT_PLACEHOLDER)
            }
            // Sent as `iss` in GitHub's callbacks since 2026 (M68).
            Kind::GitHub { site, .. } => format!("{}/login/oauth", without_slash(site)),
            Kind::OpenId { issuer, .. } => issuer.clone(),
        }
    }

    /// Everybody who may speak in this provider's name, each by the exact text: one, or one for each allowed tenant.
    #[must_use]
    pub fn issuers(&self) -> Vec<String> {
        match &self.kind {
            Kind::Entra { tenants: Tenants::Multi { allowed, .. }, authority, .. } => {
                allowed.iter().map(|tenant| entra_issuer(authority, tenant)).collect()
            }
            _ => vec![self.issuer()],
        }
    }

    /// Whether an address is in the provider's own API, whose word on a token is the provider's.
    #[must_use]
    pub fn answers_at(&self, url: &Url) -> bool {
        match &self.kind {
            Kind::GitHub { api, .. } => api.origin() == url.origin(),
            Kind::Entra { .. } | Kind::OpenId { .. } => false,
        }
    }

    /// How much earlier than in truth its ID tokens say that they were issued, in seconds. Entra's `iat` and `nbf` are those
    /// of five minutes before, for servers whose clocks are behind.
    #[must_use]
    pub fn backdates_seconds(&self) -> i64 {
        match self.kind {
            Kind::Entra { .. } => 300,
            Kind::GitHub { .. } | Kind::OpenId { .. } => 0,
        }
    }

    /// Whether an issuer's exact text is this provider's, of an allowed tenant where there are tenants.
    #[must_use]
    pub fn is_issuer(&self, issuer: &str) -> bool {
        self.issuers().iter().any(|known| known == issuer)
    }
}

fn entra_issuer(authority: &Url, tenant: &str) -> String {
    format!("{}/{tenant}/v2.0", without_slash(authority))
}

impl Provider {
    /// The scopes that a user is asked for at the sign-in: those of the provider's own token and of all restricted ones.
    #[must_use]
    pub fn consented_scopes(&self) -> Vec<&str> {
        let restricted = self.restrictions.iter().flat_map(|restriction| &restriction.scopes);
        distinct(self.scopes.iter().chain(restricted).map(String::as_str))
    }

    /// The scopes to name when asking for a token. Without any the provider grants all that were consented to
    /// (RFC 6749 §6), which is right where nothing is restricted.
    #[must_use]
    pub fn scopes_of<'a>(&'a self, restriction: Option<&'a Restriction>) -> &'a [String] {
        match restriction {
            Some(restriction) => &restriction.scopes,
            None if self.restrictions.is_empty() => &[],
            None => &self.scopes,
        }
    }

    /// The resource to name when asking for a token.
    #[must_use]
    pub fn resource_of<'a>(&'a self, restriction: Option<&'a Restriction>) -> Option<&'a str> {
        match restriction {
            Some(restriction) => restriction.resource.as_deref(),
            None => self.own_resource(),
        }
    }

    /// All resources that tokens will be asked for.
    #[must_use]
    pub fn resources(&self) -> Vec<&str> {
        let restricted = self.restrictions.iter().filter_map(|restriction| restriction.resource.as_deref());
        distinct(self.own_resource().into_iter().chain(restricted))
    }

    /// The audience, if it is a URI: other audiences have no `resource`.
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
