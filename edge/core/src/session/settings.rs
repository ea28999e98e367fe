//! The operator's settings for sessions.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use causeway_protocol::signature::KeyRing;

use crate::http::{cookie::Embed, origin::Origin};

/// The settings of the session store.
#[derive(Debug)]
pub struct SessionSettings {
    /// `SESSION_KEYS`: seals cookies and records.
    pub keys: Rc<KeyRing>,
    /// `PUBLIC_ORIGIN`: a session cookie is bound to it.
    pub public_origin: Origin,
    /// `EMBED`: the sites of the host pages.
    pub embed: Embed,
    /// The trusted issuers, by the provider's id.
    pub issuers: BTreeMap<String, Vec<String>>,
    /// `REVOCATION_BOUND_SECONDS`: how long a revoked session may still be used, at most. With 0 the coordinator is asked
    /// each time.
    pub revocation_bound: Duration,
    /// `SESSION_HOURS`: the longest lifetime of a session.
    pub lifetime: Duration,
    /// `SESSION_IDLE_MINUTES`: how long a session may be idle.
    pub idle_limit: Duration,
}

impl SessionSettings {
    /// Whether an issuer is still trusted for a provider: the operator may have removed the provider, or one of its
    /// tenants, since the sign-in (M74).
    #[must_use]
    pub fn trusts(&self, provider_id: &str, issuer: &str) -> bool {
        self.issuers.get(provider_id).is_some_and(|issuers| issuers.iter().any(|known| known == issuer))
    }
}
