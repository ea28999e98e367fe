//! The default settings of a deployment, and the configuration that they give.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_protocol::signature::KeyRing;
use rand::{RngCore as _, SeedableRng as _, rngs::StdRng};
use rsa::{pkcs1::EncodeRsaPrivateKey as _, pkcs8::LineEnding};

use super::entra;
use crate::config::{Config, Coordination};

fn secret(id: &str) -> String {
    let mut bytes = [0; 32];
    StdRng::seed_from_u64(id.bytes().map(u64::from).sum()).fill_bytes(&mut bytes);
    BASE64.encode(bytes)
}

/// A key ring with these ids, separated by commas. A key depends on its id alone.
pub fn key_ring(ids: &str) -> KeyRing {
    KeyRing::parse(&key_ring_text(ids)).unwrap()
}

/// The same key ring as its setting.
pub fn key_ring_text(ids: &str) -> String {
    ids.split(',').map(|id| format!("{id}:{}", secret(id))).collect::<Vec<_>>().join(",")
}

/// The settings of a complete configuration.
pub fn settings() -> BTreeMap<String, String> {
    let ring = key_ring_text("s");
    [
        ("PUBLIC_ORIGIN", "https://edge.example"),
        ("HOST_ORIGINS", "https://host.edge.example"),
        ("SESSION_KEYS", ring.as_str()),
        ("BRIDGE_URL", "https://bridge.example"),
        ("BRIDGE_KEYS", &key_ring_text("br")),
        ("REDIS_URL", "redis://user:secret@redis.example:6379"),
        ("REDIS_ADDRESS", "redis://redis.example:6379"),
        ("CHANNELS", "chat"),
        ("ENTRA_CLIENT_ID", "entra-client"),
        ("ENTRA_CLIENT_SECRET", "entra-secret-value-Xq7_Rm2~Zt9.Kv4w"),
        ("ENTRA_TENANT", "5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90"),
        ("ENTRA_AUTHORITY", "https://login.microsoftonline.com"),
        ("GRAPH_URL", "https://graph.microsoft.com"),
        ("GITHUB_CLIENT_ID", "github-client"),
        ("GITHUB_CLIENT_SECRET", "github-secret-value-5d0c8b3f9a6e2714"),
        ("GITHUB_URL", "https://github.com"),
        ("GITHUB_API_URL", "https://api.github.com"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// The settings that add a GitHub App.
pub fn app_settings() -> [(String, String); 2] {
    let pem = entra::KEY.to_pkcs1_pem(LineEnding::LF).unwrap();
    [("GITHUB_APP_ID".to_owned(), "Iv1.app".to_owned()), ("GITHUB_APP_KEY".to_owned(), pem.to_string())]
}

/// The configuration of [`settings`] with these changes. A setting that is null is not set.
pub fn config_with(change: serde_json::Value) -> Config {
    let mut table = settings();
    for (key, value) in change.as_object().unwrap() {
        match value.as_str() {
            Some(text) => table.insert(key.clone(), text.to_owned()),
            None => table.remove(key),
        };
    }
    Config::load(&|key: &str| table.get(key).cloned(), Coordination::Objects).unwrap()
}
