//! The text of tokens. A token names its owner (`rt.github.u3.f12.4`: the fifth refresh token of user 3's grant 12), so
//! that one used for another user or provider is noticed at once.
//!
//! A grant's number also names its browser: the grant of a sign-in has the browser's number, and those of accounts that
//! the browser connects later have that number times [`GRANTS_PER_BROWSER`], plus a counter.

/// How far apart the grant numbers of two browsers' linked accounts are.
pub(crate) const GRANTS_PER_BROWSER: u64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Access,
    Refresh,
}

/// A token's parts.
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind,
    pub(crate) provider: &'a str,
    pub(crate) user: u64,
    pub(crate) grant: u64,
    /// Counts the grant's tokens of this kind from 0.
    pub(crate) index: usize,
    /// The scope to which a token is restricted.
    scope: Option<&'a str>,
}

impl<'a> Token<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split('.');
        let kind = match parts.next()? {
            "at" => TokenKind::Access,
            "rt" => TokenKind::Refresh,
            _ => return None,
        };
        let provider = parts.next()?;
        let user = parts.next()?.strip_prefix('u')?.parse().ok()?;
        let grant = parts.next()?.strip_prefix('f')?.parse().ok()?;
        Some(Self { kind, provider, user, grant, index: parts.next()?.parse().ok()?, scope: parts.next() })
    }
}

/// The number of a token's grant.
pub(crate) fn grant_of(text: &str) -> Option<u64> {
    Token::parse(text).map(|token| token.grant)
}

/// The provider that issued a token.
pub(crate) fn provider_of(text: &str) -> Option<&str> {
    Token::parse(text).map(|token| token.provider)
}

/// The scope to which a token is restricted.
pub(crate) fn scope_of(text: &str) -> Option<&str> {
    Token::parse(text).and_then(|token| token.scope)
}

/// Whether a grant is a browser's: of its sign-in, or of an account that it connected.
pub(crate) fn grant_belongs_to(grant: u64, browser: u64) -> bool {
    grant == browser || grant / GRANTS_PER_BROWSER == browser
}
