//! The GitHub App that mints tokens for services with an `installation`: `GITHUB_APP_ID` and `GITHUB_APP_KEY`.

use super::{Source, reader::Reader};
use crate::{
    oauth::{client_key::ClientKey, github_app::App},
    proxy::service::{Credential, Service},
};

const ID: &str = "GITHUB_APP_ID";
const KEY: &str = "GITHUB_APP_KEY";

impl<S: Source> Reader<'_, S> {
    pub(super) fn github_app(&mut self, services: &[Service]) -> Option<App> {
        let is_needed = services.iter().any(|service| matches!(service.credential, Credential::Installation(_)));
        let (id, key) = match (self.optional(ID), self.optional(KEY)) {
            (None, None) if !is_needed => return None,
            (None, None) => return self.reject(ID, "must be set: SERVICES has an installation"),
            (None, Some(_)) => return self.reject(ID, "must be set with GITHUB_APP_KEY"),
            (Some(_), None) => return self.reject(KEY, "must be set with GITHUB_APP_ID"),
            (Some(id), Some(key)) => (id, key),
        };
        if id.len() > 64 || !id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
            return self.reject(ID, "must be the app's client id or number");
        }
        let key = match ClientKey::from_pem(&key) {
            Ok(key) => key,
            Err(error) => return self.reject(KEY, error.to_string()),
        };
        let api = self.url("GITHUB_API_URL", Some("https://api.github.com"))?;
        Some(App { id, key, api })
    }
}
