//! A request for an account's access token, while it looks for one.

use std::borrow::Cow;

use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    error::Error,
    oauth::restriction::Restriction,
    session::{record::LinkedAccount, store::Session},
};

/// The state of a request for an account's access token.
pub(super) struct Attempt<'a> {
    pub(super) session: Cow<'a, Session>,
    pub(super) provider_id: &'a str,
    pub(super) restriction: Option<&'a Restriction>,
    /// [`Restriction::key`] of the restriction.
    key: Option<String>,
    /// Whether an upstream refused the token that the session has.
    pub(super) must_renew: bool,
    /// Whether the session may come from this isolate's memory.
    pub(super) is_from_memory: bool,
}

impl<'a> Attempt<'a> {
    /// Starts with a session that may come from this isolate's memory.
    pub(super) fn new(
        session: &'a Session,
        provider_id: &'a str,
        restriction: Option<&'a Restriction>,
        must_renew: bool,
    ) -> Self {
        let key = restriction.map(Restriction::key);
        Self { session: Cow::Borrowed(session), provider_id, restriction, key, must_renew, is_from_memory: true }
    }

    /// The session's account.
    pub(super) fn account(&self) -> Option<&LinkedAccount> {
        self.session.record.accounts.get(self.provider_id)
    }

    /// [`Restriction::key`] of the restriction.
    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The error of a user who must connect the account again.
    pub(super) fn sign_in_needed(&self) -> Error {
        Error::ProviderSignInNeeded { provider: self.provider_id.to_owned() }
    }

    /// The access token that a session has for this attempt.
    fn access_token<'s>(&self, session: &'s Session) -> Option<&'s SecretString> {
        let account = session.record.accounts.get(self.provider_id)?;
        account.access(self.key()).map(|access| access.token)
    }

    /// Continues with a newer session. Its account may have another token now, or still the one that was refused.
    pub(super) fn continue_with(&mut self, newer: Session) {
        let tokens = self.access_token(&self.session).zip(self.access_token(&newer));
        self.must_renew = self.must_renew && tokens.is_some_and(|(before, after)| is_same(before, after));
        self.session = Cow::Owned(newer);
    }
}

/// Whether two secrets are the same.
pub(super) fn is_same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}
