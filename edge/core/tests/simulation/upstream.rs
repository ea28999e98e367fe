//! The upstream APIs, which take the providers' access tokens.

use causeway_core::testing::platform::{Answer, Sent};
use serde_json::json;

use crate::{provider_profile::PROVIDER_PROFILES, token, world::World};

/// Query parameter by which an API finds the number of the calling browser.
pub(crate) const CALLER_PARAMETER: &str = "caller=";

impl World {
    /// Answers with the user of the access token, if the token is valid.
    pub(crate) fn answer_of_api(&self, sent: &Sent) -> Answer {
        let bearer = sent.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token = bearer.strip_prefix("Bearer ").unwrap_or_default();
        let profile = PROVIDER_PROFILES
            .iter()
            .find(|profile| profile.has_api_at(&sent.url) || sent.url == profile.api_url.trim_end_matches('?'))
            .unwrap();
        let is_restricted = profile.restricted.as_ref().is_some_and(|service| sent.url.starts_with(service.api_url));
        if token::scope_of(token).is_some() != is_restricted {
            self.checker.report_violation(self, || {
                let wanted = if is_restricted { "a restricted token" } else { "an unrestricted token" };
                format!("{} is called with {token:?}, but takes {wanted}", sent.url)
            });
        }
        if token::provider_of(token) != Some(profile.provider) {
            self.checker.report_violation(self, || {
                format!("the API of {} is called with {token:?}, another provider's token", profile.provider)
            });
        }
        let caller = sent.url.split_once(CALLER_PARAMETER).map(|(_, number)| number.parse().unwrap());
        if let Some(caller) = caller {
            self.checker.on_api_call(self, caller, token);
        }
        let json = vec![("content-type", "application/json".to_owned())];
        match self.introspect(profile, token) {
            Some((user, grant)) => {
                let body = json!({"id": user, "login": "ada", "name": "Ada", "grant": grant});
                (200, json, body.to_string())
            }
            None => {
                if let Some(caller) = caller {
                    self.checker.on_api_rejection(self, caller, token);
                }
                (401, json, json!({"message": "Bad credentials"}).to_string())
            }
        }
    }
}
