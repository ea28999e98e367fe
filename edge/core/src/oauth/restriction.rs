//! What an access token is restricted to (RFC 9700 §2.3): a service that names the scopes it needs, or the resource it
//! is, gets tokens that are good for nothing else. They are made of the account's refresh token (RFC 6749 §6,
//! RFC 8707 §2.2); the user consents to all of them at the sign-in.

use std::iter;

/// Most restrictions that a provider may be asked for: each session keeps a token for each.
pub const MAX_RESTRICTIONS: usize = 8;

/// What the access tokens of some services are restricted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restriction {
    /// What they allow; empty leaves it to the provider.
    pub scopes: Vec<String>,
    /// Whom they are for: an absolute URI (RFC 8707 §2).
    pub resource: Option<String>,
}

impl Restriction {
    /// Its name in a session's record: another one once the configuration asks for something else.
    #[must_use]
    pub fn key(&self) -> String {
        iter::once(self.resource.as_deref().unwrap_or_default())
            .chain(self.scopes.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Whether RFC 8707 §2 takes it for a resource: an absolute URI without a fragment.
#[must_use]
pub fn is_resource(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| url.fragment().is_none())
}

/// Whether it is a scope (RFC 6749 §3.3).
#[must_use]
pub fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'))
}
