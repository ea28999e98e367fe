//! An OpenID provider as its documents look, and the configuration that names it.

use serde_json::{Value, json};

use super::{config_with, entra::merge};
use crate::config::Config;

/// A configuration with the provider `corp` beside the usual ones, changed as told.
pub(crate) fn config(change: Value) -> Config {
    let mut entry =
        json!({"id": "corp", "name": "Corp", "issuer": "https://id.corp.example", "client_id": "corp-client"});
    merge(&mut entry, change);
    config_with(json!({
        "OIDC_PROVIDERS": json!([entry]).to_string(),
        "OIDC_CLIENT_SECRETS": r#"{"corp":"corp secret+value"}"#,
    }))
}

/// Its metadata, changed as told.
pub(crate) fn metadata(change: Value) -> Value {
    let mut metadata = json!({
        "issuer": "https://id.corp.example",
        "authorization_endpoint": "https://id.corp.example/auth",
        "token_endpoint": "https://id.corp.example/token",
        "jwks_uri": "https://id.corp.example/jwks",
        "userinfo_endpoint": "https://id.corp.example/me",
        "revocation_endpoint": "https://id.corp.example/revoke",
        "end_session_endpoint": "https://id.corp.example/session/end",
        "pushed_authorization_request_endpoint": "https://id.corp.example/request",
        "authorization_response_iss_parameter_supported": true,
        "backchannel_logout_supported": true,
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    });
    merge(&mut metadata, change);
    metadata
}
