//! The installation tokens that an isolate remembers, and its recent failures to get one.

use std::{cell::RefCell, collections::HashMap};

use super::github_app::{InstallationError, InstallationToken};
use crate::runtime::single_flight::SingleFlight;

/// How long a refusal is remembered, in milliseconds. An operator has to fix its cause.
const REFUSED_MS: u64 = 5 * 1000;
/// How long an outage is remembered, in milliseconds: as long as callers are asked to wait.
const UNAVAILABLE_MS: u64 = 2 * 1000;

/// Tokens, by a name made of the installation and the permissions.
#[derive(Debug, Default)]
pub struct InstallationCache {
    entries: RefCell<HashMap<String, Entry>>,
    /// One request of the isolate gets a token for all that wait.
    pub single_flight: SingleFlight,
}

#[derive(Debug, Default)]
struct Entry {
    token: Option<InstallationToken>,
    failed: Option<(u64, InstallationError)>,
}

impl InstallationCache {
    /// The token remembered under a name, even if it has expired.
    #[must_use]
    pub fn token(&self, name: &str) -> Option<InstallationToken> {
        self.entries.borrow().get(name)?.token.clone()
    }

    /// The last failure, while it is recent; for a rate limit, with the remaining wait.
    #[must_use]
    pub fn failure(&self, name: &str, now_ms: u64) -> Option<InstallationError> {
        let entries = self.entries.borrow();
        let (at_ms, error) = entries.get(name)?.failed.as_ref()?;
        let span_ms = match error {
            InstallationError::Refused(_) => REFUSED_MS,
            InstallationError::RateLimited(seconds) => u64::from(*seconds) * 1000,
            InstallationError::Unavailable(_) => UNAVAILABLE_MS,
        };
        let remaining_ms = span_ms.checked_sub(now_ms.checked_sub(*at_ms)?).filter(|remaining_ms| *remaining_ms > 0)?;
        Some(match error {
            InstallationError::RateLimited(seconds) => {
                InstallationError::RateLimited(u32::try_from(remaining_ms.div_ceil(1000)).unwrap_or(*seconds))
            }
            error => error.clone(),
        })
    }

    /// Remembers a token and clears the failure.
    pub fn remember(&self, name: &str, token: InstallationToken) {
        self.entries.borrow_mut().insert(name.to_owned(), Entry { token: Some(token), failed: None });
    }

    /// Remembers a failure.
    pub fn remember_failure(&self, name: &str, now_ms: u64, error: InstallationError) {
        self.entries.borrow_mut().entry(name.to_owned()).or_default().failed = Some((now_ms, error));
    }
}
