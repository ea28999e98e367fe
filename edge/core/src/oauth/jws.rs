//! Signatures of tokens that a provider issued: ID tokens and logout tokens. Which algorithms count is decided here and
//! nowhere else. No I/O and no clock: keys are passed in.

use jwt_compact::{
    Algorithm, AlgorithmExt as _, Claims, UntrustedToken, ValidationError,
    alg::{Es256, Rsa, RsaPublicKey, StrongAlg, StrongKey},
    jwk::JsonWebKey,
};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::signing_key::SigningKey;

/// Longest token read, in bytes. Entra's with 200 groups are about 10 KB.
const MAX_TOKEN_BYTES: usize = 32 * 1024;

/// Why a token is not believed, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not a JWT, or claims of wrong types.
    #[error("malformed")]
    Malformed,
    /// Another algorithm than RS256 and ES256, or a token of another type.
    #[error("signed or typed otherwise than such tokens are")]
    WrongKind,
    /// No such key; fetching the keys again may help once.
    #[error("signed with an unknown key")]
    UnknownKey,
    /// The signature is wrong.
    #[error("signature does not verify")]
    Wrong,
}

/// Whether newer keys might change what was found of a token.
pub trait SignatureResult {
    /// What is wrong with the signature, if that is what is wrong.
    fn signature_error(&self) -> Option<SignatureError>;
}

/// What a verified token holds.
#[derive(Debug)]
pub(super) struct Verified<T> {
    pub(super) claims: Claims<T>,
    /// The issuer that the key is tied to, if it is to one (M73).
    pub(super) key_issuer: Option<String>,
}

/// Algorithms that count (M36). The header only gets to agree with one of them; `jku`, `jwk`, `x5u` and `x5c` are never
/// looked at.
#[derive(Clone, Copy, PartialEq)]
enum Accepted {
    Rs256,
    Es256,
}

impl Accepted {
    fn of(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    /// Whether a key can be meant: of the algorithm's type, for signatures, for no other algorithm.
    fn fits(self, key: &SigningKey) -> bool {
        let of_type = match &key.key {
            JsonWebKey::Rsa { .. } => self == Self::Rs256,
            JsonWebKey::EllipticCurve { curve, .. } => self == Self::Es256 && curve == "P-256",
            _ => false,
        };
        of_type
            && key.usage.as_deref().is_none_or(|usage| usage == "sig")
            && key.alg.as_deref().is_none_or(|alg| alg == self.name())
    }
}

/// What of a header beyond the standard's own fields matters.
#[derive(Debug, Clone, Deserialize)]
struct Extensions {
    /// Extensions without which the token must not be believed (RFC 7515 §4.1.11). None is known here.
    #[serde(rename = "crit")]
    critical: Option<IgnoredAny>,
}

/// Verifies a token whose `typ`, where it has one, is `typ` without regard to case; with `typ_required` it must have
/// one.
pub(super) fn verify<T: DeserializeOwned>(
    token: &str,
    keys: &[SigningKey],
    typ: &str,
    typ_required: bool,
) -> Result<Verified<T>, SignatureError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(SignatureError::Malformed);
    }
    let token: UntrustedToken<'_, Extensions> = token.try_into().map_err(|_| SignatureError::Malformed)?;
    let header = token.header();
    if header.other_fields.critical.is_some() {
        return Err(SignatureError::WrongKind);
    }
    let typed = header.token_type.as_deref().map_or(!typ_required, |found| found.eq_ignore_ascii_case(typ));
    let algorithm = Accepted::of(token.algorithm()).filter(|_| typed).ok_or(SignatureError::WrongKind)?;
    // A token without a key id may be signed by the only key that can be meant (S45).
    let key_id = header.key_id.as_deref();
    let mut meant = keys.iter().filter(|key| algorithm.fits(key) && (key_id.is_none() || key.kid.as_deref() == key_id));
    let key = match (meant.next(), meant.next()) {
        (Some(key), None) => key,
        _ => return Err(SignatureError::UnknownKey),
    };
    let unusable = |_| SignatureError::UnknownKey;
    let claims = match algorithm {
        Accepted::Rs256 => {
            // Refuses keys of under 2048 bits.
            let public = RsaPublicKey::try_from(&key.key).map_err(unusable)?;
            let public = StrongKey::try_from(public).map_err(|_| SignatureError::UnknownKey)?;
            checked(&StrongAlg(Rsa::rs256()), &public, &token)?
        }
        Accepted::Es256 => {
            let public = <Es256 as Algorithm>::VerifyingKey::try_from(&key.key).map_err(unusable)?;
            checked(&Es256, &public, &token)?
        }
    };
    Ok(Verified { claims, key_issuer: key.issuer.clone() })
}

fn checked<A: Algorithm, T: DeserializeOwned>(
    algorithm: &A,
    key: &A::VerifyingKey,
    token: &UntrustedToken<'_, Extensions>,
) -> Result<Claims<T>, SignatureError> {
    match algorithm.validator::<T>(key).validate(token) {
        Ok(token) => Ok(token.into_parts().1),
        Err(ValidationError::MalformedClaims(_)) => Err(SignatureError::Malformed),
        Err(_) => Err(SignatureError::Wrong),
    }
}

/// The claims of a token that was verified when it came and has rested sealed since.
pub(super) fn claims_of_own<T: DeserializeOwned>(token: &str) -> Result<T, SignatureError> {
    let token: UntrustedToken<'_> = UntrustedToken::new(token).map_err(|_| SignatureError::Malformed)?;
    let claims: Claims<T> = token.deserialize_claims_unchecked().map_err(|_| SignatureError::Malformed)?;
    Ok(claims.custom)
}
