use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use futures_util::future::LocalBoxFuture;
use serde_json::json;

use super::{
    super::{
        cache::{DiscoveryCache, with_keys},
        id_token::IdTokenError,
        jws::SignatureError,
    },
    *,
};
use crate::{
    config::Config,
    testing::{
        openid,
        platform::InMemoryPlatform,
        run::{run, run_all},
    },
};

const JWKS: &str = "https://id.corp.example/jwks";

/// A provider that signs with some keys, by number, and a token of key `n` that is checked at isolates.
struct Corp {
    platform: InMemoryPlatform,
    config: Config,
    signs_with: Rc<RefCell<Vec<u8>>>,
    is_down: Rc<Cell<bool>>,
}

impl Corp {
    fn new() -> Self {
        let (signs_with, is_down) = (Rc::new(RefCell::new(vec![1])), Rc::new(Cell::new(false)));
        let (keys, down) = (Rc::clone(&signs_with), Rc::clone(&is_down));
        let platform = InMemoryPlatform::new(move |_| {
            let keys: Vec<_> = keys.borrow().iter().map(|n| openid::key(*n, json!({"kid": n.to_string()}))).collect();
            (!down.get()).then(|| (200, vec![], json!({"keys": keys}).to_string()))
        });
        Self { platform, config: openid::config(json!({})), signs_with, is_down }
    }

    fn isolate(&self) -> DiscoveryCache {
        DiscoveryCache::new(Rc::clone(&self.config.sessions.keys))
    }

    /// An isolate that has the keys of now.
    fn warm(&self) -> DiscoveryCache {
        let isolate = self.isolate();
        assert_eq!(self.check(&isolate, self.signs_with.borrow()[0]), Ok(true));
        isolate
    }

    /// Whether a token of this key is believed.
    async fn believes(&self, isolate: &DiscoveryCache, number: u8) -> Result<bool, Unavailable> {
        let url = Url::parse(JWKS).unwrap();
        let check = |keys: &[SigningKey]| match keys.iter().any(|key| key.kid == Some(number.to_string())) {
            true => Ok(()),
            false => Err(IdTokenError::Signature(SignatureError::UnknownKey)),
        };
        let provider = self.config.provider("corp").unwrap();
        Ok(with_keys(&self.platform, isolate, provider, &url, check).await?.is_ok())
    }

    fn check(&self, isolate: &DiscoveryCache, number: u8) -> Result<bool, Unavailable> {
        run(self.believes(isolate, number))
    }

    /// Tokens of these keys, each at each of the isolates, all at once.
    fn flood(&self, isolates: &[&DiscoveryCache], numbers: &[u8]) -> Vec<Result<bool, Unavailable>> {
        let both = numbers.iter().flat_map(|number| isolates.iter().map(move |isolate| (*isolate, *number)));
        let all = both.map(|(isolate, number)| -> LocalBoxFuture<'_, _> { Box::pin(self.believes(isolate, number)) });
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
fn s42_m43_a_flood_of_unknown_key_ids_costs_one_fetch_a_minute_in_all_isolates_together() {
    let corp = Corp::new();
    let isolates: Vec<_> = (0..5).map(|_| corp.warm()).collect();
    let isolates: Vec<_> = isolates.iter().collect();
    corp.platform.network_ms.set(700);
    assert_eq!(corp.fetches(), 1, "one for all of them");
    for minute in 1..4 {
        let forged: Vec<u8> = (100..200).collect();
        assert!(corp.flood(&isolates, &forged).iter().all(|believed| *believed == Ok(false)));
        assert!(corp.flood(&isolates, &forged).iter().all(|believed| *believed == Ok(false)));
        assert_eq!(corp.fetches(), 1 + minute);
        corp.pass(60_000);
    }
}

#[test]
fn s42_good_keys_are_not_locked_out_and_wait_for_nothing() {
    let corp = Corp::new();
    let isolate = corp.warm();
    corp.platform.network_ms.set(5_000);
    let (corp, isolate) = (&corp, &isolate);
    let one = |number| -> LocalBoxFuture<'_, (Result<bool, Unavailable>, u64)> {
        Box::pin(async move {
            let began_ms = corp.platform.now_ms.get();
            (corp.believes(isolate, number).await, corp.platform.now_ms.get() - began_ms)
        })
    };
    // Each forged one begins to wait for newer keys before the good one after it comes.
    let all = run_all(&corp.platform, (100..150).flat_map(|number| [one(number), one(1)]).collect());
    for [forged, good] in all.as_chunks::<2>().0 {
        assert_eq!((forged.0.clone(), forged.1 >= 5_000, good), (Ok(false), true, &(Ok(true), 0)));
    }
    corp.platform.coordinator_down.set(true);
    corp.pass(60_000);
    assert!(corp.check(isolate, 100).is_err(), "nobody knows whether it would be good");
    assert_eq!(corp.check(isolate, 1), Ok(true));
}

#[test]
fn s52_after_a_rotation_every_isolate_believes_the_new_key_for_one_fetch() {
    let corp = Corp::new();
    let isolates: Vec<_> = (0..5).map(|_| corp.warm()).collect();
    *corp.signs_with.borrow_mut() = vec![2];
    // The store shows nobody what is new, and the provider takes its time.
    *corp.platform.kv_stale.borrow_mut() = Some(corp.platform.kv.borrow().clone());
    corp.platform.network_ms.set(3_000);
    let isolates: Vec<_> = isolates.iter().collect();
    assert!(corp.flood(&isolates, &[2, 2, 2]).iter().all(|believed| *believed == Ok(true)));
    assert_eq!(corp.fetches(), 2);
    corp.pass(20_000);
    assert_eq!(corp.check(&corp.isolate(), 2), Ok(true), "an isolate that begins with the old copy");
    assert_eq!(corp.fetches(), 2);
    assert_eq!(corp.check(isolates[0], 1), Ok(false), "the old key is not believed where the new one is known");
}

#[test]
fn s52_a_store_that_is_down_hides_no_rotation() {
    let corp = Corp::new();
    let isolates = [corp.warm(), corp.warm()];
    corp.platform.kv_down.set(true);
    *corp.signs_with.borrow_mut() = vec![2];
    for isolate in &isolates {
        assert_eq!(corp.check(isolate, 2), Ok(true));
    }
    assert_eq!(corp.fetches(), 2);
}

#[test]
fn a_key_in_the_place_of_another_is_found_as_well() {
    let corp = Corp::new();
    let (isolate, url) = (corp.warm(), Url::parse(JWKS).unwrap());
    *corp.signs_with.borrow_mut() = vec![2];
    let check = |keys: &[SigningKey]| match keys[0].kid.as_deref() {
        Some("2") => Ok(()),
        _ => Err(IdTokenError::Signature(SignatureError::Wrong)),
    };
    let provider = corp.config.provider("corp").unwrap();
    assert_eq!(run(with_keys(&corp.platform, &isolate, provider, &url, check)), Ok(Ok(())));
    let forged = |_: &[SigningKey]| Err::<(), _>(IdTokenError::Signature(SignatureError::Wrong));
    for _ in 0..100 {
        assert!(run(with_keys(&corp.platform, &isolate, provider, &url, forged)).unwrap().is_err());
    }
    assert_eq!(corp.fetches(), 2);
}

#[test]
fn who_was_cut_off_while_fetching_holds_up_nobody_for_longer_than_a_fetch_takes() {
    let corp = Corp::new();
    let isolates = [corp.warm(), corp.warm()];
    *corp.signs_with.borrow_mut() = vec![2];
    corp.platform.network_ms.set(300);
    let mut cut_off: LocalBoxFuture<'_, _> = Box::pin(corp.believes(&isolates[0], 2));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(cut_off.as_mut().poll(&mut context).is_pending());
    drop(cut_off);
    assert_eq!(corp.fetches(), 2, "it was under way");
    let began_ms = corp.platform.now_ms.get();
    assert_eq!(corp.flood(&[&isolates[0], &isolates[1]], &[2]), [Ok(true), Ok(true)]);
    assert!(corp.platform.now_ms.get() - began_ms < LEASE_MS + 1_000);
    assert_eq!(corp.fetches(), 3);
}

#[test]
fn an_outage_is_not_amplified_by_forged_tokens_and_refuses_no_good_one_for_good() {
    let corp = Corp::new();
    let isolates = [corp.warm(), corp.warm()];
    let isolates: Vec<_> = isolates.iter().collect();
    *corp.signs_with.borrow_mut() = vec![2];
    corp.is_down.set(true);
    for attempts in 1..4 {
        let answers = corp.flood(&isolates, &[2, 100, 101]);
        assert!(answers.iter().all(Result::is_err), "unavailable, not unknown: {answers:?}");
        assert_eq!(corp.flood(&isolates, &[1]), [Ok(true), Ok(true)]);
        assert_eq!(corp.fetches(), 1 + attempts);
        corp.pass(31_000);
    }
    corp.is_down.set(false);
    assert_eq!(corp.flood(&isolates, &[2]), [Ok(true), Ok(true)]);
}

#[test]
fn s52_a_key_that_was_withdrawn_is_believed_for_no_more_than_an_hour() {
    let corp = Corp::new();
    let isolate = corp.warm();
    corp.signs_with.borrow_mut()[0] = 2;
    corp.pass(KeySet::FRESH_MS - 1);
    assert_eq!(corp.check(&isolate, 1), Ok(true));
    // From the copy, too, its age counts from when it was fetched.
    assert_eq!(corp.check(&corp.isolate(), 1), Ok(true));
    corp.is_down.set(true);
    corp.pass(KeySet::USABLE_MS - KeySet::FRESH_MS);
    assert_eq!(corp.check(&isolate, 1), Ok(true), "while the provider cannot be asked");
    corp.pass(1);
    assert!(corp.check(&isolate, 1).is_err() && corp.check(&corp.isolate(), 1).is_err());
    corp.is_down.set(false);
    corp.pass(RETRY_SOON_MS);
    assert_eq!(corp.check(&isolate, 1), Ok(false));
}

#[test]
fn what_is_shared_of_keys_is_small_and_sealed() {
    let platform = InMemoryPlatform::new(|_| {
        let key = openid::key(1, json!({"x5c": ["A".repeat(20_000)], "x5t": "y"}));
        let huge = openid::key(1, json!({"kid": "h".repeat(5_000)}));
        Some((200, vec![], json!({"keys": [key, huge, 1, null, {"kty": "none"}]}).to_string()))
    });
    let config = openid::config(json!({}));
    let isolate = DiscoveryCache::new(Rc::clone(&config.sessions.keys));
    let (provider, url) = (config.provider("corp").unwrap(), Url::parse(JWKS).unwrap());
    let count = |keys: &[SigningKey]| Ok::<_, IdTokenError>(keys.len());
    assert_eq!(run(with_keys(&platform, &isolate, provider, &url, count)), Ok(Ok(1)));
    let kv = platform.kv.borrow();
    let sealed = kv.values().next().unwrap();
    assert!(sealed.len() < 1_000 && !String::from_utf8_lossy(sealed).contains("kty"));
}
