//! One seed's run: a deployment works for some hours with faults, and then without.

use std::rc::Rc;

use causeway_core::testing::settings::key_ring_text;

use crate::{
    browser::{Browser, Outcome},
    coordinator::Coordination,
    faults::Faults,
    provider_profile::PROVIDER_PROFILES,
    setting::settings_with,
    world::{Tally, World},
};

/// Key rings in the order of a rotation: every isolate can open with the new key before the first one seals with it.
const KEY_RINGS: [&str; 3] = ["s", "s,t", "t,s"];

/// The result of a seed's run.
pub(crate) struct Report {
    pub(crate) violation: Option<String>,
    pub(crate) tally: Tally,
    pub(crate) trace: Vec<String>,
}

struct Workload {
    world: Rc<World>,
    browsers: Vec<Rc<Browser>>,
    /// The index in [`KEY_RINGS`] of each isolate's ring.
    key_ring_indices: Vec<usize>,
    sign_ins: u64,
}

/// Runs a seed.
pub(crate) fn run(seed: u64, is_traced: bool) -> Report {
    let world = World::new(seed, is_traced);
    let mut workload = Workload::new(world);
    workload.run_with_faults();
    workload.run_without_faults();
    let world = &workload.world;
    world.checker.check_at_end(world);
    let report = Report { violation: world.checker.violation(), tally: world.tally(), trace: world.traced_steps() };
    world.tear_down();
    report
}

impl Workload {
    /// Draws a deployment and its faults.
    fn new(world: Rc<World>) -> Self {
        let draw = |range| world.scheduler.draw(range);
        let pick = |values: &[u64]| values[usize::try_from(draw(0..values.len() as u64)).unwrap()];
        let settings = settings_with(pick(&[0, 10, 10, 60, 300]), pick(&[1, 12, 12]), pick(&[15, 30, 240, 240]));
        world.authorization_servers.access_token_lifetime_ms.set(60_000 * pick(&[6, 15, 15, 60]));
        if world.scheduler.chance(500) {
            world.coordinator.coordination.set(Coordination::Store);
            world.count("seeds with a compare-and-set store");
        }
        let isolates = draw(3..5);
        for _ in 0..isolates {
            let skew_ms = if world.scheduler.chance(500) { 0 } else { draw(0..600_001).cast_signed() - 300_000 };
            world.add_isolate(skew_ms, settings.clone());
        }
        if !world.scheduler.chance(100) {
            world.faults.set(Faults::draw(&world.scheduler));
        } else {
            world.count("seeds without faults");
        }
        let key_ring_indices = vec![0; world.isolates.borrow().len()];
        Self { world, browsers: Vec::new(), key_ring_indices, sign_ins: 0 }
    }

    fn draw(&self, below: u64) -> u64 {
        self.world.scheduler.draw(0..below)
    }

    fn access_token_lifetime_ms(&self) -> u64 {
        self.world.authorization_servers.access_token_lifetime_ms.get()
    }

    fn run_with_faults(&mut self) {
        for _ in 0..self.world.scheduler.draw(1..4) {
            self.sign_in();
        }
        self.world.advance(60_000);
        for _ in 0..self.world.scheduler.draw(3..8) {
            self.act();
            if self.world.scheduler.chance(500) {
                self.call_after_lease_expiry();
            }
            let pause_ms = match self.draw(4) {
                0 => self.draw(3_000),
                1 => self.draw(120_000),
                2 => self.access_token_lifetime_ms() - self.draw(60_000),
                _ => self.draw(self.access_token_lifetime_ms() + 60_000),
            };
            self.world.advance(pause_ms);
        }
    }

    fn is_dead(&self, browser: &Browser) -> bool {
        self.world.checker.dead_since_ms(&self.world, browser.number).is_some()
    }

    /// Draws a browser, mostly one whose session is alive: few requests suffice to check what ended sessions get.
    fn draw_browser(&self) -> Rc<Browser> {
        let mut candidates: Vec<_> = self.browsers.iter().filter(|browser| !self.is_dead(browser)).collect();
        if candidates.is_empty() || self.world.scheduler.chance(100) {
            candidates = self.browsers.iter().collect();
        }
        Rc::clone(candidates[usize::try_from(self.draw(candidates.len() as u64)).unwrap()])
    }

    fn sign_in(&mut self) {
        self.sign_ins += 1;
        let profile = &PROVIDER_PROFILES[usize::try_from(self.draw(PROVIDER_PROFILES.len() as u64)).unwrap()];
        let (number, user) = (self.sign_ins, 1 + self.draw(3));
        let browser = match self.browsers.last() {
            Some(last) if self.world.scheduler.chance(200) => last.signing_in_again(number, user, profile),
            _ => Browser::new(number, user, profile),
        };
        self.world.sign_in(self.world.draw_isolate(), &browser);
        self.browsers.push(browser);
    }

    /// Several actions of users, providers and operators, close together.
    fn act(&mut self) {
        if self.browsers.iter().all(|browser| self.is_dead(browser)) {
            self.sign_in();
            self.world.advance(5_000);
        }
        let busiest = self.draw_browser();
        for _ in 0..self.world.scheduler.draw(2..8) {
            let browser = if self.world.scheduler.chance(700) { Rc::clone(&busiest) } else { self.draw_browser() };
            let isolate = self.world.draw_isolate();
            match self.draw(100) {
                0..52 => self.world.call(isolate, &browser),
                52..66 => self.world.call_restricted(isolate, &browser),
                66 => self.world.list_sessions(isolate, &browser),
                67 => self.world.end_other_sessions(isolate, &browser),
                68 => self.world.end_drawn_session(isolate, &browser),
                69..76 => self.world.connect(isolate, &browser),
                76..78 => self.world.disconnect(isolate, &browser),
                78..84 => self.world.call_linked_account(isolate, &browser),
                84..88 => self.world.view_session(isolate, &browser),
                88..90 => self.world.sign_out(isolate, &browser),
                90 => self.world.end_all_by_provider(isolate, &browser),
                91..94 => self.sign_in(),
                94 => self.revoke_grant(&browser),
                95 => self.world.crash_isolate(isolate),
                96..98 => self.rotate_key(),
                _ => self.world.advance(self.draw(3_000)),
            }
            // Most actions begin at once, some while earlier ones are under way.
            if self.world.scheduler.chance(300) {
                self.world.advance(self.draw(60));
            }
        }
    }

    /// The user revokes, at the provider, the grant of the account that the session has now.
    fn revoke_grant(&self, browser: &Browser) {
        let grant = self.world.checker.grant_of_account(browser.number, browser.profile.provider);
        self.world.revoke_by_user(grant.unwrap_or(browser.number));
    }

    /// Calls about when an abandoned lease expires.
    fn call_after_lease_expiry(&self) {
        for _ in 0..2 {
            self.world.advance(self.world.scheduler.draw(20_000..50_000));
            let browser = self.draw_browser();
            self.world.call(self.world.draw_isolate(), &browser);
        }
    }

    /// Gives the next key ring to the first isolate that is furthest behind in the rotation.
    fn rotate_key(&mut self) {
        let Some(behind) = self.key_ring_indices.iter().min().copied() else { return };
        let isolate = self.key_ring_indices.iter().position(|index| *index == behind);
        let (Some(isolate), Some(key_ring)) = (isolate, KEY_RINGS.get(behind + 1)) else { return };
        self.world.count("key rings changed");
        self.key_ring_indices[isolate] = behind + 1;
        self.world.isolate(isolate).reconfigure("SESSION_KEYS", key_ring_text(key_ring));
    }

    /// Stops all faults. Soon each live session is served again, or its user must sign in with the provider.
    fn run_without_faults(&self) {
        self.world.faults.set(Faults::default());
        self.world.run_until_idle();
        for browser in self.browsers.iter().filter(|browser| browser.has_session()) {
            if !self.world.is_alive_by_all_clocks(browser.number) {
                continue;
            }
            let mut last = Outcome::Unavailable;
            for _ in 0..12 {
                self.world.call(self.world.draw_isolate(), browser);
                self.world.advance(10_000);
                last = browser.outcomes.borrow().last().copied().unwrap_or(Outcome::Unavailable);
                if last != Outcome::Unavailable {
                    break;
                }
            }
            let is_alive = self.world.is_alive_by_all_clocks(browser.number);
            if is_alive && !matches!(last, Outcome::Served | Outcome::SignInNeeded) {
                self.world.checker.report_violation(&self.world, || {
                    format!("session {} is alive, there are no faults, and it still gets {last:?}", browser.number)
                });
            }
            let is_served = last == Outcome::Served;
            self.world.count(if is_served { "sessions served at the end" } else { "sessions not served at the end" });
            self.world.view_session(self.world.draw_isolate(), browser);
            self.world.advance(10_000);
            self.world.check_end_by_linked_provider(browser);
        }
        self.world.run_until_idle();
    }
}
