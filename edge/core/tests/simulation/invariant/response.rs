//! An upstream gets only tokens that the session has stored. A user is asked to sign in again only if that is
//! necessary.

use super::{DENIAL_VALID_MS, InvariantChecker};
use crate::{
    provider_profile::profile,
    token::{grant_belongs_to, grant_of, provider_of},
    world::World,
};

impl InvariantChecker {
    /// An API received a call for a browser.
    pub(crate) fn on_api_call(&self, world: &World, number: u64, token: &str) {
        if !grant_of(token).is_some_and(|grant| grant_belongs_to(grant, number)) {
            self.report_violation(world, || format!("session {number} calls with {token:?}, which is not its own"));
        }
        let handle = self.handle(number).unwrap_or_default();
        if !self.session_models.borrow().get(&handle).is_some_and(|model| model.access_tokens.contains(token)) {
            self.report_violation(world, || format!("session {number} calls with {token:?}, which it has not stored"));
        }
    }

    /// An API rejected an access token.
    pub(crate) fn on_api_rejection(&self, world: &World, number: u64, token: &str) {
        if let (Some(handle), Some(provider)) = (self.handle(number), provider_of(token)) {
            self.change_account(&handle, provider, |account| account.rejected_at_ms = world.now_ms());
        }
    }

    /// Whether a request that began at `began_ms` may be answered with "sign in at this provider".
    pub(crate) fn may_require_sign_in(
        &self,
        world: &World,
        number: u64,
        provider: &str,
        is_restricted: bool,
        began_ms: u64,
    ) -> bool {
        let session_models = self.session_models.borrow();
        let Some(model) = self.handle(number).and_then(|handle| session_models.get(&handle)) else { return true };
        let Some(account) = model.accounts.get(provider) else { return true };
        let was_required = model.sign_in_required_until_ms.get(provider).is_some_and(|until_ms| began_ms <= *until_ms);
        let is_denied = account.restriction_denied_at_ms.is_some_and(|at_ms| world.now_ms() <= at_ms + DENIAL_VALID_MS);
        // If another refresh invalidates the token of a request, the request gets a new one, once. Where clocks differ
        // by more than a token's lifetime, that one may be invalid, too.
        let renewals = account.renewed_at_ms.iter().filter(|at_ms| began_ms <= **at_ms).count();
        let was_overtaken = profile(provider).invalidates_old_access_tokens && renewals > 1;
        was_required
            || was_overtaken
            || account.may_require_sign_in()
            || !world.is_grant_active(account.grant)
            || (is_restricted && is_denied)
    }

    /// The grant of a session's account.
    pub(crate) fn grant_of_account(&self, number: u64, provider: &str) -> Option<u64> {
        let session_models = self.session_models.borrow();
        let account = session_models.get(&self.handle(number)?)?.accounts.get(provider)?;
        Some(account.grant)
    }

    /// Whether a session has an account. `None` if that may have changed after `since_ms`.
    pub(crate) fn has_account_since(&self, number: u64, provider: &str, since_ms: u64) -> Option<bool> {
        let session_models = self.session_models.borrow();
        let model = session_models.get(&self.handle(number)?)?;
        let is_unchanged = model.link_changed_at_ms.get(provider).is_none_or(|at_ms| *at_ms <= since_ms);
        is_unchanged.then(|| model.accounts.contains_key(provider))
    }
}
