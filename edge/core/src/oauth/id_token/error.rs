//! Why ID tokens are rejected.

use crate::{
    oauth::jws::{SignatureError, TokenValidationError},
    runtime::reason::Reason,
};

/// Why an ID token is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// Malformed, wrongly signed, or signed with an unknown key.
    #[error("ID token {0}")]
    Signature(#[from] SignatureError),
    /// The issuer, the audience or the authorized party (`azp`) is wrong.
    #[error("ID token is not from this issuer for this client")]
    WrongParty,
    /// Expired, not valid yet, or without `exp` or `iat`.
    #[error("ID token outside its time")]
    Time,
    /// The nonce is not that of this sign-in.
    #[error("ID token nonce does not match")]
    Nonce,
    /// `auth_time` is missing, in the future, or older than the requested maximum age.
    #[error("ID token does not say that the user signed in recently enough")]
    AuthTime,
    /// Entra: the tenant is not allowed, or the token is not from the v2.0 endpoint.
    #[error("ID token of another tenant or version")]
    Tenant,
    /// Entra: the user is in none of the required groups, or in too many groups for the token to list them.
    #[error("ID token does not show a required group")]
    Group,
    /// A refreshed ID token belongs to a different user or sign-in than the one before.
    #[error("refreshed ID token is not of the same user and sign-in")]
    AnotherUser,
}

impl IdTokenError {
    /// The error as a fixed text for the log.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Signature(SignatureError::Malformed) => Reason::IdTokenMalformed,
            Self::Signature(SignatureError::WrongKind) => Reason::IdTokenKind,
            Self::Signature(SignatureError::UnknownKey) => Reason::IdTokenKeyUnknown,
            Self::Signature(SignatureError::Wrong) => Reason::IdTokenSignature,
            Self::WrongParty => Reason::IdTokenParty,
            Self::Time => Reason::IdTokenTime,
            Self::Nonce => Reason::IdTokenNonce,
            Self::AuthTime => Reason::IdTokenAuthTime,
            Self::Tenant => Reason::IdTokenTenant,
            Self::Group => Reason::IdTokenGroup,
            Self::AnotherUser => Reason::IdTokenSubject,
        }
    }
}

impl TokenValidationError for IdTokenError {
    fn signature_error(&self) -> Option<SignatureError> {
        if let Self::Signature(error) = self { Some(*error) } else { None }
    }
}
