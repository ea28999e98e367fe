//! Claims that only Entra's ID tokens have. Tenant and groups decide about access, so a wrong type rejects the token.
//! Other providers' claims of the same names have another meaning, or none, and are not read.

use std::collections::BTreeMap;

use serde::{Deserialize, de::IgnoredAny};

use super::provider::Tenants;

/// The claims read from Entra's ID tokens, in addition to those of every provider.
#[derive(Debug, Clone, Deserialize)]
pub struct EntraClaims {
    /// Tenant id.
    pub tid: Option<String>,
    /// The user's object id within the tenant.
    pub oid: Option<String>,
    ver: Option<String>,
    groups: Option<Vec<String>>,
    #[serde(rename = "_claim_names")]
    claim_names: Option<BTreeMap<String, IgnoredAny>>,
    /// Like `_claim_names`, indicates that the token does not list the groups.
    hasgroups: Option<bool>,
}

impl EntraClaims {
    /// The tenant, if its users may sign in (M74) and the token is from the v2.0 endpoint.
    pub(super) fn allowed_tenant(&self, tenants: &Tenants) -> Option<&str> {
        let tenant = self.tid.as_deref().filter(|tid| is_guid(tid) && tenants.allows(tid));
        tenant.filter(|_| self.ver.as_deref() == Some("2.0"))
    }

    /// Whether the token proves membership in one of the groups; true if none is required. For a user in too many
    /// groups, Entra sends a pointer instead of the list, which proves nothing (M77).
    pub(super) fn is_in_a_group(&self, required: &[String]) -> bool {
        let overage =
            self.hasgroups == Some(true) || self.claim_names.as_ref().is_some_and(|names| names.contains_key("groups"));
        let is_member = self.groups.iter().flatten().any(|group| required.contains(group));
        required.is_empty() || (is_member && !overage)
    }

    /// Tenant id and object id.
    pub(super) fn identity(&self) -> (Option<&str>, Option<&str>) {
        (self.tid.as_deref(), self.oid.as_deref())
    }
}

/// Whether a text is a GUID in the lower-case form that Entra writes.
#[must_use]
pub(crate) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(n, b)| match n {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        })
}

#[cfg(test)]
mod tests;
