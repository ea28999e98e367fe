//! Single cases, by number, most of them for every kind of provider.
//!
//! - [`refresh`]: one refresh, lost answers, crashes and outages
//! - [`superseded_write`]: a stalled lease holder
//! - [`key_value_fault`]: stale reads, late writes and outages of the key-value store
//! - [`revocation`]: sign-out during a refresh, and how soon an end takes effect
//! - [`isolation`]: each user and each service gets its own tokens
//! - [`clock_skew`]: isolates with wrong clocks

mod clock_skew;
mod isolation;
mod key_value_fault;
mod refresh;
mod revocation;
mod superseded_write;

use std::rc::Rc;

use crate::{
    browser::{Browser, Outcome},
    coordinator::Coordination,
    faults::Faults,
    provider_profile::{PROVIDER_PROFILES, ProviderProfile, ReusePolicy, profile},
    setting::settings_with,
    world::World,
};

/// The lifetime of the scenarios' access tokens.
const HOUR_MS: u64 = 60 * 60 * 1000;
/// A little longer than a lease.
const PAST_LEASE_MS: u64 = 41_000;

/// A world of some isolates, and a browser that is signed in. Dropping it checks that no invariant was violated.
struct Scenario {
    world: Rc<World>,
    browser: Rc<Browser>,
}

impl Scenario {
    /// One isolate for each clock skew.
    fn new(profile: &'static ProviderProfile, skews_ms: &[i64], revocation_bound_seconds: u64) -> Self {
        Self::with_coordination(Coordination::Objects, profile, skews_ms, revocation_bound_seconds)
    }

    fn with_coordination(
        coordination: Coordination,
        profile: &'static ProviderProfile,
        skews_ms: &[i64],
        revocation_bound_seconds: u64,
    ) -> Self {
        Self::with_seed(1, coordination, profile, skews_ms, revocation_bound_seconds)
    }

    fn with_seed(
        seed: u64,
        coordination: Coordination,
        profile: &'static ProviderProfile,
        skews_ms: &[i64],
        revocation_bound_seconds: u64,
    ) -> Self {
        let world = World::new(seed, false);
        world.coordinator.coordination.set(coordination);
        world.authorization_servers.access_token_lifetime_ms.set(HOUR_MS);
        for skew_ms in skews_ms {
            world.add_isolate(*skew_ms, settings_with(revocation_bound_seconds, 12, 240));
        }
        let browser = Browser::new(1, 7, profile);
        world.sign_in(0, &browser);
        world.advance(5_000);
        assert!(browser.has_session());
        Self { world, browser }
    }

    /// Runs a case for each kind of provider and of coordinator, with three isolates whose clocks are right.
    fn for_each_kind(run: impl Fn(Self)) {
        for profile in PROVIDER_PROFILES {
            for coordination in [Coordination::Objects, Coordination::Store] {
                run(Self::with_coordination(coordination, profile, &[0, 0, 0], 10));
            }
        }
    }

    /// The user revoked the grant, the provider rejected the refresh, and the lease holder stalls before it stores
    /// that.
    fn with_stalled_rejection() -> Self {
        let scenario = Self::new(profile("github"), &[0, 0, 0], 10);
        scenario.expire_access_tokens();
        scenario.world.revoke_by_user(1);
        scenario.call_until_refreshed(0);
        scenario.stall_first_isolate(200_000);
        scenario
    }

    fn set_faults(&self, faults: Faults) {
        self.world.faults.set(faults);
    }

    fn clear_faults(&self) {
        self.set_faults(Faults::default());
    }

    /// Waits until the access tokens have expired.
    fn expire_access_tokens(&self) {
        self.world.advance(HOUR_MS);
    }

    /// Stalls all tasks of isolate 0, and allows every task the consequences of a stall.
    fn stall_first_isolate(&self, ms: u64) {
        self.world.scheduler.stall(0, ms);
        self.world.checker.note_stall_of_all();
    }

    fn last_outcome(&self) -> Outcome {
        *self.browser.outcomes.borrow().last().unwrap()
    }

    fn call(&self, isolate: usize) -> Outcome {
        self.world.call(isolate, &self.browser);
        self.world.advance(60_000);
        self.last_outcome()
    }

    fn view_session(&self, isolate: usize) -> Outcome {
        self.world.view_session(isolate, &self.browser);
        self.world.advance(60_000);
        self.last_outcome()
    }

    /// Begins a call and stops when the provider has just answered its refresh and the answer is under way.
    fn call_until_refreshed(&self, isolate: usize) {
        self.world.call(isolate, &self.browser);
        while self.world.count_of("refreshes at a provider") == 0 {
            self.world.advance(1);
        }
    }

    /// How many times a refresh token was sent.
    fn sends(&self) -> u64 {
        self.world.count_of("refresh tokens sent") + self.world.count_of("refresh tokens sent again")
    }

    /// The provider is the one to which a refresh token is never sent twice.
    fn is_strict(&self) -> bool {
        self.browser.profile.provider == "strict"
    }

    /// What a call gets after the answer to a refresh was lost: a retry succeeds only if the provider accepts it.
    fn outcome_after_lost_answer(&self) -> Outcome {
        match self.browser.profile.reuse_policy {
            ReusePolicy::AcceptsRetry => Outcome::Served,
            ReusePolicy::Rejects | ReusePolicy::EndsGrant => Outcome::SignInNeeded,
        }
    }
}

impl Drop for Scenario {
    fn drop(&mut self) {
        self.world.tear_down();
        if !std::thread::panicking() {
            assert_eq!(self.world.checker.violation(), None, "{}", self.browser.profile.provider);
        }
    }
}
