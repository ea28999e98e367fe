use super::{reader::LISTED, *};
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
        ("GITHUB_URL", Some("https://")),
        ("GITHUB_URL", Some("")),
        ("GITHUB_API_URL", None),
        ("ENTRA_AUTHORITY", Some(" ")),
        ("GRAPH_URL", Some("")),
        ("BRIDGE_URL", Some("https://bridge.example/v1")),
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
fn a_provider_that_is_not_used_needs_no_hosts_and_cannot_void_their_list() {
    let unused = [("ENTRA_CLIENT_ID", None), ("ENTRA_AUTHORITY", Some("")), ("GRAPH_URL", None)];
    assert_eq!(keys_of(&unused), Vec::<&str>::new());
    for bad in ["https://login.example/tenant", "login.example", " "] {
        assert_eq!(keys_of(&[unused[0], ("ENTRA_AUTHORITY", Some(bad)), unused[2]]), ["ENTRA_AUTHORITY"], "{bad}");
    }
}

#[test]
fn where_no_list_of_hosts_is_kept_the_providers_are_at_their_own() {
    let mut table = settings();
    for key in ["ENTRA_AUTHORITY", "GRAPH_URL", "GITHUB_URL", "GITHUB_API_URL"] {
        table.insert(key.to_owned(), String::new());
    }
    let config = Config::load(&|key: &str| table.get(key).cloned(), Coordination::Objects).unwrap();
    assert_eq!(config.service("github").unwrap().base.as_str(), "https://api.github.com/");
    assert_eq!(config.service("graph").unwrap().base.as_str(), "https://graph.microsoft.com/");
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
fn spins_manifest_declares_every_key_and_reaches_the_listed_hosts_and_no_other() {
    let manifest = include_str!("../../../../spin.toml");
    for key in KEYS.map(str::to_ascii_lowercase) {
        assert!(manifest.contains(&format!("\n{key} = {{ default = \"")), "{key} is not in [variables]");
        assert!(manifest.contains(&format!("\n{key} = \"{{{{ {key} }}}}\"\n")), "{key} is not the component's");
    }
    let (_, list) = manifest.split_once("allowed_outbound_hosts = [\n").unwrap();
    let mut listed: Vec<&str> = list.split_once("]\n").unwrap().0.lines().map(str::trim).collect();
    let keys = LISTED.into_iter().chain(["REDIS_ADDRESS"]).map(str::to_ascii_lowercase);
    for key in keys {
        let entry = format!("\"{{{{ {key} }}}}\",");
        listed.swap_remove(
            listed.iter().position(|line| *line == entry).unwrap_or_else(|| panic!("{key} is not listed")),
        );
        assert!(
            manifest.contains(&format!("\n{key} = {{ default = \"\" ")),
            "{key}: a default is reached by everybody"
        );
    }
    assert_eq!(listed, Vec::<&str>::new());
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
