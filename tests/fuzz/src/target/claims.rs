//! Claims signed by the provider: the first line is the header, the rest the claims. Each input is signed here, so the
//! target exercises what comes after the signature check.
//!
//! Accepted claims must also be valid by a second, independent reading: at Entra, and at an OpenID provider, where Entra's
//! own claims may hold anything.

use std::{borrow::Cow, collections::BTreeMap};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_core::{
    config::{Config, Coordination},
    oauth::{id_token::validate, signing_key::SigningKey},
};
use jwt_compact::{Algorithm, alg::Es256, jwk::JsonWebKey};
use serde_json::{Value, json};

use super::head_and_rest;
use crate::settings::{CLIENT, NOW, SIGN_IN, Settings, TENANT};

/// The key pair of RFC 7515, appendix A.3, which is public.
const PAIR: [&str; 3] = [
    "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
];

/// The configuration, the key that signs each input, and its public half.
pub(super) type Setup = (Config, SigningHalf, Vec<SigningKey>);

type SigningHalf = <Es256 as Algorithm>::SigningKey;

pub(super) const OTHER_ISSUER: &str = "https://id.corp.example";

thread_local! { pub(super) static SETUP: Setup = setup(); }

fn setup() -> Setup {
    let [x, y, d] = PAIR;
    let private: BTreeMap<&str, &str> = [("kty", "EC"), ("crv", "P-256"), ("x", x), ("y", y), ("d", d)].into();
    let private: JsonWebKey<'_> = serde_json::from_value(json!(private)).expect("a JWK");
    let public = json!({"kty": "EC", "crv": "P-256", "kid": "f", "use": "sig", "x": x, "y": y});
    let mut settings = Settings::default();
    let entry = json!([{"id": "corp", "issuer": OTHER_ISSUER, "client_id": CLIENT}]);
    settings.0.insert("OIDC_PROVIDERS".to_owned(), entry.to_string());
    settings.0.insert("OIDC_CLIENT_SECRETS".to_owned(), r#"{"corp":"corp secret+value/Bq3Tz8Wd6Yk1Ns5P"}"#.to_owned());
    let config = Config::load(&settings, Coordination::Objects).expect("the settings are valid");
    (config, SigningHalf::try_from(&private).expect("a key"), vec![serde_json::from_value(public).expect("a JWK")])
}

/// Runs the target on one input; returns whether the edge accepted it.
pub fn run(data: &[u8]) -> bool {
    let (head, claims) = head_and_rest(data);
    SETUP.with(|(config, key, public)| {
        let token = signed(key, head, claims);
        let mut is_believed = false;
        for id in ["entra", "corp"] {
            let provider = config.provider(id).expect("configured");
            if let Ok(believed) = validate(&token, public, provider, SIGN_IN, NOW) {
                is_believed = true;
                let (head, claims): (Value, Value) =
                    (serde_json::from_slice(head).expect("JSON"), serde_json::from_slice(claims).expect("JSON"));
                assert!(is_right(&head, &claims), "believed {head} {claims}");
                assert_eq!(claims["sub"], believed.sub);
                match (id, believed.entra) {
                    ("entra", Some(entra)) => {
                        assert!(is_of_entra(&claims), "believed {claims}");
                        assert_eq!(claims["oid"], json!(entra.oid));
                    }
                    (_, entra) => assert!(entra.is_none() && claims["iss"] == OTHER_ISSUER, "believed {claims}"),
                }
            }
        }
        is_believed
    })
}

/// The signed token with this header and these claims.
pub(super) fn signed(key: &SigningHalf, head: &[u8], claims: &[u8]) -> String {
    let signed = format!("{}.{}", BASE64.encode(head), BASE64.encode(claims));
    let signature: Cow<'_, [u8]> = {
        use jwt_compact::AlgorithmSignature as _;
        Cow::Owned(Es256.sign(key, signed.as_bytes()).as_bytes().into_owned())
    };
    format!("{signed}.{}", BASE64.encode(signature))
}

fn is_right(head: &Value, claims: &Value) -> bool {
    // A second that has started counts.
    let number = |name: &str| claims[name].as_f64().map(f64::trunc);
    let (now, skew) = (NOW as f64, 60.0);
    let audience = match &claims["aud"] {
        Value::Array(all) => !all.is_empty() && all.iter().all(|one| one == CLIENT),
        one => one == CLIENT,
    };
    head["alg"] == "ES256"
        && (head["kid"].is_null() || head["kid"] == "f")
        && head["crit"].is_null()
        && (head["typ"].is_null() || head["typ"].as_str().is_some_and(|typ| typ.eq_ignore_ascii_case("JWT")))
        && audience
        && (claims["azp"].is_null() || claims["azp"] == CLIENT)
        && claims["nonce"] == "n"
        && claims["events"].is_null()
        && number("exp").is_some_and(|at| at > now - skew)
        && number("iat").is_some_and(|at| at <= now + skew)
        && (claims["nbf"].is_null() || number("nbf").is_some_and(|at| at <= now + skew))
}

fn is_of_entra(claims: &Value) -> bool {
    claims["iss"] == format!("https://login.microsoftonline.com/{TENANT}/v2.0")
        && claims["tid"] == TENANT
        && claims["ver"] == "2.0"
}
