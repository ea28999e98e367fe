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
/// Most different keys that a token is checked with. Each costs one verification, also for a forged token.
const MAX_CANDIDATES: usize = 16;

/// Why the signature of a token is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not a JWT, or a claim has a wrong type.
    #[error("malformed")]
    Malformed,
    /// The algorithm is neither RS256 nor ES256, or the token is of another type.
    #[error("signed or typed otherwise than such tokens are")]
    WrongKind,
    /// No usable key matches the token, or the token names none and none of several verifies it. One retry with freshly
    /// fetched keys may help.
    #[error("signed with an unknown key")]
    UnknownKey,
    /// The signature is wrong.
    #[error("signature does not verify")]
    Wrong,
}

/// Why a token is invalid. If the signature is the cause, newer keys might change the result.
pub trait TokenValidationError {
    /// The signature error, if that is the cause.
    fn signature_error(&self) -> Option<SignatureError>;
}

/// The contents of a verified token.
#[derive(Debug)]
pub(super) struct Verified<T> {
    pub(super) claims: Claims<T>,
    /// The issuers that the key may sign for.
    pub(super) key_issuers: KeyIssuers,
}

/// The issuers that a key may sign for: that of each entry in the set that contains it (M73).
#[derive(Debug, Clone)]
pub(super) struct KeyIssuers(Vec<Option<String>>);

impl KeyIssuers {
    /// Whether one of them is the wanted issuer, or an entry restricts the key to none.
    pub(super) fn include(&self, is_wanted: impl Fn(&str) -> bool) -> bool {
        self.0.iter().any(|issuer| issuer.as_deref().is_none_or(&is_wanted))
    }
}

/// The `typ` header parameter that a kind of token has. It is compared without regard to case.
#[derive(Debug, Clone, Copy)]
pub(super) enum Typ {
    /// A token without `typ` is accepted, too.
    Optional(&'static str),
    /// A token without `typ` is rejected.
    Required(&'static str),
}

impl Typ {
    fn accepts(self, found: Option<&str>) -> bool {
        match (self, found) {
            (Self::Optional(typ) | Self::Required(typ), Some(found)) => found.eq_ignore_ascii_case(typ),
            (Self::Optional(_), None) => true,
            (Self::Required(_), None) => false,
        }
    }
}

/// The accepted algorithms (M36). The header can only select one of them; its `jku`, `jwk`, `x5u` and `x5c` are never
/// read.
#[derive(Clone, Copy, PartialEq)]
enum AcceptedAlgorithm {
    Rs256,
    Es256,
}

impl AcceptedAlgorithm {
    fn from_name(name: &str) -> Option<Self> {
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

type Token<'a> = UntrustedToken<'a, Extensions>;

/// A key of a set without its description. Two are equal if their material is, however each is written.
#[derive(PartialEq)]
enum PublicKey {
    Rsa(StrongKey<RsaPublicKey>),
    P256(<Es256 as Algorithm>::VerifyingKey),
}

impl PublicKey {
    /// The key, if it is one: of at least 2048 bits, or a point on the curve.
    fn new(key: &JsonWebKey<'_>, algorithm: AcceptedAlgorithm) -> Option<Self> {
        match algorithm {
            AcceptedAlgorithm::Rs256 => {
                let public = StrongKey::try_from(RsaPublicKey::try_from(key).ok()?).ok()?;
                Some(Self::Rsa(public))
            }
            AcceptedAlgorithm::Es256 => <Es256 as Algorithm>::VerifyingKey::try_from(key).ok().map(Self::P256),
        }
    }

    /// Verifies a signature, and returns the claims.
    fn verify<T: DeserializeOwned>(&self, token: &Token<'_>) -> Result<Claims<T>, SignatureError> {
        match self {
            Self::Rsa(public) => verify_with(&StrongAlg(Rsa::rs256()), public, token),
            Self::P256(public) => verify_with(&Es256, public, token),
        }
    }
}

/// A key that may have signed a token.
struct Candidate {
    key: PublicKey,
    issuers: Vec<Option<String>>,
}

/// Verifies the type and the signature of a token.
pub(super) fn verify<T: DeserializeOwned>(
    token: &str,
    keys: &[SigningKey],
    typ: Typ,
) -> Result<Verified<T>, SignatureError> {
    let token = parse(token)?;
    check_header(&token, typ)?;
    let algorithm = accepted_algorithm(&token)?;
    let candidates = candidates(keys, &token, algorithm);
    // A token that names no key may be signed with a newer one than the set has.
    let is_guess = token.header().key_id.is_none() && candidates.len() > 1;
    let mut error = SignatureError::UnknownKey;
    for Candidate { key, issuers } in candidates {
        match key.verify(&token) {
            Ok(claims) => return Ok(Verified { claims, key_issuers: KeyIssuers(issuers) }),
            // Not the signature is wrong, so no other key can be right.
            Err(SignatureError::Malformed) => return Err(SignatureError::Malformed),
            Err(_) if is_guess => {}
            Err(failed) => error = failed,
        }
    }
    Err(error)
}

/// Splits and decodes a token of acceptable length.
fn parse(token: &str) -> Result<Token<'_>, SignatureError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(SignatureError::Malformed);
    }
    token.try_into().map_err(|_| SignatureError::Malformed)
}

/// Checks that the token has the right type and needs no extension.
fn check_header(token: &Token<'_>, typ: Typ) -> Result<(), SignatureError> {
    let header = token.header();
    let has_extensions = header.other_fields.critical.is_some();
    if has_extensions || !typ.accepts(header.token_type.as_deref()) { Err(SignatureError::WrongKind) } else { Ok(()) }
}

/// The algorithm that the header selects.
fn accepted_algorithm(token: &Token<'_>) -> Result<AcceptedAlgorithm, SignatureError> {
    AcceptedAlgorithm::from_name(token.algorithm()).ok_or(SignatureError::WrongKind)
}

/// The different keys that the header selects: those of its key id, which a careless provider gives to several (S157).
/// Without a key id, all that fit the algorithm (S45). Unusable keys and further entries of the same key do not count.
fn candidates(keys: &[SigningKey], token: &Token<'_>, algorithm: AcceptedAlgorithm) -> Vec<Candidate> {
    let key_id = token.header().key_id.as_deref();
    let selected = keys.iter().filter(|key| algorithm.fits(key) && (key_id.is_none() || key.kid.as_deref() == key_id));
    let mut candidates: Vec<Candidate> = Vec::new();
    for SigningKey { key, issuer, .. } in selected {
        let Some(key) = PublicKey::new(key, algorithm) else { continue };
        if let Some(known) = candidates.iter_mut().find(|candidate| candidate.key == key) {
            known.issuers.push(issuer.clone());
        } else if candidates.len() < MAX_CANDIDATES {
            candidates.push(Candidate { key, issuers: vec![issuer.clone()] });
        }
    }
    candidates
}

fn verify_with<A: Algorithm, T: DeserializeOwned>(
    algorithm: &A,
    key: &A::VerifyingKey,
    token: &Token<'_>,
) -> Result<Claims<T>, SignatureError> {
    match algorithm.validator::<T>(key).validate(token) {
        Ok(token) => Ok(token.into_parts().1),
        Err(ValidationError::MalformedClaims(_)) => Err(SignatureError::Malformed),
        Err(_) => Err(SignatureError::Wrong),
    }
}

/// Reads the claims of a token without verifying its signature. Only for a token whose signature was verified before, such
/// as one kept sealed since, or that came from the token endpoint itself over TLS (OpenID Connect Core §3.1.3.7, rule 6).
pub(super) fn unverified_claims<T: DeserializeOwned>(token: &str) -> Result<T, SignatureError> {
    let token: UntrustedToken<'_> = UntrustedToken::new(token).map_err(|_| SignatureError::Malformed)?;
    let claims: Claims<T> = token.deserialize_claims_unchecked().map_err(|_| SignatureError::Malformed)?;
    Ok(claims.custom)
}

#[cfg(test)]
mod tests;
