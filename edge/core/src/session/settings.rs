//! What an operator decides about sessions.

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
    /// `EMBED`: on which sites the host pages are.
    pub embed: Embed,
    /// The issuers whose users may have a session, by the provider's id.
    pub issuers: BTreeMap<String, Vec<String>>,
    /// `REVOCATION_BOUND_SECONDS`: how long a revoked session can still act, at most. 0 asks every time.
    pub revocation_bound: Duration,
    /// `SESSION_HOURS`: how long a session lives, whatever happens.
    pub lifetime: Duration,
    /// `SESSION_IDLE_MINUTES`: how long a session may lie unused.
    pub idle_limit: Duration,
}

impl SessionSettings {
    /// Whether an issuer may still vouch for a provider's users: an operator may have removed the provider, or one of
    /// its tenants, since the session began (M74).
    #[must_use]
    pub fn trusts(&self, provider_id: &str, issuer: &str) -> bool {
        self.issuers.get(provider_id).is_some_and(|issuers| issuers.iter().any(|known| known == issuer))
    }
}
