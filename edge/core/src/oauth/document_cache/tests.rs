use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use futures_util::future::LocalBoxFuture;
use serde_json::{Value, json};

use super::super::{
    cache::{DiscoveryCache, endpoints},
    discovery::Endpoints,
};
use crate::{
    config::Config,
    runtime::unavailable::Unavailable,
    testing::{
        openid,
        platform::InMemoryPlatform,
        run::{run, run_all},
    },
};

const HOUR_MS: u64 = 60 * 60 * 1000;

/// A provider with a settable answer; `None` is an outage.
struct Corp {
    platform: InMemoryPlatform,
    config: Config,
    answer: Rc<RefCell<Option<Value>>>,
}

impl Corp {
    fn new() -> Self {
        let answer = Rc::new(RefCell::new(Some(openid::metadata(json!({})))));
        let answered = Rc::clone(&answer);
        let platform = InMemoryPlatform::new(move |_| {
            answered.borrow().as_ref().map(|document| (200, vec![], document.to_string()))
        });
        Self { platform, config: openid::config(json!({})), answer }
    }

    fn isolate(&self) -> DiscoveryCache {
        DiscoveryCache::new(Rc::clone(&self.config.sessions.keys))
    }

    fn ask(&self, isolate: &DiscoveryCache) -> Result<Endpoints, Unavailable> {
        run(endpoints(&self.platform, isolate, self.config.provider("corp").unwrap()))
    }

    /// 20 requests of each isolate at once.
    fn flood(&self, isolates: &[&DiscoveryCache]) -> Vec<Result<Endpoints, Unavailable>> {
        let provider = self.config.provider("corp").unwrap();
        let all = (0..20)
            .flat_map(|_| isolates.iter())
            .map(|isolate| -> LocalBoxFuture<'_, _> { Box::pin(endpoints(&self.platform, isolate, provider)) });
        run_all(&self.platform, all.collect())
    }

    fn fetches(&self) -> usize {
        self.platform.sent.borrow().len()
    }

    fn pass(&self, ms: u64) {
        self.platform.now_ms.set(self.platform.now_ms.get() + ms);
    }
}

#[test]
fn of_concurrent_requests_one_fetches_the_document() {
    let corp = Corp::new();
    corp.platform.network_ms.set(300);
    assert!(corp.flood(&[&corp.isolate()]).iter().all(Result::is_ok));
    assert_eq!(corp.fetches(), 1);
}

#[test]
fn cancelled_fetch_does_not_block_waiters() {
    let corp = Corp::new();
    corp.platform.network_ms.set(300);
    let isolate = corp.isolate();
    let mut cut_off: LocalBoxFuture<'_, _> =
        Box::pin(endpoints(&corp.platform, &isolate, corp.config.provider("corp").unwrap()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(cut_off.as_mut().poll(&mut context).is_pending());
    drop(cut_off);
    let began_ms = corp.platform.now_ms.get();
    assert!(corp.flood(&[&isolate]).iter().all(Result::is_ok));
    assert_eq!(corp.fetches(), 2);
    assert!(corp.platform.now_ms.get() - began_ms < 1000, "waiters must not wait for a cancelled fetch");
}

#[test]
fn isolates_share_a_document_whose_age_counts_from_its_fetch() {
    let corp = Corp::new();
    assert!(corp.ask(&corp.isolate()).is_ok());
    corp.pass(HOUR_MS - 1);
    let other = corp.isolate();
    assert!(corp.ask(&other).is_ok());
    assert_eq!(corp.fetches(), 1);
    corp.pass(1);
    assert!(corp.ask(&other).is_ok() && corp.ask(&corp.isolate()).is_ok());
    assert_eq!(corp.fetches(), 2);
}

#[test]
fn store_outage_causes_a_fetch_and_no_failure() {
    let corp = Corp::new();
    corp.platform.kv_down.set(true);
    let isolate = corp.isolate();
    assert!(corp.ask(&isolate).is_ok() && corp.ask(&isolate).is_ok() && corp.ask(&corp.isolate()).is_ok());
    assert_eq!(corp.fetches(), 2);
}

#[test]
fn s72_forged_or_moved_copy_is_not_used() {
    let corp = Corp::new();
    assert!(corp.ask(&corp.isolate()).is_ok());
    let (key, sealed) = corp.platform.kv.borrow().iter().next().map(|(k, v)| (k.clone(), v.clone())).unwrap();
    assert!(key.starts_with("provider:") && !String::from_utf8_lossy(&sealed).contains("corp"));
    // A forgery by an attacker who can write to the store but has no key.
    corp.platform.kv.borrow_mut().insert(key.clone(), openid::metadata(json!({})).to_string().into_bytes());
    assert!(corp.ask(&corp.isolate()).is_ok());
    assert_eq!(corp.fetches(), 2);
    // The sealed copy of another provider.
    let elsewhere = Corp { config: openid::config(json!({"issuer": "https://id.other.example"})), ..Corp::new() };
    let metadata = openid::metadata(json!({"issuer": "https://id.other.example"}));
    *elsewhere.answer.borrow_mut() = Some(metadata);
    assert!(elsewhere.ask(&elsewhere.isolate()).is_ok());
    let its_key = elsewhere.platform.kv.borrow().keys().next().unwrap().clone();
    assert_ne!(its_key, key, "the key depends on the URL");
    elsewhere.platform.kv.borrow_mut().insert(its_key, sealed);
    assert!(elsewhere.ask(&elsewhere.isolate()).is_ok());
    assert_eq!(elsewhere.fetches(), 2);
}

#[test]
fn copy_that_contradicts_a_changed_configuration_is_not_used() {
    let mut corp = Corp::new();
    *corp.answer.borrow_mut() = Some(openid::metadata(json!({"dpop_signing_alg_values_supported": ["RS256"]})));
    assert!(corp.ask(&corp.isolate()).is_ok());
    corp.config = openid::config(json!({"dpop": true}));
    assert!(corp.ask(&corp.isolate()).is_err());
    assert_eq!(corp.fetches(), 2, "neither the copy nor the fetched document is accepted");
}

#[test]
fn copy_from_the_future_is_not_used() {
    for (ahead_ms, fetches) in [(2 * 60 * 1000, 1), (10 * 60 * 1000, 2)] {
        let corp = Corp::new();
        corp.pass(ahead_ms);
        assert!(corp.ask(&corp.isolate()).is_ok());
        corp.platform.now_ms.set(corp.platform.now_ms.get() - ahead_ms);
        assert!(corp.ask(&corp.isolate()).is_ok());
        assert_eq!(corp.fetches(), fetches, "{ahead_ms} ms");
    }
}

#[test]
fn metadata_stays_usable_for_a_day_of_outage() {
    let corp = Corp::new();
    let isolate = corp.isolate();
    assert!(corp.ask(&isolate).is_ok());
    *corp.answer.borrow_mut() = None;
    corp.pass(2 * HOUR_MS);
    for fetches in 2..5 {
        for _ in 0..10 {
            assert!(corp.ask(&isolate).is_ok());
        }
        assert_eq!(corp.fetches(), fetches, "not every request may ask a provider that is down");
        corp.pass(30_000);
    }
    assert!(corp.ask(&corp.isolate()).is_ok(), "a new isolate has the copy");
    corp.pass(24 * HOUR_MS);
    assert!(corp.ask(&isolate).is_err());
}

#[test]
fn only_the_fetching_request_waits_for_a_slow_provider_while_a_document_is_usable() {
    let corp = Corp::new();
    let isolate = corp.isolate();
    assert!(corp.ask(&isolate).is_ok());
    corp.pass(2 * HOUR_MS);
    corp.platform.network_ms.set(9_000);
    let slow = Cell::new(0);
    let provider = corp.config.provider("corp").unwrap();
    let ask = || -> LocalBoxFuture<'_, ()> {
        Box::pin(async {
            let began_ms = corp.platform.now_ms.get();
            endpoints(&corp.platform, &isolate, provider).await.unwrap();
            slow.set(slow.get() + u32::from(corp.platform.now_ms.get() - began_ms > 100));
        })
    };
    run_all(&corp.platform, (0..20).map(|_| ask()).collect());
    assert_eq!((slow.get(), corp.fetches()), (1, 2));
}

#[test]
fn outage_without_a_document_causes_one_fetch_in_five_seconds_until_one_succeeds() {
    let corp = Corp::new();
    *corp.answer.borrow_mut() = None;
    corp.platform.network_ms.set(50);
    let isolate = corp.isolate();
    for fetches in 1..4 {
        assert!(corp.flood(&[&isolate]).iter().all(Result::is_err));
        assert_eq!(corp.fetches(), fetches);
        corp.pass(5_000);
    }
    *corp.answer.borrow_mut() = Some(openid::metadata(json!({})));
    assert!(corp.flood(&[&isolate]).iter().all(Result::is_ok));
    assert_eq!(corp.fetches(), 4);
}

#[test]
fn s53_contradicting_metadata_is_rejected_at_once_and_not_fetched_by_every_request() {
    let corp = Corp::new();
    let isolate = corp.isolate();
    assert!(corp.ask(&isolate).is_ok());
    *corp.answer.borrow_mut() = Some(openid::metadata(json!({"issuer": "https://evil.example"})));
    corp.pass(HOUR_MS);
    for _ in 0..10 {
        assert!(corp.ask(&isolate).is_err(), "the older document must not be used either");
    }
    assert_eq!(corp.fetches(), 2);
    assert!(corp.platform.kv.borrow().is_empty(), "the shared copy must be deleted");
    *corp.answer.borrow_mut() = Some(openid::metadata(json!({})));
    corp.pass(5_000);
    assert!(corp.ask(&isolate).is_ok());
}
