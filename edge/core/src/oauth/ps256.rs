//! PS256 signatures with blinding. `jwt-compact` signs PS256 without blinding, so the time a signature takes could leak
//! the key (RUSTSEC-2023-0071, "Marvin"). Its RS256 is blinded.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use jwt_compact::{Claims, Header};
use rsa::{Pss, RsaPrivateKey, rand_core::OsRng};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

#[derive(Serialize)]
struct JoseHeader<'a> {
    alg: &'static str,
    #[serde(flatten)]
    rest: &'a Header,
}

/// Signs claims as a JWT. Returns `None` if the claims do not serialize or the key cannot sign.
pub(super) fn sign<T: Serialize>(header: &Header, claims: &Claims<T>, key: &RsaPrivateKey) -> Option<String> {
    let header = JoseHeader { alg: "PS256", rest: header };
    let signed = format!("{}.{}", encode(&header)?, encode(claims)?);
    // The salt is as long as the digest (RFC 7518 §3.5).
    let padding = Pss::new_blinded_with_salt::<Sha256>(<Sha256 as sha2::Digest>::output_size());
    let signature = key.sign_with_rng(&mut OsRng, padding, &Sha256::digest(&signed)).ok()?;
    Some(format!("{signed}.{}", BASE64.encode(signature)))
}

fn encode(value: &impl Serialize) -> Option<String> {
    Some(BASE64.encode(serde_json::to_vec(value).ok()?))
}
