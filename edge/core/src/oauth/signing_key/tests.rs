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

/// A provider whose key set contains numbered keys.
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

    /// An isolate that has fetched the current keys.
    fn warm_isolate(&self) -> DiscoveryCache {
        let isolate = self.isolate();
        assert_eq!(self.check(&isolate, self.signs_with.borrow()[0]), Ok(true));
        isolate
    }

    /// Whether an isolate accepts a token signed by this key.
    async fn accepts(&self, isolate: &DiscoveryCache, number: u8) -> Result<bool, Unavailable> {
        let url = Url::parse(JWKS).unwrap();
        let check = |keys: &[SigningKey]| match keys.iter().any(|key| key.kid == Some(number.to_string())) {
            true => Ok(()),
            false => Err(IdTokenError::Signature(SignatureError::UnknownKey)),
        };
        let provider = self.config.provider("corp").unwrap();
        Ok(with_keys(&self.platform, isolate, provider, &url, check).await?.is_ok())
    }

    fn check(&self, isolate: &DiscoveryCache, number: u8) -> Result<bool, Unavailable> {
        run(self.accepts(isolate, number))
    }

    /// Checks a token of each key at each isolate, all at once.
    fn flood(&self, isolates: &[&DiscoveryCache], numbers: &[u8]) -> Vec<Result<bool, Unavailable>> {
        let both = numbers.iter().flat_map(|number| isolates.iter().map(move |isolate| (*isolate, *number)));
        let all = both.map(|(isolate, number)| -> LocalBoxFuture<'_, _> { Box::pin(self.accepts(isolate, number)) });
        run_all(&self.platform, all.collect())
    }

    fn fetches(&self) -> usize {
        self.platform.sent.borrow().len()
    }

    fn advance(&self, ms: u64) {
        self.platform.now_ms.set(self.platform.now_ms.get() + ms);
    }
}

#[test]
fn s42_m43_flood_of_unknown_key_ids_causes_one_fetch_a_minute_across_all_isolates() {
    let corp = Corp::new();
    let isolates: Vec<_> = (0..5).map(|_| corp.warm_isolate()).collect();
    let isolates: Vec<_> = isolates.iter().collect();
    corp.platform.network_ms.set(700);
    assert_eq!(corp.fetches(), 1, "one fetch for all isolates");
    for minute in 1..4 {
        let forged: Vec<u8> = (100..200).collect();
        assert!(corp.flood(&isolates, &forged).iter().all(|accepted| *accepted == Ok(false)));
        assert!(corp.flood(&isolates, &forged).iter().all(|accepted| *accepted == Ok(false)));
        assert_eq!(corp.fetches(), 1 + minute);
        corp.advance(60_000);
    }
}

#[test]
fn s42_tokens_of_known_keys_do_not_wait_for_a_refresh() {
    let corp = Corp::new();
    let isolate = corp.warm_isolate();
    corp.platform.network_ms.set(5_000);
    let (corp, isolate) = (&corp, &isolate);
    let one = |number| -> LocalBoxFuture<'_, (Result<bool, Unavailable>, u64)> {
        Box::pin(async move {
            let started_at_ms = corp.platform.now_ms.get();
            (corp.accepts(isolate, number).await, corp.platform.now_ms.get() - started_at_ms)
        })
    };
    // Each forged token starts to wait for newer keys before the valid one arrives.
    let all = run_all(&corp.platform, (100..150).flat_map(|number| [one(number), one(1)]).collect());
    for [forged, valid] in all.as_chunks::<2>().0 {
        assert_eq!((forged.0.clone(), forged.1 >= 5_000, valid), (Ok(false), true, &(Ok(true), 0)));
    }
    corp.platform.coordinator_down.set(true);
    corp.advance(60_000);
    assert!(corp.check(isolate, 100).is_err(), "without the coordinator, the token is neither accepted nor rejected");
    assert_eq!(corp.check(isolate, 1), Ok(true));
}

#[test]
fn s52_after_a_rotation_every_isolate_accepts_the_new_key_after_one_fetch() {
    let corp = Corp::new();
    let isolates: Vec<_> = (0..5).map(|_| corp.warm_isolate()).collect();
    *corp.signs_with.borrow_mut() = vec![2];
    // The store returns stale values, and the provider is slow.
    *corp.platform.kv_stale.borrow_mut() = Some(corp.platform.kv.borrow().clone());
    corp.platform.network_ms.set(3_000);
    let isolates: Vec<_> = isolates.iter().collect();
    assert!(corp.flood(&isolates, &[2, 2, 2]).iter().all(|accepted| *accepted == Ok(true)));
    assert_eq!(corp.fetches(), 2);
    corp.advance(20_000);
    assert_eq!(corp.check(&corp.isolate(), 2), Ok(true), "a new isolate starts with the stale shared copy");
    assert_eq!(corp.fetches(), 2);
    assert_eq!(corp.check(isolates[0], 1), Ok(false), "the old key is not accepted once the new one is known");
}

#[test]
fn s52_rotation_is_noticed_while_the_store_is_down() {
    let corp = Corp::new();
    let isolates = [corp.warm_isolate(), corp.warm_isolate()];
    corp.platform.kv_down.set(true);
    *corp.signs_with.borrow_mut() = vec![2];
    for isolate in &isolates {
        assert_eq!(corp.check(isolate, 2), Ok(true));
    }
    assert_eq!(corp.fetches(), 2);
}

#[test]
fn key_replaced_under_the_same_id_is_found() {
    let corp = Corp::new();
    let (isolate, url) = (corp.warm_isolate(), Url::parse(JWKS).unwrap());
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
fn cancelled_refresh_blocks_others_for_one_lease_at_most() {
    let corp = Corp::new();
    let isolates = [corp.warm_isolate(), corp.warm_isolate()];
    *corp.signs_with.borrow_mut() = vec![2];
    corp.platform.network_ms.set(300);
    let mut cancelled: LocalBoxFuture<'_, _> = Box::pin(corp.accepts(&isolates[0], 2));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(cancelled.as_mut().poll(&mut context).is_pending());
    drop(cancelled);
    assert_eq!(corp.fetches(), 2, "the fetch had started");
    let started_at_ms = corp.platform.now_ms.get();
    assert_eq!(corp.flood(&[&isolates[0], &isolates[1]], &[2]), [Ok(true), Ok(true)]);
    assert!(corp.platform.now_ms.get() - started_at_ms < LEASE_MS + 1_000);
    assert_eq!(corp.fetches(), 3);
}

#[test]
fn forged_tokens_do_not_amplify_an_outage_and_the_new_key_is_accepted_after_it() {
    let corp = Corp::new();
    let isolates = [corp.warm_isolate(), corp.warm_isolate()];
    let isolates: Vec<_> = isolates.iter().collect();
    *corp.signs_with.borrow_mut() = vec![2];
    corp.is_down.set(true);
    for attempts in 1..4 {
        let answers = corp.flood(&isolates, &[2, 100, 101]);
        assert!(answers.iter().all(Result::is_err), "unavailable, not unknown: {answers:?}");
        assert_eq!(corp.flood(&isolates, &[1]), [Ok(true), Ok(true)]);
        assert_eq!(corp.fetches(), 1 + attempts);
        corp.advance(31_000);
    }
    corp.is_down.set(false);
    assert_eq!(corp.flood(&isolates, &[2]), [Ok(true), Ok(true)]);
}

#[test]
fn s52_withdrawn_key_is_accepted_for_an_hour_at_most() {
    let corp = Corp::new();
    let isolate = corp.warm_isolate();
    corp.signs_with.borrow_mut()[0] = 2;
    corp.advance(KeySet::FRESH_MS - 1);
    assert_eq!(corp.check(&isolate, 1), Ok(true));
    // The age of the shared copy also counts from its fetch.
    assert_eq!(corp.check(&corp.isolate(), 1), Ok(true));
    corp.is_down.set(true);
    corp.advance(KeySet::USABLE_MS - KeySet::FRESH_MS);
    assert_eq!(corp.check(&isolate, 1), Ok(true), "while the provider is down");
    corp.advance(1);
    assert!(corp.check(&isolate, 1).is_err() && corp.check(&corp.isolate(), 1).is_err());
    corp.is_down.set(false);
    corp.advance(RETRY_WITHOUT_DOCUMENT_MS);
    assert_eq!(corp.check(&isolate, 1), Ok(false));
}

#[test]
fn s157_repeated_and_unreadable_entries_crowd_out_no_key() {
    let junk = (0..200).map(|n| json!({"kid": "x".repeat(MAX_KEY_BYTES), "n": n}));
    let repeated = (0..200).map(|n| openid::key(1, json!({"x5t": n.to_string()})));
    let keys: Vec<_> = junk.chain(repeated).chain([openid::key(2, json!({}))]).collect();
    let set: KeySet = serde_json::from_value(json!({"keys": keys})).unwrap();
    assert_eq!(set.keys.len(), 2);
    let many: Vec<_> = (0..200).map(|n| json!({"kty": "unheard-of", "kid": n.to_string()})).collect();
    let set: KeySet = serde_json::from_value(json!({"keys": many})).unwrap();
    assert_eq!(set.keys.len(), MAX_KEYS);
}

#[test]
fn shared_copy_of_keys_is_small_and_sealed() {
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
