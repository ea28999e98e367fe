//! Claims that only Entra's ID tokens have. Tenant and group are read from them, so a wrong type refuses the token; at
//! other providers claims of the same names mean something else, or nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, de::IgnoredAny};

use super::{id_token::IdTokenError, provider::Tenants};
use crate::config::is_guid;

/// What is read of an ID token of Entra beyond what every provider's says.
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
    /// A shorter way of saying that the groups are elsewhere.
    hasgroups: Option<bool>,
}

impl EntraClaims {
    /// The tenant, if its users may sign in (M74) and the token is of the v2.0 endpoint.
    pub(super) fn tenant(&self, tenants: &Tenants) -> Result<&str, IdTokenError> {
        let tenant = self.tid.as_deref().filter(|tid| is_guid(tid) && tenants.allows(tid));
        tenant.filter(|_| self.ver.as_deref() == Some("2.0")).ok_or(IdTokenError::Tenant)
    }

    /// A user of more groups than fit is described by a pointer instead of a list: that is no proof of any (M77).
    pub(super) fn check_groups(&self, required: &[String]) -> Result<(), IdTokenError> {
        let overage =
            self.hasgroups == Some(true) || self.claim_names.as_ref().is_some_and(|names| names.contains_key("groups"));
        let is_member = self.groups.iter().flatten().any(|group| required.contains(group));
        if required.is_empty() || (is_member && !overage) { Ok(()) } else { Err(IdTokenError::Group) }
    }

    /// Whom they are about.
    pub(super) fn identity(&self) -> (Option<&str>, Option<&str>) {
        (self.tid.as_deref(), self.oid.as_deref())
    }
}
