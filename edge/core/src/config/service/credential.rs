//! Which token a declared service is called with.

use serde::Deserialize;

use crate::{
    http::json::{UniqueMap, non_null},
    oauth::{
        provider::{Kind, Provider},
        restriction::{Restriction, is_resource, is_scope},
    },
    proxy::service::Installation,
};

/// The restriction of the service's tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeclaredToken {
    #[serde(default)]
    scopes: Vec<String>,
    resource: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeclaredInstallation {
    id: u64,
    permissions: UniqueMap<String>,
    #[serde(default, deserialize_with = "non_null")]
    repositories: Option<Vec<String>>,
}

impl DeclaredToken {
    pub(super) fn check(self, provider: &Provider) -> Result<Restriction, &'static str> {
        if provider.refresh.invalidates_access_token {
            return Err("`token` cannot be had of this `provider`: a new token ends the one before");
        }
        let Self { scopes, resource } = self;
        if scopes.is_empty() && resource.is_none() {
            return Err("`token` must have `scopes` or `resource`");
        }
        // An Entra scope contains its resource, and the v2.0 endpoint accepts no separate one.
        if resource.is_some() && matches!(provider.kind, Kind::Entra { .. }) {
            return Err("`token.resource` is not for Entra: its `scopes` name the resource");
        }
        if !scopes.iter().all(|scope| is_scope(scope)) {
            return Err("`token.scopes` must be scopes of printable characters");
        }
        if !resource.as_deref().is_none_or(is_resource) {
            return Err("`token.resource` must be an absolute URI without a fragment");
        }
        Ok(Restriction { scopes, resource })
    }
}

impl DeclaredInstallation {
    pub(super) fn check(self) -> Result<Installation, &'static str> {
        let is_permission = |(name, level): (&String, &String)| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
                && matches!(level.as_str(), "read" | "write" | "admin")
        };
        if self.id == 0 {
            return Err("`installation.id` must be the installation's number");
        }
        // Without permissions GitHub would grant all that the app has.
        let UniqueMap(permissions) = self.permissions;
        if permissions.is_empty() || !permissions.iter().all(is_permission) {
            return Err("`installation.permissions` must be such as {\"contents\":\"read\"}, at least one");
        }
        let is_repository = |name: &String| {
            !name.is_empty()
                && name.len() <= 100
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        // GitHub reads an empty list as all repositories of the app.
        if !self.repositories.as_ref().is_none_or(|names| !names.is_empty() && names.iter().all(is_repository)) {
            return Err("`installation.repositories` must be names of repositories, without their owner, at least one");
        }
        Ok(Installation { id: self.id, permissions, repositories: self.repositories.unwrap_or_default() })
    }
}
