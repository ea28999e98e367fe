//! One seed: a deployment lives through some hours, and then the faults clears.

use std::{collections::BTreeMap, rc::Rc};

use causeway_core::testing::settings::{key_ring_text, settings};
use serde_json::json;

use super::{
    Tally, World,
    authority::PROVIDER_PROFILES,
    browser::{Browser, Seen},
    coordinator::Coordination,
    faults::Faults,
    invariant::SCOPE,
};

/// Rings that follow each other: a new key is known everywhere before the first isolate seals with it.
const RINGS: [&str; 3] = ["s", "s,t", "t,s"];

/// What became of a seed.
pub(crate) struct Report {
    pub(crate) violation: Option<String>,
    pub(crate) tally: Tally,
    pub(crate) trace: Vec<String>,
}

struct Workload {
    world: Rc<World>,
    browsers: Vec<Rc<Browser>>,
    /// Where in [`RINGS`] each isolate is.
    rings: Vec<usize>,
    sign_ins: u64,
}

/// Lives through a seed.
pub(crate) fn live(seed: u64, traced: bool) -> Report {
    let world = World::new(seed, traced);
    let mut workload = Workload::new(world);
    workload.pass();
    workload.clear_up();
    let world = &workload.world;
    world.checker.close(world);
    let report = Report { violation: world.checker.violation(), tally: world.tally(), trace: world.traced() };
    world.end();
    report
}

/// The usual settings with a bound, a lifetime and an idle limit.
pub(crate) fn settings_with(bound_seconds: u64, hours: u64, idle_minutes: u64) -> BTreeMap<String, String> {
    let mut table = settings();
    table.insert("REVOCATION_BOUND_SECONDS".to_owned(), bound_seconds.to_string());
    table.insert("SESSION_HOURS".to_owned(), hours.to_string());
    table.insert("SESSION_IDLE_MINUTES".to_owned(), idle_minutes.to_string());
    let provider = |id: &str, retry: bool| {
        json!({
            "id": id, "name": id, "issuer": format!("https://{id}.example"), "client_id": "client",
            "retry_lost_refresh": retry,
        })
    };
    let service = |id: &str| json!({"name": id, "provider": id, "url": format!("https://api.{id}.example"), "allow": ["GET /me"]});
    let mail = |id: &str| {
        json!({
            "name": format!("{id}-mail"), "provider": id, "url": format!("https://mail.{id}.example"),
            "allow": ["GET /me"], "token": {"scopes": [SCOPE]},
        })
    };
    for (key, value) in [
        ("OIDC_PROVIDERS", json!([provider("strict", false), provider("patient", true), provider("hasty", true)])),
        (
            "OIDC_CLIENT_SECRETS",
            json!({
                "strict": "Wq7Rm2Zt9Kv4Xd1Bn8Ls3Yh6Gf5Jc0Pt",
                "patient": "Jc0PtWq7Rm2Zt9Kv4Xd1Bn8Ls3Yh6Gf5",
                "hasty": "Yh6Gf5Jc0PtWq7Rm2Zt9Kv4Xd1Bn8Ls3",
            }),
        ),
        (
            "SERVICES",
            json!([
                service("strict"),
                service("patient"),
                service("hasty"),
                mail("strict"),
                mail("patient"),
                mail("hasty"),
                mail("entra"),
            ]),
        ),
    ] {
        table.insert(key.to_owned(), value.to_string());
    }
    table
}

impl Workload {
    fn new(world: Rc<World>) -> Self {
        let draw = |range| world.scheduler.draw(range);
        let pick = |of: &[u64]| of[usize::try_from(draw(0..of.len() as u64)).unwrap()];
        let settings = settings_with(pick(&[0, 10, 10, 60, 300]), pick(&[1, 12, 12]), pick(&[15, 30, 240, 240]));
        world.authority.token_life_ms.set(60_000 * pick(&[6, 15, 15, 60]));
        if world.scheduler.chance(500) {
            world.coordinator.coordination.set(Coordination::Store);
            world.count("seeds with a store that compares and sets");
        }
        let isolates = draw(3..5);
        for _ in 0..isolates {
            let skew_ms = if world.scheduler.chance(500) { 0 } else { draw(0..600_001).cast_signed() - 300_000 };
            world.add_isolate(skew_ms, settings.clone());
        }
        if !world.scheduler.chance(100) {
            world.faults.set(Faults::draw(&world.scheduler));
        } else {
            world.count("seeds without trouble");
        }
        let rings = vec![0; world.isolates.borrow().len()];
        Self { world, browsers: Vec::new(), rings, sign_ins: 0 }
    }

    fn draw(&self, below: u64) -> u64 {
        self.world.scheduler.draw(0..below)
    }

    fn pass(&mut self) {
        for _ in 0..self.world.scheduler.draw(1..4) {
            self.sign_in();
        }
        self.world.pass(60_000);
        for _ in 0..self.world.scheduler.draw(3..8) {
            self.act();
            if self.world.scheduler.chance(500) {
                self.come_back();
            }
            let pause_ms = match self.draw(4) {
                0 => self.draw(3_000),
                1 => self.draw(120_000),
                2 => self.world.authority.token_life_ms.get() - self.draw(60_000),
                _ => self.draw(self.world.authority.token_life_ms.get() + 60_000),
            };
            self.world.pass(pause_ms);
        }
    }

    /// Mostly one whose session lives: what the dead are told is soon known.
    fn browser(&self) -> Rc<Browser> {
        let lives = |browser: &&Rc<Browser>| self.world.checker.dead_since_ms(&self.world, browser.number).is_none();
        let mut of: Vec<_> = self.browsers.iter().filter(lives).collect();
        if of.is_empty() || self.world.scheduler.chance(100) {
            of = self.browsers.iter().collect();
        }
        Rc::clone(of[usize::try_from(self.draw(of.len() as u64)).unwrap()])
    }

    fn sign_in(&mut self) {
        self.sign_ins += 1;
        let profile = &PROVIDER_PROFILES[usize::try_from(self.draw(PROVIDER_PROFILES.len() as u64)).unwrap()];
        let (number, user) = (self.sign_ins, 1 + self.draw(3));
        let browser = match self.browsers.last() {
            Some(before) if self.world.scheduler.chance(200) => before.again(number, user, profile),
            _ => Browser::new(number, user, profile),
        };
        self.world.sign_in(self.world.draw_isolate(), &browser);
        self.browsers.push(browser);
    }

    /// Some of what users, providers and operators do, close together.
    fn act(&mut self) {
        if self.browsers.iter().all(|browser| self.world.checker.dead_since_ms(&self.world, browser.number).is_some()) {
            self.sign_in();
            self.world.pass(5_000);
        }
        let busy = self.browser();
        for _ in 0..self.world.scheduler.draw(2..8) {
            let browser = if self.world.scheduler.chance(700) { Rc::clone(&busy) } else { self.browser() };
            let isolate = self.world.draw_isolate();
            match self.draw(100) {
                0..52 => self.world.call(isolate, &browser),
                52..66 => self.world.call_mail(isolate, &browser),
                66 => self.world.list(isolate, &browser),
                67 => self.world.end_others(isolate, &browser),
                68 => self.world.end_one(isolate, &browser),
                69..76 => self.world.connect(isolate, &browser),
                76..78 => self.world.disconnect(isolate, &browser),
                78..84 => self.world.call_connected(isolate, &browser),
                84..88 => self.world.look(isolate, &browser),
                88..90 => self.world.sign_out(isolate, &browser),
                90 => self.world.end_all(isolate, &browser),
                91..94 => self.sign_in(),
                94 => self.take_back(&browser),
                95 => self.world.kill_isolate(isolate),
                96..98 => self.rotate(),
                _ => self.world.pass(self.draw(3_000)),
            }
            // Most of it at once; some a little later, in the middle of what the others do.
            if self.world.scheduler.chance(300) {
                self.world.pass(self.draw(60));
            }
        }
    }

    /// The user takes back what their account of today was granted.
    fn take_back(&self, browser: &Browser) {
        let grant = self.world.checker.grant(browser.number, browser.profile.provider);
        self.world.take_back(grant.unwrap_or(browser.number));
    }

    /// Somebody comes back when a lease that was left lying is over.
    fn come_back(&self) {
        for _ in 0..2 {
            self.world.pass(self.world.scheduler.draw(20_000..50_000));
            let browser = self.browser();
            self.world.call(self.world.draw_isolate(), &browser);
        }
    }

    /// The next isolate gets the next ring.
    fn rotate(&mut self) {
        let Some(behind) = self.rings.iter().min().copied() else { return };
        let (Some(isolate), Some(ring)) = (self.rings.iter().position(|at| *at == behind), RINGS.get(behind + 1))
        else {
            return;
        };
        self.world.count("key rings changed");
        self.rings[isolate] = behind + 1;
        self.world.isolate(isolate).reconfigure("SESSION_KEYS", key_ring_text(ring));
    }

    /// The faults clears: whoever still has a session and a provider that honours its token is served again, soon.
    fn clear_up(&self) {
        self.world.faults.set(Faults::default());
        self.world.settle();
        for browser in self.browsers.iter().filter(|browser| browser.has_session()) {
            if !self.world.lives_well(browser.number) {
                continue;
            }
            let mut last = Seen::Unavailable;
            for _ in 0..12 {
                self.world.call(self.world.draw_isolate(), browser);
                self.world.pass(10_000);
                last = browser.seen.borrow().last().copied().unwrap_or(Seen::Unavailable);
                if last != Seen::Unavailable {
                    break;
                }
            }
            let lives = self.world.lives_well(browser.number);
            if lives && !matches!(last, Seen::Good | Seen::SignInNeeded) {
                self.world.checker.report_violation(&self.world, || {
                    format!("session {} lives, the faults is fair, and it still sees {last:?}", browser.number)
                });
            }
            self.world.count(if last == Seen::Good { "well at the end" } else { "to be connected again at the end" });
            self.world.look(self.world.draw_isolate(), browser);
            self.world.pass(10_000);
            self.world.end_connected(browser);
        }
        self.world.settle();
    }
}
