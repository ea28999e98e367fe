use super::*;
use crate::simulated::settings;

fn keys_of(change: &[(&str, Option<&str>)]) -> Vec<&'static str> {
    let mut table = settings();
    for (key, value) in change {
        match value {
            Some(value) => table.insert((*key).to_owned(), (*value).to_owned()),
            None => table.remove(*key),
        };
    }
    match Config::load(&|key: &str| table.get(key).cloned(), Coordination::Redis) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.into_iter().map(|problem| problem.key).collect(),
    }
}

#[test]
fn a_complete_configuration_loads() {
    assert_eq!(keys_of(&[]), Vec::<&str>::new());
}

#[test]
fn every_missing_or_malformed_key_is_named() {
    for (key, value) in [
        ("PUBLIC_ORIGIN", None),
        ("PUBLIC_ORIGIN", Some("https://edge.example/")),
        ("PUBLIC_ORIGIN", Some("http://edge.example")),
        ("HOST_ORIGINS", Some("https://host.example, *")),
        ("SESSION_KEYS", None),
        ("SESSION_KEYS", Some("a:AAAA")),
        ("BRIDGE_URL", Some("http://bridge.example")),
        ("BRIDGE_KEYS", Some("")),
        ("REDIS_URL", None),
        ("REDIS_URL", Some("localhost:6379")),
        ("REDIS_URL", Some("redis://redis.example")),
        ("REDIS_ADDRESS", None),
        ("REDIS_ADDRESS", Some("redis://redis.example:6380")),
        ("GITHUB_API_URL", Some("https://ghe.example/api/v3")),
        ("GRAPH_URL", Some("")),
        ("CHANNELS", Some("chat,")),
        ("ENTRA_CLIENT_SECRET", None),
        ("ENTRA_TENANT", Some("common")),
        ("GITHUB_CLIENT_SECRET", None),
        ("GITHUB_API_URL", Some("ftp://api.github.com")),
        ("GITHUB_ALLOW", Some("everything")),
        ("REVOCATION_BOUND_SECONDS", Some("-1")),
        ("SESSION_HOURS", Some("0")),
        ("DEVELOPMENT", Some("true")),
    ] {
        assert!(keys_of(&[(key, value)]).contains(&key), "{key}={value:?}");
    }
}

#[test]
fn a_value_that_cannot_be_read_is_not_taken_for_one_that_is_not_set() {
    struct Outage(std::collections::BTreeMap<String, String>);
    impl Source for Outage {
        fn get(&self, key: &str) -> Option<String> {
            self.0.get(key).cloned()
        }
        fn unreadable(&self) -> Vec<&'static str> {
            vec!["REVOCATION_BOUND_SECONDS"]
        }
    }
    let problems = Config::load(&Outage(settings()), Coordination::Redis).unwrap_err();
    assert_eq!(problems[0].to_string(), "REVOCATION_BOUND_SECONDS could not be read");
}

#[test]
fn every_key_that_is_read_is_listed() {
    let (table, asked) = (settings(), std::cell::RefCell::new(Vec::new()));
    let source = |key: &str| {
        asked.borrow_mut().push(key.to_owned());
        table.get(key).cloned()
    };
    assert!(Config::load(&source, Coordination::Redis).is_ok());
    assert!(asked.borrow().iter().all(|key| KEYS.contains(&key.as_str())), "{asked:?}");
    assert!(KEYS.iter().all(|key| asked.borrow().iter().any(|asked| asked == key)), "{asked:?}");
}

#[test]
fn all_problems_are_told_at_once() {
    assert_eq!(keys_of(&[("SESSION_KEYS", None), ("BRIDGE_KEYS", None), ("BRIDGE_URL", None)]).len(), 3);
}

#[test]
fn plain_http_is_for_loopback_in_development_only() {
    let loopback = ("BRIDGE_URL", Some("http://127.0.0.1:8790"));
    assert_eq!(keys_of(&[loopback]), ["BRIDGE_URL"]);
    assert_eq!(keys_of(&[loopback, ("DEVELOPMENT", Some("loopback"))]), Vec::<&str>::new());
    let foreign = ("BRIDGE_URL", Some("http://localhost.example"));
    assert_eq!(keys_of(&[foreign, ("DEVELOPMENT", Some("loopback"))]), ["BRIDGE_URL"]);
}
