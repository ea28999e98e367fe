//! Settings, one `KEY=value` per line, laid over a complete configuration.
//!
//! Any settings either load or close every route. Those that load are safe, and no problem shows a secret.

use causeway_core::{
    config::{Config, Coordination, KEYS},
    proxy::service::Credential,
};

use super::lines;
use crate::settings::Settings;

/// Part of each secret in the settings and the corpus.
const MARK: &str = "zQ9xK";
const SECRETS: [&str; 9] = [
    "SESSION_KEYS",
    "BRIDGE_KEYS",
    "REDIS_URL",
    "ENTRA_CLIENT_SECRET",
    "ENTRA_CLIENT_KEY",
    "GITHUB_CLIENT_SECRET",
    "GITHUB_WEBHOOK_SECRET",
    "OIDC_CLIENT_SECRETS",
    "GITHUB_APP_KEY",
];

/// Runs the target on one input; returns whether the edge accepted it.
pub fn run(data: &[u8]) -> bool {
    let mut settings = Settings::default();
    let mut marked_elsewhere = false;
    for line in lines(data).take(32).filter_map(|line| str::from_utf8(line).ok()) {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        // A problem shows the name of an unknown key, without its unprintable characters.
        let shown: String = line.chars().filter(char::is_ascii_graphic).collect();
        marked_elsewhere |= !SECRETS.contains(&key) && shown.contains(MARK);
        settings.0.insert(key.to_owned(), value.to_owned());
    }
    let mut loads = false;
    for coordination in [Coordination::Objects, Coordination::Redis] {
        match Config::load(&settings, coordination) {
            Ok(config) => {
                check(&config, &settings);
                loads = true;
            }
            Err(problems) => {
                assert!(!problems.is_empty());
                let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
                assert!(shown.iter().all(|problem| !problem.contains('\n')), "{shown:?}");
                assert!(marked_elsewhere || shown.iter().all(|problem| !problem.contains(MARK)), "{shown:?}");
            }
        }
    }
    loads
}

fn check(config: &Config, settings: &Settings) {
    assert!(settings.0.keys().all(|key| KEYS.contains(&key.as_str())), "an unknown key passed");
    let development = settings.0.get("DEVELOPMENT").is_some_and(|value| value.trim() == "loopback");
    let safe = |url: &str| {
        let loopback = ["http://localhost", "http://127.0.0.1", "http://[::1]"];
        url.starts_with("https://") || (development && loopback.iter().any(|known| url.starts_with(known)))
    };
    assert!(safe(config.public_origin.as_str()) && safe(config.bridge_url.as_str()));
    assert!(config.host_origins.iter().all(|origin| safe(origin.as_str())));
    assert!(!config.providers.is_empty());
    for (at, provider) in config.providers.iter().enumerate() {
        assert!(config.providers.iter().skip(at + 1).all(|other| other.id != provider.id), "an id twice");
        assert!(!provider.client_id.is_empty());
        assert_eq!(provider.redirect_uri, format!("{}/auth/{}/callback", config.public_origin, provider.id));
    }
    for (at, service) in config.services.iter().enumerate() {
        assert!(config.services.iter().skip(at + 1).all(|other| other.name != service.name), "a name twice");
        assert!(safe(service.base.as_str()), "{}", service.base);
        assert!(!service.rules.is_empty() && service.base.username().is_empty());
        let users_of = service.users_of.iter().flatten();
        assert!(users_of.clone().all(|id| config.provider(id).is_some()), "users of nobody's");
        let is_anybodys = service.users_of.is_none() && config.providers.len() > 1;
        assert!(!is_anybodys || matches!(service.credential, Credential::Provider { .. }), "everybody acts as the app");
    }
    assert!(config.sessions.revocation_bound.as_secs() <= 300);
    let printed = format!("{config:?}");
    assert!(!printed.contains("zQ9xK-entra-secret"), "a secret prints itself");
}
