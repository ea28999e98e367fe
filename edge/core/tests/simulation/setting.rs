//! The configuration of a simulated deployment.

use std::collections::BTreeMap;

use causeway_core::testing::settings::settings;
use serde_json::json;

use crate::provider_profile::RESTRICTED_SCOPE;

/// The usual settings with the simulation's providers and services, and with these limits of sessions.
pub(crate) fn settings_with(
    revocation_bound_seconds: u64,
    session_hours: u64,
    idle_minutes: u64,
) -> BTreeMap<String, String> {
    let mut table = settings();
    table.insert("REVOCATION_BOUND_SECONDS".to_owned(), revocation_bound_seconds.to_string());
    table.insert("SESSION_HOURS".to_owned(), session_hours.to_string());
    table.insert("SESSION_IDLE_MINUTES".to_owned(), idle_minutes.to_string());
    let provider = |id: &str, retry_lost_refresh: bool| {
        json!({
            "id": id, "name": id, "issuer": format!("https://{id}.example"), "client_id": "client",
            "retry_lost_refresh": retry_lost_refresh,
        })
    };
    let service = |id: &str| {
        json!({
            "name": id, "provider": id, "url": format!("https://api.{id}.example"),
            "allow": ["GET /me"],
        })
    };
    let restricted_service = |id: &str| {
        json!({
            "name": format!("{id}-mail"), "provider": id, "url": format!("https://mail.{id}.example"),
            "allow": ["GET /me"], "token": {"scopes": [RESTRICTED_SCOPE]},
        })
    };
    for (key, value) in [
        ("OIDC_PROVIDERS", json!([provider("strict", false), provider("patient", true), provider("hasty", true)])),
        (
            "OIDC_CLIENT_SECRETS",
            json!({
                "strict": "Wq7Rm2Zt9Kv4Xd1Bn8Ls3Yh6Gf5Jc0Pt",
                "patient": "Jc0PtWq7Rm2Zt9Kv4Xd1Bn8Ls3Yh6Gf5",
                "hasty": "Yh6Gf5Jc0PtWq7Rm2Zt9Kv4Xd1Bn8Ls3",
            }),
        ),
        (
            "SERVICES",
            json!([
                service("strict"),
                service("patient"),
                service("hasty"),
                restricted_service("strict"),
                restricted_service("patient"),
                restricted_service("hasty"),
                restricted_service("entra"),
            ]),
        ),
    ] {
        table.insert(key.to_owned(), value.to_string());
    }
    table
}
