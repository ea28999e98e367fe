//! An ID token from outside, checked with the provider's genuine keys.
//!
//! An accepted token holds exactly what was genuinely signed: header and claims of a seed, byte for byte.

use std::cell::RefCell;

use causeway_core::{
    config::Config,
    oauth::{id_token::validate, signing_key::SigningKey},
};

use crate::settings::{NOW, SIGN_IN, config};

/// Tokens signed with the private halves of [`KEYS`], which were discarded.
pub const GENUINE: [&str; 3] = [
    include_str!("../../corpus/id_token/genuine-rs256"),
    include_str!("../../corpus/id_token/genuine-es256"),
    include_str!("../../corpus/id_token/genuine-audiences"),
];
/// The provider's key set.
pub const KEYS: &str = include_str!("../../corpus/jwks/genuine");

/// The keys of a set as the edge reads them: an unknown key hides no known one.
#[must_use]
pub fn keys(set: &[u8]) -> Option<Vec<SigningKey>> {
    let set: serde_json::Value = serde_json::from_slice(set).ok()?;
    let keys = set.get("keys")?.as_array()?;
    Some(keys.iter().filter_map(|key| serde_json::from_value(key.clone()).ok()).take(64).collect())
}

thread_local! {
    static SETUP: (Config, RefCell<Vec<SigningKey>>) = (config(), RefCell::new(keys(KEYS.as_bytes()).expect("keys")));
}

/// Runs the target on one input; returns whether the edge accepted it.
pub fn run(data: &[u8]) -> bool {
    let Ok(token) = str::from_utf8(data) else { return false };
    SETUP.with(|(config, keys)| {
        let provider = config.provider("entra").expect("configured");
        let accepted = validate(token, &keys.borrow(), provider, SIGN_IN, NOW);
        let signed = |token: &str| token.trim_end().rsplit_once('.').map(|(signed, _)| signed.to_owned());
        let is_genuine = GENUINE.iter().any(|genuine| signed(genuine) == signed(token));
        assert!(accepted.is_err() || is_genuine, "forged: {token}");
        if GENUINE.iter().any(|genuine| genuine.trim_end() == token) {
            assert!(accepted.is_ok(), "{:?}", accepted.as_ref().err());
        }
        accepted.is_ok()
    })
}
