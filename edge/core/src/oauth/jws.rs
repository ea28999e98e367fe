//! Verifies signatures of tokens that a provider issues: ID tokens and logout tokens. The only place that decides which
//! algorithms are accepted. Does no I/O and reads no clock: the caller passes the keys.

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

/// Longest token accepted, in bytes. Entra's tokens with 200 groups have about 10 KB.
const MAX_TOKEN_BYTES: usize = 32 * 1024;

/// Why the signature of a token is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not a JWT, or a claim has a wrong type.
    #[error("malformed")]
    Malformed,
    /// The algorithm is neither RS256 nor ES256, or the token is of another type.
    #[error("signed or typed otherwise than such tokens are")]
    WrongKind,
    /// No key, or more than one, matches the token. One retry with freshly fetched keys may help.
    #[error("signed with an unknown key")]
    UnknownKey,
    /// The signature is wrong.
    #[error("signature does not verify")]
    Wrong,
}

/// A validation error that may be due to the signature, so that newer keys might change the result.
pub trait SignatureResult {
    /// The signature error, if that is the cause.
    fn signature_error(&self) -> Option<SignatureError>;
}

/// The contents of a verified token.
#[derive(Debug)]
pub(super) struct Verified<T> {
    pub(super) claims: Claims<T>,
    /// The issuer that the key is restricted to, if any (M73).
    pub(super) key_issuer: Option<String>,
}

/// The accepted algorithms (M36). The header can only select one of them; its `jku`, `jwk`, `x5u` and `x5c` are never
/// read.
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

    /// Whether the key has the type of this algorithm, and is restricted neither to another use than signatures nor to
    /// another algorithm.
    fn fits(self, key: &SigningKey) -> bool {
        let is_of_type = match &key.key {
            JsonWebKey::Rsa { .. } => self == Self::Rs256,
            JsonWebKey::EllipticCurve { curve, .. } => self == Self::Es256 && curve == "P-256",
            _ => false,
        };
        is_of_type
            && key.usage.as_deref().is_none_or(|usage| usage == "sig")
            && key.alg.as_deref().is_none_or(|alg| alg == self.name())
    }
}

/// The header parameters read in addition to those that the JWT library reads.
#[derive(Debug, Clone, Deserialize)]
struct Extensions {
    /// Extensions that the recipient must understand or else reject the token (RFC 7515 §4.1.11). None is supported.
    #[serde(rename = "crit")]
    critical: Option<IgnoredAny>,
}

/// Verifies a token. Its `typ` must equal `typ`, ignoring case; it may be absent unless `typ_required`.
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
    let is_typ_accepted = header.token_type.as_deref().map_or(!typ_required, |found| found.eq_ignore_ascii_case(typ));
    let algorithm = Accepted::of(token.algorithm()).filter(|_| is_typ_accepted).ok_or(SignatureError::WrongKind)?;
    // Without a key id, the key is the only one that fits the algorithm; several are ambiguous (S45).
    let key_id = header.key_id.as_deref();
    let mut candidates =
        keys.iter().filter(|key| algorithm.fits(key) && (key_id.is_none() || key.kid.as_deref() == key_id));
    let key = match (candidates.next(), candidates.next()) {
        (Some(key), None) => key,
        _ => return Err(SignatureError::UnknownKey),
    };
    let unusable = |_| SignatureError::UnknownKey;
    let claims = match algorithm {
        Accepted::Rs256 => {
            // Rejects keys of less than 2048 bits.
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

/// The claims of a token, without verifying its signature, such as one that was verified on receipt and kept sealed
/// since.
pub(super) fn unverified_claims<T: DeserializeOwned>(token: &str) -> Result<T, SignatureError> {
    let token: UntrustedToken<'_> = UntrustedToken::new(token).map_err(|_| SignatureError::Malformed)?;
    let claims: Claims<T> = token.deserialize_claims_unchecked().map_err(|_| SignatureError::Malformed)?;
    Ok(claims.custom)
}
