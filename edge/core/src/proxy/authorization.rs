//! What authorizes a request to an upstream: an access token, and the key that it may be bound to.

use http::HeaderMap;
use secrecy::SecretString;
use url::Url;

use crate::{
    http::web::{Incoming, Outgoing},
    oauth::dpop::{self, DpopKey, Nonces},
    runtime::{platform::Platform, unavailable::Unavailable},
};

/// Authorizes requests to an upstream. It cannot be printed.
pub(crate) struct Authorization<'a> {
    token: SecretString,
    /// The key that the token is bound to (RFC 9449).
    key: Option<DpopKey>,
    /// Whether the token is so new that some servers may not know it yet.
    is_fresh: bool,
    nonces: &'a Nonces,
}

impl<'a> Authorization<'a> {
    /// An access token. With a key, each request carries a proof that its sender has the key.
    pub(crate) fn new(token: SecretString, key: Option<DpopKey>, nonces: &'a Nonces) -> Self {
        Self { token, key, is_fresh: false, nonces }
    }

    /// The same, with a token that some servers may not know yet.
    pub(crate) fn fresh(self) -> Self {
        Self { is_fresh: true, ..self }
    }

    /// Whether the token is so new that some servers may not know it yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    /// The access token.
    pub(crate) fn token(&self) -> &SecretString {
        &self.token
    }

    /// Adds the token to a request, with a proof that is valid for this request only.
    ///
    /// # Errors
    /// [`Unavailable`] without randomness, or if no header can hold the token.
    pub(super) fn attach<B>(&self, platform: &impl Platform, outgoing: &mut Outgoing<B>) -> Result<(), Unavailable> {
        let Outgoing { method, url, headers, .. } = outgoing;
        let added = dpop::authorize(platform, self.nonces, method, url, &self.token, self.key.as_ref())?;
        // Replaces, rather than joins, headers of the same name.
        for (name, value) in &added {
            headers.insert(name, value.clone());
        }
        Ok(())
    }

    /// Remembers the nonce that an upstream wants in the next proof. Any answer may bring one (RFC 9449 §9).
    pub(super) fn learn_nonce(&self, url: &Url, headers: &HeaderMap) {
        if self.key.is_some() {
            self.nonces.store(url, headers);
        }
    }

    /// Whether an upstream refused a request only because its proof lacked a nonce.
    pub(super) fn lacks_nonce<B>(&self, response: &Incoming<B>) -> bool {
        self.key.is_some() && dpop::wants_nonce(response.status, &response.headers)
    }
}
