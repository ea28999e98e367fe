//! DPoP, tokens bound to a key (RFC 9449): the key of a linked account, the proofs signed with it, and the nonces that
//! servers require in proofs.

use std::{cell::RefCell, collections::VecDeque, fmt};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_auth::{ParamValue, parser::ChallengeParser};
use jwt_compact::{Algorithm, AlgorithmExt as _, Claims, Header, alg::Es256, jwk::JsonWebKey};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use url::Url;
use zeroize::Zeroizing;

use crate::{
    http::web::single,
    runtime::{
        clock::now_seconds,
        dependency::Dependency,
        platform::Platform,
        random::{Random, random_text},
        unavailable::Unavailable,
    },
};

/// The request header that carries a proof.
pub const HEADER: HeaderName = HeaderName::from_static("dpop");
/// The response header in which a server sends the nonce it requires.
const NONCE_HEADER: HeaderName = HeaderName::from_static("dpop-nonce");
/// The maximum number of servers whose nonces are stored.
const MAX_ORIGINS: usize = 64;
/// The longest nonce accepted, in bytes.
const MAX_NONCE_BYTES: usize = 512;
/// How many random values are tried as a key before the random source counts as broken. One in 2³² is no key.
const MAX_ATTEMPTS: usize = 8;

type Signing = <Es256 as Algorithm>::SigningKey;

/// A P-256 key that tokens are bound to. Its `Debug` output shows no key material.
pub struct DpopKey(Signing);

#[derive(Serialize)]
struct ProofHeader<'a> {
    jwk: JsonWebKey<'a>,
}

#[derive(Serialize)]
struct Proof<'a> {
    jti: &'a str,
    htm: &'a str,
    htu: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
}

impl DpopKey {
    /// Generates a random key.
    ///
    /// # Errors
    /// [`Unavailable`] if the random source fails.
    pub fn generate(random: &impl Random) -> Result<Self, Unavailable> {
        for _ in 0..MAX_ATTEMPTS {
            let mut bytes = Zeroizing::new([0; 32]);
            random.fill(bytes.as_mut())?;
            if let Ok(key) = <Signing as jwt_compact::alg::SigningKey<Es256>>::from_slice(bytes.as_ref()) {
                return Ok(Self(key));
            }
        }
        Err(Unavailable::new(Dependency::Randomness, "draws no key"))
    }

    /// The key as a private JWK, to be stored sealed in a session record.
    #[must_use]
    pub fn to_jwk(&self) -> SecretString {
        let json = serde_json::to_string(&JsonWebKey::from(&self.0)).unwrap_or_default();
        json.into()
    }

    /// Parses the output of [`DpopKey::to_jwk`]. Returns `None` for anything else.
    #[must_use]
    pub fn from_jwk(jwk: &SecretString) -> Option<Self> {
        let jwk: JsonWebKey<'_> = serde_json::from_str(jwk.expose_secret()).ok()?;
        Some(Self(Signing::try_from(&jwk).ok()?))
    }

    /// Signs a proof for one request. `access_token` is the token the request carries, for requests to an API. A proof is
    /// never reused: each has its own `jti` (S137).
    ///
    /// # Errors
    /// [`Unavailable`] if the random source or signing fails.
    pub fn proof(
        &self,
        platform: &impl Platform,
        nonces: &Nonces,
        method: &Method,
        url: &Url,
        access_token: Option<&SecretString>,
    ) -> Result<String, Unavailable> {
        let jti = random_text(platform)?;
        let ath = access_token.map(|token| BASE64.encode(Sha256::digest(token.expose_secret().as_bytes())));
        let htu = htu(url);
        let nonce = nonces.for_url(url);
        let proof = Proof { jti: &jti, htm: method.as_str(), htu: &htu, ath: ath.as_deref(), nonce: nonce.as_deref() };
        let mut claims = Claims::new(proof);
        claims.issued_at = chrono::DateTime::from_timestamp(now_seconds(platform), 0);
        let public = JsonWebKey::from(&self.0).to_verifying_key();
        let header = Header::new(ProofHeader { jwk: public }).with_token_type("dpop+jwt");
        Es256.token(&header, &claims, &self.0).map_err(|e| Unavailable::new(Dependency::Dpop, e))
    }
}

impl fmt::Debug for DpopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DpopKey(…)")
    }
}

/// The `htu` claim: the target URL without query and fragment, as the `url` crate normalises it (RFC 9449 §4.3).
fn htu(url: &Url) -> String {
    let mut htu = url.clone();
    htu.set_query(None);
    htu.set_fragment(None);
    htu.into()
}

/// The headers that carry an access token to an API: the token and a proof for this request if the token is bound to
/// `key`, otherwise a bearer token.
///
/// # Errors
/// [`Unavailable`] if the random source or signing fails, or if the token is not a valid header value.
pub fn authorize(
    platform: &impl Platform,
    nonces: &Nonces,
    method: &Method,
    url: &Url,
    access_token: &SecretString,
    key: Option<&DpopKey>,
) -> Result<HeaderMap, Unavailable> {
    let mut headers = HeaderMap::new();
    let scheme = if key.is_some() { "DPoP" } else { "Bearer" };
    let text = Zeroizing::new(format!("{scheme} {}", access_token.expose_secret()));
    let mut value = HeaderValue::from_str(&text).map_err(|e| Unavailable::new(Dependency::AccessToken, e))?;
    value.set_sensitive(true);
    headers.insert(header::AUTHORIZATION, value);
    if let Some(key) = key {
        let proof = key.proof(platform, nonces, method, url, Some(access_token))?;
        headers.insert(HEADER, HeaderValue::from_str(&proof).map_err(|e| Unavailable::new(Dependency::Dpop, e))?);
    }
    Ok(headers)
}

/// The latest nonce of each server, by origin. Only the servers that sent one most recently are kept.
#[derive(Debug, Default)]
pub struct Nonces(RefCell<VecDeque<(String, String)>>);

impl Nonces {
    /// Stores the nonce of a response, if it has one, for later requests to the same server.
    pub fn store(&self, url: &Url, headers: &HeaderMap) {
        let Some(nonce) = single(headers, &NONCE_HEADER).filter(|nonce| is_nonce(nonce)) else { return };
        let origin = url.origin().ascii_serialization();
        let mut known = self.0.borrow_mut();
        known.retain(|(known_origin, _)| *known_origin != origin);
        if known.len() >= MAX_ORIGINS {
            known.pop_front();
        }
        known.push_back((origin, nonce.to_owned()));
    }

    fn for_url(&self, url: &Url) -> Option<String> {
        let origin = url.origin().ascii_serialization();
        self.0.borrow().iter().find(|(known_origin, _)| *known_origin == origin).map(|(_, nonce)| nonce.clone())
    }
}

/// Whether a text has only the characters that RFC 9449 §8.1 allows, and is not too long.
fn is_nonce(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_NONCE_BYTES
        && text.bytes().all(|b| b == 0x21 || (0x23..=0x5b).contains(&b) || (0x5d..=0x7e).contains(&b))
}

/// Whether an API's response requires a proof with the server's nonce (RFC 9449 §9). Only then may the request be sent
/// once more, with a new proof, after [`Nonces::store`].
#[must_use]
pub fn wants_nonce(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::UNAUTHORIZED
        && single(headers, &NONCE_HEADER).is_some_and(is_nonce)
        && headers.get_all(header::WWW_AUTHENTICATE).iter().any(|challenge| {
            let challenges = challenge.to_str().map(ChallengeParser::new).into_iter().flatten();
            challenges.flatten().any(|challenge| {
                let is_error = |(name, value): &(&str, ParamValue<'_>)| {
                    name.eq_ignore_ascii_case("error") && value.to_unescaped() == "use_dpop_nonce"
                };
                challenge.scheme.eq_ignore_ascii_case("dpop") && challenge.params.iter().any(is_error)
            })
        })
}

#[cfg(test)]
mod tests;
