//! Restricted access tokens (RFC 9700 §2.3): a service that is configured with scopes or a resource gets tokens that are
//! valid only for these. They are obtained with the account's refresh token (RFC 6749 §6, RFC 8707 §2.2). The user consents
//! to all of them at sign-in.

use std::iter;

/// The maximum number of restrictions per provider. A session stores a token for each.
pub const MAX_RESTRICTIONS: usize = 8;

/// What an access token is restricted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restriction {
    /// The scopes. If empty, the provider chooses.
    pub scopes: Vec<String>,
    /// The resource, an absolute URI (RFC 8707 §2).
    pub resource: Option<String>,
}

impl Restriction {
    /// The key of its token in a session record. It changes with the configured scopes and resource, so tokens of an old
    /// configuration are not used.
    #[must_use]
    pub fn key(&self) -> String {
        iter::once(self.resource.as_deref().unwrap_or_default())
            .chain(self.scopes.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Whether a text is a valid resource (RFC 8707 §2): an absolute URI without a fragment.
#[must_use]
pub fn is_resource(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| url.fragment().is_none())
}

/// Whether a text is a valid scope (RFC 6749 §3.3).
#[must_use]
pub fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'))
}
