//! A complete configuration, and the constants that every run of a target shares.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_core::{
    config::{Config, Coordination, Source},
    oauth::id_token::SignIn,
};
use sha2::{Digest as _, Sha256};

/// The time at which all targets run, in Unix seconds: the genuine tokens are valid then.
pub const NOW: i64 = 1_800_000_000;
/// The sign-in that the genuine tokens were issued for.
pub const SIGN_IN: SignIn<'_> = SignIn { nonce: "n", began_ms: 1000 * NOW.unsigned_abs() };
/// The Entra tenant.
pub const TENANT: &str = "5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90";
/// The OAuth client id at Entra.
pub const CLIENT: &str = "entra-client";

/// The secret that GitHub's webhooks are signed with.
pub const WEBHOOK_SECRET: &str = "zQ9xK-webhook-secret~Rm2.Zt9_Kv4w8Lp-7Hc3Nd";

/// A key that is the same in every run and passes the check for weak keys.
#[must_use]
pub fn ring(id: &str) -> String {
    format!("{id}:{}", BASE64.encode(Sha256::digest(id)))
}

/// Settings by key.
#[derive(Debug, Clone)]
pub struct Settings(pub BTreeMap<String, String>);

impl Default for Settings {
    fn default() -> Self {
        let (session, bridge) = (ring("session"), ring("bridge"));
        let table = [
            ("PUBLIC_ORIGIN", "https://edge.example"),
            ("HOST_ORIGINS", "https://host.example,https://other.example:8443"),
            ("SESSION_KEYS", session.as_str()),
            ("BRIDGE_URL", "https://bridge.example"),
            ("BRIDGE_KEYS", bridge.as_str()),
            ("ENTRA_CLIENT_ID", CLIENT),
            ("ENTRA_CLIENT_SECRET", "zQ9xK-entra-secret~Rm2.Zt9_Kv4w8Lp"),
            ("ENTRA_TENANT", TENANT),
            ("GITHUB_CLIENT_ID", "github-client"),
            ("GITHUB_CLIENT_SECRET", "zQ9xK5d0c8b3f9a6e27140b1c2d3e4f5a67b8"),
            ("GITHUB_WEBHOOK_SECRET", WEBHOOK_SECRET),
            ("GITHUB_ALLOW", "GET /user, PATCH /user, GET /repos/*"),
            (
                "SERVICES",
                r#"[{"name":"api","url":"https://api.example/v3/x","provider":"github","shares_token":true,"allow":["GET /a/b","POST /tree/*","POST /"]},{"name":"shop","url":"https://shop.example","provider":"github","shares_token":true,"allow":["GET /users/*","GET /items/","GET /mail/a@b"],"refuse_method_override":true}]"#,
            ),
        ];
        Self(table.map(|(key, value)| (key.to_owned(), value.to_owned())).into())
    }
}

impl Source for Settings {
    fn get(&self, key: &str) -> Option<String> {
        self.0.get(key).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

/// The configuration.
///
/// # Panics
/// The settings are no longer valid.
#[must_use]
pub fn config() -> Config {
    Config::load(&Settings::default(), Coordination::Objects).expect("the settings are valid")
}
