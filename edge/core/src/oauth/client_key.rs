//! A private key of the edge itself: signs client assertions, and an app's token requests. Read from a JWK or a PEM
//! text, cannot be printed.

use std::fmt;

use jwt_compact::{
    Algorithm, AlgorithmExt as _, Claims, Header,
    alg::{Es256, Rsa, RsaPrivateKey, StrongAlg, StrongKey},
    jwk::JsonWebKey,
};
use rsa::{pkcs1::DecodeRsaPrivateKey as _, pkcs8::DecodePrivateKey as _};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::ps256;

/// Why a text is no key. Says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientKeyError {
    /// Not a JWK.
    #[error("must be a private JWK")]
    Malformed,
    /// Not PEM.
    #[error("must be a private RSA key in PEM")]
    NoPem,
    /// Not RS256 with 2048 to 4096 bits, nor ES256.
    #[error("must be an RSA key of 2048, 3072 or 4096 bits for RS256, or a P-256 key for ES256, with its private part")]
    Unsuitable,
    /// Not for PS256 with 2048 to 4096 bits.
    #[error("must be an RSA key of 2048, 3072 or 4096 bits for PS256, with its private part")]
    NotRsa,
}

/// A private key.
pub struct ClientKey {
    key_id: Option<String>,
    /// SHA-256 of the certificate; Entra finds the key by it.
    certificate: Option<[u8; 32]>,
    key: Private,
}

enum Private {
    Rs256(Box<StrongKey<RsaPrivateKey>>),
    Ps256(Box<StrongKey<RsaPrivateKey>>),
    Es256(<Es256 as Algorithm>::SigningKey),
}

#[derive(Deserialize)]
struct Jwk<'a> {
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "x5t#S256")]
    certificate: Option<String>,
    #[serde(flatten)]
    key: JsonWebKey<'a>,
}

impl ClientKey {
    /// Reads a private JWK (RFC 7517).
    ///
    /// # Errors
    /// [`ClientKeyError`].
    pub fn from_jwk(json: &str) -> Result<Self, ClientKeyError> {
        let jwk: Jwk<'_> = serde_json::from_str(json).map_err(|_| ClientKeyError::Malformed)?;
        let suitable = |alg: &str| jwk.alg.as_deref().is_none_or(|named| named == alg);
        let key = match &jwk.key {
            JsonWebKey::Rsa { .. } if suitable("RS256") => {
                let key = RsaPrivateKey::try_from(&jwk.key).map_err(|_| ClientKeyError::Unsuitable)?;
                Private::Rs256(Box::new(StrongKey::try_from(key).map_err(|_| ClientKeyError::Unsuitable)?))
            }
            JsonWebKey::EllipticCurve { .. } if suitable("ES256") => {
                Private::Es256((&jwk.key).try_into().map_err(|_| ClientKeyError::Unsuitable)?)
            }
            _ => return Err(ClientKeyError::Unsuitable),
        };
        Ok(Self { key_id: jwk.kid, certificate: certificate(jwk.certificate)?, key })
    }

    /// Reads a private JWK of an RSA key that signs with PS256, as Entra wants it.
    ///
    /// # Errors
    /// [`ClientKeyError`].
    pub fn from_rsa_jwk_for_pss(json: &str) -> Result<Self, ClientKeyError> {
        let jwk: Jwk<'_> = serde_json::from_str(json).map_err(|_| ClientKeyError::Malformed)?;
        // A key of a certificate is of no algorithm by itself; tools write either.
        let is_suitable = jwk.alg.as_deref().is_none_or(|alg| matches!(alg, "PS256" | "RS256"));
        let key = match &jwk.key {
            JsonWebKey::Rsa { .. } if is_suitable => RsaPrivateKey::try_from(&jwk.key),
            _ => return Err(ClientKeyError::NotRsa),
        };
        let key = StrongKey::try_from(key.map_err(|_| ClientKeyError::NotRsa)?).map_err(|_| ClientKeyError::NotRsa)?;
        Ok(Self { key_id: jwk.kid, certificate: certificate(jwk.certificate)?, key: Private::Ps256(Box::new(key)) })
    }

    /// Reads an RSA key in PEM, PKCS#1 as GitHub gives it out or PKCS#8. Line breaks may be written `\\n`, for places that
    /// keep one line only.
    ///
    /// # Errors
    /// [`ClientKeyError`].
    pub fn from_pem(text: &str) -> Result<Self, ClientKeyError> {
        let text = Zeroizing::new(text.trim().replace("\\n", "\n"));
        let key = RsaPrivateKey::from_pkcs1_pem(&text).ok().or_else(|| RsaPrivateKey::from_pkcs8_pem(&text).ok());
        let key = key.ok_or(ClientKeyError::NoPem)?;
        key.validate().map_err(|_| ClientKeyError::Unsuitable)?;
        let key = StrongKey::try_from(key).map_err(|_| ClientKeyError::Unsuitable)?;
        Ok(Self { key_id: None, certificate: None, key: Private::Rs256(Box::new(key)) })
    }

    /// Whether it names the certificate it belongs to.
    #[must_use]
    pub fn names_certificate(&self) -> bool {
        self.certificate.is_some()
    }

    /// Signs claims as a JWT; `None` if they do not serialize or the key cannot sign.
    #[must_use]
    pub fn sign<T: Serialize>(&self, claims: &Claims<T>) -> Option<String> {
        let mut header = Header::empty().with_token_type("JWT");
        header.key_id.clone_from(&self.key_id);
        header.certificate_thumbprint = self.certificate.map(Into::into);
        match &self.key {
            Private::Rs256(key) => StrongAlg(Rsa::rs256()).token(&header, claims, key).ok(),
            Private::Ps256(key) => ps256::sign(&header, claims, (**key).as_ref()),
            Private::Es256(key) => Es256.token(&header, claims, key).ok(),
        }
    }
}

fn certificate(text: Option<String>) -> Result<Option<[u8; 32]>, ClientKeyError> {
    text.map(|text| thumbprint(&text).ok_or(ClientKeyError::Malformed)).transpose()
}

fn thumbprint(text: &str) -> Option<[u8; 32]> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?.try_into().ok()
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey(…)")
    }
}

#[cfg(test)]
mod tests;
