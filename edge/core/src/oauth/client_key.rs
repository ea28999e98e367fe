//! A private key of the edge: signs client assertions and the JWTs of a GitHub App. It is read from a JWK or from PEM.
//! Its `Debug` output shows no key material.

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

/// Why a text is rejected as a key. The message does not quote the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientKeyError {
    /// Not a JWK.
    #[error("must be a private JWK")]
    Malformed,
    /// Not a private RSA key in PEM.
    #[error("must be a private RSA key in PEM")]
    NotRsaPem,
    /// Neither an RS256 key of 2048 to 4096 bits nor an ES256 key.
    #[error("must be an RSA key of 2048, 3072 or 4096 bits for RS256, or a P-256 key for ES256, with its private part")]
    Unsuitable,
    /// Not a PS256 key of 2048 to 4096 bits.
    #[error("must be an RSA key of 2048, 3072 or 4096 bits for PS256, with its private part")]
    NotPs256,
}

/// A private key.
pub struct ClientKey {
    key_id: Option<String>,
    /// SHA-256 thumbprint of the certificate. Entra looks the key up by it.
    certificate_thumbprint: Option<[u8; 32]>,
    key: PrivateKey,
}

enum PrivateKey {
    Rs256(Box<StrongKey<RsaPrivateKey>>),
    Ps256(Box<StrongKey<RsaPrivateKey>>),
    Es256(<Es256 as Algorithm>::SigningKey),
}

#[derive(Deserialize)]
struct Jwk<'a> {
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "x5t#S256")]
    certificate_thumbprint: Option<String>,
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
        let allows = |alg: &str| jwk.alg.as_deref().is_none_or(|declared| declared == alg);
        let key = match &jwk.key {
            JsonWebKey::Rsa { .. } if allows("RS256") => {
                let key = RsaPrivateKey::try_from(&jwk.key).map_err(|_| ClientKeyError::Unsuitable)?;
                PrivateKey::Rs256(Box::new(StrongKey::try_from(key).map_err(|_| ClientKeyError::Unsuitable)?))
            }
            JsonWebKey::EllipticCurve { .. } if allows("ES256") => {
                PrivateKey::Es256((&jwk.key).try_into().map_err(|_| ClientKeyError::Unsuitable)?)
            }
            _ => return Err(ClientKeyError::Unsuitable),
        };
        Ok(Self { key_id: jwk.kid, certificate_thumbprint: parse_thumbprint(jwk.certificate_thumbprint)?, key })
    }

    /// Reads a private RSA key from a JWK. The key signs with PS256, as Entra requires.
    ///
    /// # Errors
    /// [`ClientKeyError`].
    pub fn from_rsa_jwk_for_pss(json: &str) -> Result<Self, ClientKeyError> {
        let jwk: Jwk<'_> = serde_json::from_str(json).map_err(|_| ClientKeyError::Malformed)?;
        // A certificate's key has no algorithm of its own. Tools write either name.
        let is_alg_allowed = jwk.alg.as_deref().is_none_or(|alg| matches!(alg, "PS256" | "RS256"));
        let key = match &jwk.key {
            JsonWebKey::Rsa { .. } if is_alg_allowed => RsaPrivateKey::try_from(&jwk.key),
            _ => return Err(ClientKeyError::NotPs256),
        };
        let key =
            StrongKey::try_from(key.map_err(|_| ClientKeyError::NotPs256)?).map_err(|_| ClientKeyError::NotPs256)?;
        Ok(Self {
            key_id: jwk.kid,
            certificate_thumbprint: parse_thumbprint(jwk.certificate_thumbprint)?,
            key: PrivateKey::Ps256(Box::new(key)),
        })
    }

    /// Reads an RSA key in PEM: PKCS#1, as GitHub issues it, or PKCS#8. Line breaks may be written as `\\n`, for
    /// environments that store only a single line.
    ///
    /// # Errors
    /// [`ClientKeyError`].
    pub fn from_pem(text: &str) -> Result<Self, ClientKeyError> {
        let text = Zeroizing::new(text.trim().replace("\\n", "\n"));
        let key = RsaPrivateKey::from_pkcs1_pem(&text).ok().or_else(|| RsaPrivateKey::from_pkcs8_pem(&text).ok());
        let key = key.ok_or(ClientKeyError::NotRsaPem)?;
        key.validate().map_err(|_| ClientKeyError::Unsuitable)?;
        let key = StrongKey::try_from(key).map_err(|_| ClientKeyError::Unsuitable)?;
        Ok(Self { key_id: None, certificate_thumbprint: None, key: PrivateKey::Rs256(Box::new(key)) })
    }

    /// Whether the key has a certificate thumbprint.
    #[must_use]
    pub fn names_certificate(&self) -> bool {
        self.certificate_thumbprint.is_some()
    }

    /// Signs claims as a JWT. Returns `None` if the claims do not serialize or the key cannot sign.
    #[must_use]
    pub fn sign<T: Serialize>(&self, claims: &Claims<T>) -> Option<String> {
        let mut header = Header::empty().with_token_type("JWT");
        header.key_id.clone_from(&self.key_id);
        header.certificate_thumbprint = self.certificate_thumbprint.map(Into::into);
        match &self.key {
            PrivateKey::Rs256(key) => StrongAlg(Rsa::rs256()).token(&header, claims, key).ok(),
            PrivateKey::Ps256(key) => ps256::sign(&header, claims, (**key).as_ref()),
            PrivateKey::Es256(key) => Es256.token(&header, claims, key).ok(),
        }
    }
}

fn parse_thumbprint(text: Option<String>) -> Result<Option<[u8; 32]>, ClientKeyError> {
    text.map(|text| decode_thumbprint(&text).ok_or(ClientKeyError::Malformed)).transpose()
}

fn decode_thumbprint(text: &str) -> Option<[u8; 32]> {
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
