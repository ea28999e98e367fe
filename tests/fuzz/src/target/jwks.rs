//! A provider's key set.
//!
//! Whatever else a set holds, the genuine tokens verify only with their own key: with that id, for that algorithm and for
//! signatures. It may be there twice, and beside others of its id.

use causeway_core::{config::Config, oauth::id_token::validate};
use serde_json::Value;

use super::id_token::{GENUINE, keys};
use crate::settings::{NOW, SIGN_IN, config};

/// The members that make the two genuine keys (`n`, or `x` and `y`), and the algorithm of each.
const OWN: [(&str, &[&str], &str); 2] = [("k1", &["n", "e"], "RS256"), ("k2", &["x", "y"], "ES256")];

thread_local! { static SETUP: (Config, Value) = (config(), serde_json::from_str(super::id_token::KEYS).expect("JSON")); }

/// Runs the target on one input; returns whether the edge accepted it.
pub fn run(data: &[u8]) -> bool {
    let Some(set) = keys(data) else { return false };
    SETUP.with(|(config, genuine)| {
        let provider = config.provider("entra").expect("configured");
        let mut verified = 0;
        for (token, (kid, members, alg)) in GENUINE.iter().zip(OWN) {
            if validate(token.trim_end(), &set, provider, SIGN_IN, NOW).is_err() {
                continue;
            }
            verified += 1;
            let own =
                genuine["keys"].as_array().and_then(|keys| keys.iter().find(|key| key["kid"] == kid)).expect("own");
            let all: Value = serde_json::from_slice(data).expect("it parsed before");
            let of_id: Vec<&Value> =
                all["keys"].as_array().into_iter().flatten().filter(|key| key["kid"] == kid).collect();
            let is_own = |key: &&&Value| {
                // A key of another type is ignored, whatever numbers it holds.
                ["kty", "crv"].iter().all(|kind| own[*kind].is_null() || key[*kind] == own[*kind])
                    && members.iter().all(|member| same(&key[*member], &own[*member]))
                    && (key["use"].is_null() || key["use"] == "sig")
                    && (key["alg"].is_null() || key["alg"] == alg)
            };
            assert!(of_id.iter().any(|key| is_own(&key)), "{kid} verified with {all}");
        }
        verified == OWN.len()
    })
}

/// Whether two members are the same number: base64url, with or without leading zeros.
fn same(a: &Value, b: &Value) -> bool {
    use base64::{
        Engine as _, alphabet,
        engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    };
    let lenient = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&alphabet::URL_SAFE, lenient);
    let number = |value: &Value| {
        let bytes = engine.decode(value.as_str()?).ok()?;
        Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect::<Vec<u8>>())
    };
    number(a).is_some_and(|a| number(b) == Some(a))
}
