//! Restricted access tokens (RFC 9700 §2.3): a service that names its scopes or its resource gets tokens that are valid for
//! nothing else. They are issued for the account's refresh token (RFC 6749 §6, RFC 8707 §2.2). The user consents to all of
//! them at the sign-in.

use std::iter;

/// Most restrictions of one provider. A session keeps a token for each.
pub const MAX_RESTRICTIONS: usize = 8;

/// What an access token is restricted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restriction {
    /// The scopes; empty leaves them to the provider.
    pub scopes: Vec<String>,
    /// The resource, an absolute URI (RFC 8707 §2).
    pub resource: Option<String>,
}

impl Restriction {
    /// Its name in a session's record. It changes with the configured scopes and resource, so old tokens are not used.
    #[must_use]
    pub fn key(&self) -> String {
        iter::once(self.resource.as_deref().unwrap_or_default())
            .chain(self.scopes.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Whether a text is a resource (RFC 8707 §2): an absolute URI without a fragment.
#[must_use]
pub fn is_resource(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| url.fragment().is_none())
}

/// Whether a text is a scope (RFC 6749 §3.3).
#[must_use]
pub fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'))
}
