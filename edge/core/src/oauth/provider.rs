//! Providers as data: what differs between them stands here and nowhere else.

use secrecy::SecretString;
use url::Url;

/// One configured identity provider.
#[derive(Debug)]
pub struct Provider {
    /// Its id in paths: `/auth/{id}/login`.
    pub id: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// OAuth client id.
    pub client_id: String,
    /// OAuth client secret.
    pub client_secret: SecretString,
    /// From configuration only, never from a request's `Host` (S23).
    pub redirect_uri: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// What it is.
    pub kind: Kind,
}

/// What a provider is.
#[derive(Debug)]
pub enum Kind {
    /// Microsoft Entra ID, one tenant, v2.0 endpoint.
    Entra {
        /// The tenant's id.
        tenant: String,
        /// `https://login.microsoftonline.com` or a national cloud's.
        authority: Url,
    },
    /// GitHub: OAuth 2.0 without ID tokens.
    GitHub {
        /// `https://github.com` or an Enterprise Server's.
        site: Url,
        /// `https://api.github.com` or an Enterprise Server's.
        api: Url,
    },
}

impl Provider {
    /// The issuer that must speak in this provider's name, as an exact string.
    #[must_use]
    pub fn issuer(&self) -> String {
        match &self.kind {
            Kind::Entra { tenant, authority } => format!("{}/{tenant}/v2.0", without_slash(authority)),
            // Sent as `iss` in GitHub's callbacks since 2026 (M68).
            Kind::GitHub { site, .. } => format!("{}/login/oauth", without_slash(site)),
        }
    }
}

/// A configured base URL as a prefix to which paths are appended.
#[must_use]
pub fn without_slash(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}
