//! Single stories, told for every kind of provider, by the number of their case.

use std::rc::Rc;

use super::{
    World,
    authority::{PROVIDER_PROFILES, ProviderProfile, profile},
    browser::{Browser, Seen},
    coordinator::Coordination,
    faults::Faults,
    workload::settings_with,
};

const HOUR_MS: u64 = 60 * 60 * 1000;
const LEASE_OVER_MS: u64 = 41_000;

/// A world of isolates with such clocks, with tokens of an hour, and a browser that is signed in.
struct Scenario {
    world: Rc<World>,
    browser: Rc<Browser>,
}

impl Scenario {
    fn new(profile: &'static ProviderProfile, skews_ms: &[i64], bound_seconds: u64) -> Self {
        Self::on(Coordination::Objects, profile, skews_ms, bound_seconds)
    }

    fn on(coordination: Coordination, profile: &'static ProviderProfile, skews_ms: &[i64], bound_seconds: u64) -> Self {
        Self::of(1, coordination, profile, skews_ms, bound_seconds)
    }

    fn of(
        seed: u64,
        coordination: Coordination,
        profile: &'static ProviderProfile,
        skews_ms: &[i64],
        bound_seconds: u64,
    ) -> Self {
        let world = World::new(seed, false);
        world.coordinator.coordination.set(coordination);
        world.authority.token_life_ms.set(HOUR_MS);
        for skew_ms in skews_ms {
            world.add_isolate(*skew_ms, settings_with(bound_seconds, 12, 240));
        }
        let browser = Browser::new(1, 7, profile);
        world.sign_in(0, &browser);
        world.pass(5_000);
        assert!(browser.has_session());
        Self { world, browser }
    }

    /// The story for each kind of provider and of coordinator, with three isolates whose clocks are right.
    fn each(tell: impl Fn(Self)) {
        for profile in PROVIDER_PROFILES {
            for coordination in [Coordination::Objects, Coordination::Store] {
                tell(Self::on(coordination, profile, &[0, 0, 0], 10));
            }
        }
    }

    fn faults(&self, faults: Faults) {
        self.world.faults.set(faults);
    }

    fn fair(&self) {
        self.faults(Faults::default());
    }

    fn token_ends(&self) {
        self.world.pass(HOUR_MS);
    }

    fn call(&self, isolate: usize) -> Seen {
        self.world.call(isolate, &self.browser);
        self.world.pass(60_000);
        *self.browser.seen.borrow().last().unwrap()
    }

    fn look(&self, isolate: usize) -> Seen {
        self.world.look(isolate, &self.browser);
        self.world.pass(60_000);
        *self.browser.seen.borrow().last().unwrap()
    }

    /// Begins a call whose refresh the provider has just answered, with the answer still under way.
    fn call_until_refreshed(&self, isolate: usize) {
        self.world.call(isolate, &self.browser);
        while self.world.counted("refreshes at a provider") == 0 {
            self.world.pass(1);
        }
    }

    /// The user took the account back, and the writer who was told so by the provider is expected_session up.
    fn of_a_late_refusal() -> Self {
        let story = Self::new(profile("github"), &[0, 0, 0], 10);
        story.token_ends();
        story.world.take_back(1);
        story.call_until_refreshed(0);
        story.world.scheduler.stall(0, 200_000);
        story.world.checker.hold_up_all();
        story
    }

    fn sent(&self) -> u64 {
        self.world.counted("refresh tokens sent") + self.world.counted("refresh tokens sent again")
    }

    fn is(&self, provider: &str) -> bool {
        self.browser.profile.provider == provider
    }
}

impl Drop for Scenario {
    fn drop(&mut self) {
        self.world.end();
        if !std::thread::panicking() {
            assert_eq!(self.world.checker.violation(), None, "{}", self.browser.profile.provider);
        }
    }
}

#[test]
fn s106_a_hundred_calls_with_a_token_that_is_over_are_one_refresh() {
    Scenario::each(|story| {
        story.token_ends();
        for n in 0..100 {
            story.world.call(n % 3, &story.browser);
        }
        story.world.pass(60_000);
        assert_eq!(*story.browser.seen.borrow(), [Seen::Good; 100]);
        assert_eq!(story.sent(), 1);
    });
}

#[test]
fn s108_a_lost_answer_is_one_retry_where_the_policy_has_it_and_then_a_clean_sign_in() {
    Scenario::each(|story| {
        story.token_ends();
        story.world.call(0, &story.browser);
        while story.sent() == 0 {
            story.world.pass(1);
        }
        story.faults(Faults { answer_lost: 1000, ..Faults::default() });
        story.world.pass(30_000);
        assert_eq!(*story.browser.seen.borrow(), [Seen::Unavailable]);
        story.fair();
        let forgives = story.is("patient") || story.is("entra");
        let seen = story.call(1);
        // GitHub takes no token twice; the strict one is not even asked.
        assert_eq!(seen, if forgives { Seen::Good } else { Seen::SignInNeeded });
        for _ in 0..3 {
            assert_eq!(story.call(2), seen, "and that is that");
        }
        assert_eq!(story.sent(), if story.is("strict") { 1 } else { 2 });
        assert_eq!(story.look(0), Seen::Good, "the session lives on");
    });
}

#[test]
fn s109_a_crash_between_answer_and_store_is_a_lost_answer() {
    Scenario::each(|story| {
        story.token_ends();
        story.call_until_refreshed(0);
        story.world.kill_isolate(0);
        story.world.pass(LEASE_OVER_MS);
        let seen = story.call(1);
        let forgives = story.is("patient") || story.is("entra");
        assert_eq!(seen, if forgives { Seen::Good } else { Seen::SignInNeeded });
        assert_eq!(story.sent(), if story.is("strict") { 1 } else { 2 });
        assert_eq!(story.look(2), Seen::Good);
    });
}

#[test]
fn s109_a_writer_who_was_held_up_until_it_was_anothers_turn_sends_nothing() {
    Scenario::each(|story| {
        story.token_ends();
        story.world.call(0, &story.browser);
        while story.world.counted("leases") == 0 {
            story.world.pass(1);
        }
        story.world.scheduler.stall(0, 150_000);
        story.world.checker.hold_up_all();
        story.world.pass(LEASE_OVER_MS);
        let sent = if story.is("strict") { 0 } else { 1 };
        assert_eq!(story.call(1), if story.is("strict") { Seen::SignInNeeded } else { Seen::Good });
        story.world.pass(100_000);
        assert_eq!(story.browser.seen.borrow().last(), Some(&Seen::Unavailable), "the one who was expected_session up");
        assert_eq!(story.sent(), sent);
        assert_eq!(story.look(2), Seen::Good);
    });
}

#[test]
fn s109_a_writer_who_is_too_late_leaves_the_others_tokens_alone() {
    Scenario::each(|story| {
        story.token_ends();
        story.call_until_refreshed(0);
        story.world.scheduler.stall(0, 200_000);
        story.world.checker.hold_up_all();
        story.world.pass(LEASE_OVER_MS);
        let forgives = story.is("patient") || story.is("entra");
        let seen = if forgives { Seen::Good } else { Seen::SignInNeeded };
        assert_eq!(story.call(1), seen);
        story.world.pass(200_000);
        story.token_ends();
        assert_eq!(story.call(2), seen);
    });
}

#[test]
fn s111_a_stale_read_never_lends_a_refresh_token() {
    Scenario::each(|story| {
        story.faults(Faults { stale: 1000, ..Faults::default() });
        for round in 1..4 {
            story.token_ends();
            for isolate in 0..3 {
                assert_eq!(story.call(isolate), Seen::Good);
            }
            assert_eq!(story.sent(), round);
        }
        assert!(story.world.counted("stale reads") > 0);
    });
}

#[test]
fn s112_a_session_the_store_has_not_heard_of_works() {
    for faults in [
        Faults { stale: 1000, ..Faults::default() },
        Faults { write_late: 1000, ..Faults::default() },
        Faults { store_down: 1000, ..Faults::default() },
    ] {
        Scenario::each(|story| {
            story.faults(faults);
            let next = Browser::new(2, 8, story.browser.profile);
            story.world.sign_in(0, &next);
            story.world.pass(6_000);
            for isolate in 0..3 {
                story.world.call(isolate, &next);
                story.world.pass(10_000);
            }
            assert_eq!(*next.seen.borrow(), [Seen::Good; 3]);
        });
    }
}

#[test]
fn s113_an_outage_of_the_provider_ends_nothing() {
    Scenario::each(|story| {
        story.token_ends();
        story.faults(Faults { provider_busy: 1000, ..Faults::default() });
        for isolate in 0..3 {
            assert_eq!(story.call(isolate), Seen::Unavailable);
            assert_eq!(story.look(isolate), Seen::Good);
        }
        story.fair();
        assert_eq!(story.call(0), Seen::Good);
    });
}

#[test]
fn s114_signing_out_during_a_refresh_is_final_and_the_new_tokens_are_revoked() {
    Scenario::each(|story| {
        story.token_ends();
        story.call_until_refreshed(0);
        story.world.sign_out(1, &story.browser);
        story.world.pass(60_000);
        // Whether the call got through depends on who was first; what comes after does not.
        let last = story.browser.seen.borrow().last().cloned();
        assert!(matches!(last, Some(Seen::Unauthenticated | Seen::Good)), "{last:?}");
        for isolate in 0..3 {
            assert_eq!(story.call(isolate), Seen::Unauthenticated);
        }
        story.world.checker.close(&story.world);
        let grants = story.world.authority.grants.borrow();
        assert_eq!(grants[&1].ending.is_none(), !story.browser.profile.revokes);
        assert_eq!(story.sent(), 1);
    });
}

/// However their steps come between each other: the tokens that are given up are the ones that live.
#[test]
fn s114_signing_out_while_another_isolate_stores_gives_up_what_it_stored() {
    for wait_ms in 0..100 {
        Scenario::each(|story| {
            story.token_ends();
            story.call_until_refreshed(0);
            story.world.pass(wait_ms);
            story.world.sign_out(1, &story.browser);
            story.world.pass(60_000);
            let grants = story.world.authority.grants.borrow();
            let grant = &grants[&1];
            assert_eq!(grant.ending.is_none(), !grant.profile.revokes, "{} after {wait_ms} ms", grant.profile.provider);
            assert_eq!(story.sent(), 1);
        });
    }
}

#[test]
fn s116_users_who_renew_at_once_in_one_isolate_get_their_own() {
    Scenario::each(|story| {
        let others: Vec<_> = PROVIDER_PROFILES
            .iter()
            .zip(2..)
            .flat_map(|(profile, n)| [(profile, n, 7), (profile, n + 10, 8)])
            .collect();
        let others: Vec<_> = others.into_iter().map(|(profile, n, user)| Browser::new(n, user, profile)).collect();
        others.iter().for_each(|other| story.world.sign_in(0, other));
        story.token_ends();
        for _ in 0..3 {
            others.iter().for_each(|other| story.world.call(0, other));
        }
        story.world.pass(60_000);
        assert!(others.iter().all(|other| *other.seen.borrow() == [Seen::Good; 3]));
        assert_eq!(story.sent(), others.len() as u64);
    });
}

#[test]
fn s117_clocks_that_are_wrong_by_five_minutes_sign_nobody_out() {
    for (first, second) in [(-300_000, 300_000), (300_000, -300_000)] {
        for profile in PROVIDER_PROFILES {
            let story = Scenario::new(profile, &[first, second, 0], 10);
            for _ in 0..4 {
                for isolate in 0..3 {
                    assert_eq!(story.call(isolate), Seen::Good);
                    assert_eq!(story.look(isolate), Seen::Good);
                }
                story.token_ends();
            }
            // Shortly before its end, when some clocks say that it is over.
            story.world.pass(12 * HOUR_MS - 4 * HOUR_MS - 45 * 60_000);
            story.world.sign_out(1, &story.browser);
            story.world.pass(60_000);
            assert!(story.world.checker.dead_since_ms(&story.world, 1).is_some());
        }
    }
}

#[test]
fn s119_without_the_coordinator_nobody_is_let_in_and_nobody_signed_out() {
    for profile in PROVIDER_PROFILES {
        let story = Scenario::new(profile, &[0, 0, 0], 0);
        story.faults(Faults { command_lost: 1000, ..Faults::default() });
        for isolate in 0..3 {
            assert_eq!(story.call(isolate), Seen::Unavailable);
            assert_eq!(story.look(isolate), Seen::Unavailable);
        }
        story.fair();
        assert_eq!(story.call(0), Seen::Good);
    }
}

#[test]
fn s129_a_session_ended_elsewhere_is_served_no_longer_than_the_bound() {
    for (bound_seconds, served) in [(0, 0), (10, 10), (60, 60)] {
        for profile in PROVIDER_PROFILES {
            let story = Scenario::new(profile, &[0, 300_000], bound_seconds);
            story.world.pass(120_000);
            story.world.look(1, &story.browser);
            story.world.pass(200);
            story.world.sign_out(0, &story.browser);
            story.world.pass(800);
            let before = story.browser.seen.borrow().len();
            for _ in 0..70 {
                story.world.look(1, &story.browser);
                story.world.pass(1_000);
            }
            let good = story.browser.seen.borrow()[before..].iter().filter(|seen| **seen == Seen::Good).count();
            assert!(good <= served && good + 2 >= served, "{good} looks of one a second within {served} s");
        }
    }
}

/// What a provider said of an account ends nothing that came after: its owner has connected it anew meanwhile.
#[test]
fn s109_a_writer_who_is_too_late_does_not_end_a_session_whose_account_was_connected_anew() {
    let story = Scenario::of_a_late_refusal();
    story.world.pass(LEASE_OVER_MS);
    story.world.connect(1, &story.browser);
    story.world.pass(10_000);
    assert_eq!(story.call(1), Seen::Good);
    story.world.pass(200_000);
    assert_eq!(story.world.counted("late writers who would end the session"), 1);
    for isolate in 0..3 {
        assert_eq!(story.call(isolate), Seen::Good);
        assert_eq!(story.look(isolate), Seen::Good);
    }
}

#[test]
fn s109_the_end_of_an_account_ends_its_session_though_its_writer_is_late_if_nobody_else_began() {
    let story = Scenario::of_a_late_refusal();
    story.world.pass(250_000);
    assert!(story.world.checker.dead_since_ms(&story.world, 1).is_some());
    assert_eq!(story.call(1), Seen::Unauthenticated);
}

/// Where clocks are wrong, all tokens of an account may be refused at the same time.
#[test]
fn s117_a_slow_clock_costs_no_sign_in_for_a_second_token_of_the_account() {
    for profile in PROVIDER_PROFILES.iter().filter(|profile| profile.mail.is_some()) {
        let story = Scenario::new(profile, &[-300_000, 0], 10);
        story.world.call_mail(0, &story.browser);
        story.world.pass(60_000);
        assert_eq!(*story.browser.seen.borrow(), [Seen::Good]);
        story.world.pass(HOUR_MS);
        story.world.call(0, &story.browser);
        story.world.pass(1_000);
        story.world.call_mail(0, &story.browser);
        story.world.pass(1_000);
        assert_eq!(*story.browser.seen.borrow(), [Seen::Good; 3], "{}", profile.provider);
        assert_eq!(story.sent(), 3, "each is renewed, for it was refused");
    }
}

/// Two kinds of tokens of one account, each only where it belongs, and what is denied is not asked for at each call.
#[test]
fn s116_a_service_with_tokens_of_its_own_gets_no_others() {
    for profile in PROVIDER_PROFILES.iter().filter(|profile| profile.mail.is_some()) {
        let story = Scenario::new(profile, &[0, 0, 0], 10);
        for isolate in 0..3 {
            story.world.call_mail(isolate, &story.browser);
            assert_eq!(story.call(isolate), Seen::Good);
        }
        assert_eq!(story.sent(), 1);
        story.token_ends();
        story.faults(Faults { restriction_denied: 1000, ..Faults::default() });
        story.world.call_mail(0, &story.browser);
        story.world.pass(1_000);
        let sent = story.sent();
        for isolate in 0..3 {
            story.world.call_mail(isolate, &story.browser);
            story.world.pass(1_000);
            assert_eq!(story.browser.seen.borrow().last(), Some(&Seen::SignInNeeded));
        }
        assert_eq!(story.sent(), sent);
    }
}

/// Some providers look at the restriction after they used the refresh token up, and what they say of it may be cut off.
#[test]
fn s113_a_denial_that_cannot_be_read_leaves_the_refresh_token_in_doubt() {
    for profile in PROVIDER_PROFILES.iter().filter(|profile| profile.mail.is_some() && profile.rotates) {
        for seed in 0..60 {
            let story = Scenario::of(seed, Coordination::Objects, profile, &[0, 0, 0], 10);
            story.token_ends();
            story.faults(Faults { restriction_denied: 1000, answer_cut: 300, ..Faults::default() });
            story.world.call_mail(0, &story.browser);
            story.world.pass(60_000);
            story.fair();
            let seen = [story.call(1), story.call(2)];
            assert!(!seen.contains(&Seen::Unauthenticated), "{} with seed {seed}: {seen:?}", profile.provider);
            assert_eq!(story.look(0), Seen::Good, "the session lives on");
        }
    }
}
