use serde_json::json;

use super::{reader::LISTED, *};
use crate::testing::settings::{app_settings, config_with, settings};

/// A source that knows what it holds.
struct Table(std::collections::BTreeMap<String, String>);

impl Source for Table {
    fn get(&self, key: &str) -> Option<String> {
        self.0.get(key).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

fn keys_of(change: &[(&str, Option<&str>)]) -> Vec<&'static str> {
    let mut table = settings();
    for (key, value) in change {
        match value {
            Some(value) => table.insert((*key).to_owned(), (*value).to_owned()),
            None => table.remove(*key),
        };
    }
    match Config::load(&Table(table), Coordination::Redis) {
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
        ("ENTRA_TENANT", Some("contoso.example")),
        ("ENTRA_TENANTS", Some("5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90")),
        ("ENTRA_GROUPS", Some("admins")),
        ("ENTRA_CLIENT_KEY", Some("{}")),
        ("OIDC_PROVIDERS", Some("corp")),
        ("OIDC_CLIENT_SECRETS", Some(r#"{"nobody":"x"}"#)),
        ("GITHUB_CLIENT_SECRET", None),
        ("GITHUB_WEBHOOK_SECRET", Some("secret")),
        ("GITHUB_WEBHOOK_SECRET", Some("00000000000000000000000000000000")),
        ("GITHUB_API_URL", Some("ftp://api.github.com")),
        ("GITHUB_ALLOW", Some("everything")),
        ("REVOCATION_BOUND_SECONDS", Some("-1")),
        ("SESSION_HOURS", Some("0")),
        ("EMBED", Some("true")),
        ("CLIENT_ADDRESS_HEADER", Some("X Real IP")),
        ("CLIENT_ADDRESS_HEADER", Some("Forwarded")),
        ("CLIENT_ADDRESS_HEADER", Some("cookie")),
        ("DEVELOPMENT", Some("true")),
    ] {
        assert!(keys_of(&[(key, value)]).contains(&key), "{key}={value:?}");
    }
}

#[test]
fn a_provider_that_is_not_used_needs_no_hosts_and_cannot_void_their_list() {
    let entra = ["ENTRA_CLIENT_ID", "ENTRA_CLIENT_SECRET", "ENTRA_TENANT", "GRAPH_URL"].map(|key| (key, None));
    let with = |authority| [&entra[..], &[("ENTRA_AUTHORITY", Some(authority))]].concat();
    assert_eq!(keys_of(&with("")), Vec::<&str>::new());
    for bad in ["https://login.example/tenant", "login.example", " "] {
        assert_eq!(keys_of(&with(bad)), ["ENTRA_AUTHORITY"], "{bad}");
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
    assert_eq!(problems[0].to_string(), "REVOCATION_BOUND_SECONDS could not be read; it must be a text");
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
    // Spin tells a component of no variable that it does not ask for: what the manifest hands over is all there is.
    let (_, handed) = manifest.split_once("[component.causeway.variables]\n").unwrap();
    let handed = handed.lines().take_while(|line| !line.is_empty()).map(|line| line.split(' ').next().unwrap());
    for key in handed {
        assert!(KEYS.contains(&key.to_ascii_uppercase().as_str()), "{key} is no key");
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
    let wrong = [("PUBLIC_ORIGIN", None), ("SESSION_KEYS", None), ("BRIDGE_URL", None), ("GITHUB_CLIENT_SECRET", None)];
    assert_eq!(keys_of(&wrong), wrong.map(|(key, _)| key));
}

#[test]
fn a_host_name_in_letters_that_no_dns_knows_is_a_problem_and_nothing_worse() {
    for host in ["b\u{fc}cher.example", "B\u{fc}CHER.example", "\u{2b6}ORIG", "\u{130}.example"] {
        let url = format!("https://{host}");
        let wrong = ["BRIDGE_URL", "PUBLIC_ORIGIN", "HOST_ORIGINS"].map(|key| (key, Some(url.as_str())));
        assert_eq!(keys_of(&wrong), wrong.map(|(key, _)| key), "{host}");
    }
}

#[test]
fn s135_a_key_that_means_nothing_is_refused_by_name() {
    let mut table = settings();
    table.insert("REVOCATION_BOUND".to_owned(), "0".to_owned());
    table.insert("session_hours".to_owned(), "hunter2".to_owned());
    let problems = Config::load(&Table(table), Coordination::Objects).unwrap_err();
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        ["REVOCATION_BOUND is no key of the configuration", "session_hours is no key of the configuration"]
    );
}

#[test]
fn s135_weak_secrets_are_refused_and_never_shown() {
    for (key, weak) in [
        ("SESSION_KEYS", "k:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
        ("BRIDGE_KEYS", "k:QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE"),
        ("BRIDGE_KEYS", settings()["SESSION_KEYS"].as_str()),
        ("ENTRA_CLIENT_SECRET", "hunter2"),
        ("GITHUB_CLIENT_SECRET", "your-github-client-secret-0123456789"),
        ("GITHUB_WEBHOOK_SECRET", "abcdabcdabcdabcdabcdabcdabcdabcdabcd"),
    ] {
        let mut table = settings();
        table.insert(key.to_owned(), weak.to_owned());
        let problems = Config::load(&Table(table), Coordination::Objects).unwrap_err();
        assert!(problems.iter().all(|problem| problem.key == key), "{problems:?}");
        assert!(!format!("{problems:?}").contains(weak.rsplit(':').next().unwrap()), "{problems:?}");
    }
}

#[test]
fn s135_two_keys_of_one_id_are_refused() {
    let ring = settings()["SESSION_KEYS"].clone();
    let other = settings()["BRIDGE_KEYS"].clone();
    let twice = format!("{ring},{}:{}", ring.split(':').next().unwrap(), other.split(':').nth(1).unwrap());
    assert_eq!(keys_of(&[("SESSION_KEYS", Some(&twice)), ("BRIDGE_KEYS", None)]), ["SESSION_KEYS", "BRIDGE_KEYS"]);
}

#[test]
fn s146_a_provider_that_is_configured_by_half_closes_instead_of_being_left_out() {
    for (missing, kept) in [
        ("ENTRA_CLIENT_ID", ("ENTRA_GROUPS", "5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90")),
        ("ENTRA_CLIENT_ID", ("GRAPH_ALLOW", "GET /v1.0/me")),
        ("GITHUB_CLIENT_ID", ("GITHUB_ALLOW", "GET /user")),
        ("GITHUB_CLIENT_ID", ("GITHUB_SCOPES", "repo")),
    ] {
        assert!(keys_of(&[(missing, None), (kept.0, Some(kept.1))]).contains(&missing), "{missing} {kept:?}");
    }
    for missing in ["ENTRA_TENANT", "ENTRA_CLIENT_SECRET", "GITHUB_CLIENT_SECRET", "SESSION_KEYS", "BRIDGE_KEYS"] {
        assert_eq!(keys_of(&[(missing, None)]), [missing]);
    }
    let list = |entry: &str| openid(entry, r#"{"corp":"Wq7Rm2Zt9Kv4Xd1Bn8Ls3Yh6Gf5Jc0Pt"}"#);
    for entry in [
        r#"[{"id":"corp","client_id":"c"}]"#,
        r#"[{"id":"corp","issuer":"","client_id":"c"}]"#,
        r#"[{"id":"corp","issuer":"https://id.corp.example"}]"#,
        r#"[{"id":"corp","issuer":"https://id.corp.example","client_id":""}]"#,
    ] {
        assert!(list(entry).contains(&"OIDC_PROVIDERS"), "{entry}");
    }
}

/// A list that restricts, set and yet empty, is no list without restriction (GHSA-652x).
#[test]
fn s134_what_is_set_and_restricts_nothing_closes() {
    const ID: &str = "5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90";
    let halves = [format!("{ID},"), format!(",{ID}"), format!("{ID},,{ID}")];
    for nothing in [",", " ", " , ", "\t", ",,"].into_iter().chain(halves.iter().map(String::as_str)) {
        assert_eq!(keys_of(&[("ENTRA_GROUPS", Some(nothing))]), ["ENTRA_GROUPS"], "{nothing:?}");
        for tenant in ["common", "5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90"] {
            let set = [("ENTRA_TENANT", Some(tenant)), ("ENTRA_TENANTS", Some(nothing))];
            assert_eq!(keys_of(&set), ["ENTRA_TENANTS"], "{nothing:?}");
        }
        for key in ["CHANNELS", "GITHUB_ALLOW", "GRAPH_ALLOW"].into_iter().filter(|_| nothing.contains(',')) {
            assert_eq!(keys_of(&[(key, Some(nothing))]), [key], "{nothing:?}");
        }
    }
    // What is empty is not set: Spin has no other way to say so.
    assert_eq!(keys_of(&[("ENTRA_GROUPS", Some("")), ("ENTRA_TENANTS", Some(""))]), Vec::<&str>::new());
    for more in ["max_age_seconds", "prompt", "scopes"] {
        let entry = json!([{"id": "corp", "issuer": "https://id.corp.example", "client_id": "c", more: null}]);
        let entry = if more == "scopes" { entry.to_string().replace("null", "[]") } else { entry.to_string() };
        assert!(openid(&entry, r#"{"corp":"Wq7Rm2Zt9Kv4Xd1Bn8Ls3Yh6Gf5Jc0Pt"}"#).contains(&"OIDC_PROVIDERS"), "{more}");
    }
}

#[test]
fn github_is_asked_for_no_more_than_the_edge_needs_unless_told() {
    let scopes = |text: Option<&str>| {
        let config = config_with(serde_json::json!({"GITHUB_SCOPES": text}));
        config.provider("github").unwrap().scopes.clone()
    };
    assert_eq!(scopes(None), ["read:user"]);
    assert_eq!(scopes(Some("read:user, repo")), ["read:user", "repo"]);
    for bad in [",", "read:user,", "read:user repo", "read:user,,repo", "\"repo\""] {
        assert_eq!(keys_of(&[("GITHUB_SCOPES", Some(bad))]), ["GITHUB_SCOPES"], "{bad}");
    }
}

#[test]
fn plain_http_is_for_loopback_in_development_only() {
    let loopback = ("BRIDGE_URL", Some("http://127.0.0.1:8790"));
    assert_eq!(keys_of(&[loopback]), ["BRIDGE_URL"]);
    assert_eq!(keys_of(&[loopback, ("DEVELOPMENT", Some("loopback"))]), Vec::<&str>::new());
    let foreign = ("BRIDGE_URL", Some("http://localhost.example"));
    assert_eq!(keys_of(&[foreign, ("DEVELOPMENT", Some("loopback"))]), ["BRIDGE_URL"]);
}

#[test]
fn a_github_app_is_complete_and_set_where_a_service_needs_it() {
    let [(_, id), (_, key)] = app_settings();
    let (id, key) = (("GITHUB_APP_ID", Some(id.as_str())), ("GITHUB_APP_KEY", Some(key.as_str())));
    assert_eq!(keys_of(&[id, key]), Vec::<&str>::new());
    assert_eq!(keys_of(&[id]), ["GITHUB_APP_KEY"]);
    assert_eq!(keys_of(&[key]), ["GITHUB_APP_ID"]);
    assert_eq!(keys_of(&[id, ("GITHUB_APP_KEY", Some("secret"))]), ["GITHUB_APP_KEY"]);
    assert_eq!(keys_of(&[("GITHUB_APP_ID", Some("my app")), key]), ["GITHUB_APP_ID"]);
    let service = r#"[{"name":"app","url":"https://api.github.com","allow":["GET /x"],"users_of":["github"],"installation":{"id":7,"permissions":{"contents":"read"}}}]"#;
    assert_eq!(keys_of(&[("SERVICES", Some(service))]), ["GITHUB_APP_ID"]);
    assert_eq!(keys_of(&[("SERVICES", Some(service)), id, key]), Vec::<&str>::new());
}

#[test]
fn m74_several_tenants_need_a_list_of_them() {
    for tenant in ["organizations", "common"] {
        let tenant = ("ENTRA_TENANT", Some(tenant));
        assert_eq!(keys_of(&[tenant]), ["ENTRA_TENANTS"]);
        assert_eq!(keys_of(&[tenant, ("ENTRA_TENANTS", Some("everyone"))]), ["ENTRA_TENANTS"]);
        let allowed = "5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90, 6f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90";
        assert_eq!(keys_of(&[tenant, ("ENTRA_TENANTS", Some(allowed))]), Vec::<&str>::new());
        let many = |count: usize| {
            let ids: Vec<String> = (0..count).map(|n| format!("5f3c1a52-8d3e-4b7a-9c11-{n:012x}")).collect();
            keys_of(&[tenant, ("ENTRA_TENANTS", Some(&ids.join(",")))])
        };
        assert_eq!((many(100), many(101)), (vec![], vec!["ENTRA_TENANTS"]));
    }
}

/// Keys with problems when these providers and secrets are configured.
fn openid(providers: &str, secrets: &str) -> Vec<&'static str> {
    keys_of(&[("OIDC_PROVIDERS", Some(providers)), ("OIDC_CLIENT_SECRETS", Some(secrets))])
}

#[test]
fn s135_openid_providers_are_read_strictly() {
    let secret = r#"{"corp":"Wq7Rm2Zt9Kv4Xd1Bn8Ls3Yh6Gf5Jc0Pt"}"#;
    let with = |more: &str| format!(r#"[{{"id":"corp","issuer":"https://id.corp.example","client_id":"c"{more}}}]"#);
    assert_eq!(openid(&with(""), secret), Vec::<&str>::new());
    assert_eq!(
        openid(&with(r#","dpop":true,"max_age_seconds":3600,"audience":"https://api.example""#), secret),
        Vec::<&str>::new()
    );
    for prompt in ["consent", "login", "select_account"] {
        assert_eq!(openid(&with(&format!(r#","prompt":"{prompt}""#)), secret), Vec::<&str>::new());
    }
    for more in [
        r#","prompt":"none""#,
        r#","prompt":"consent login""#,
        r#","dopp":true"#,
        r#","auth":"none""#,
        r#","auth":"client_secret_jwt""#,
        r#","scopes":["profile"]"#,
        r#","scopes":["openid","a b"]"#,
        r#","dpop":"yes""#,
        r#","max_age_seconds":-1"#,
    ] {
        assert!(openid(&with(more), secret).contains(&"OIDC_PROVIDERS"), "{more}");
    }
    let listed =
        r#"[["corp","Corp","https://id.corp.example","c","client_secret_basic",null,false,null,null,null,true,false]]"#;
    assert_eq!(openid(listed, secret)[0], "OIDC_PROVIDERS");
    for (from, to) in [
        ("https://id", "http://id"),
        ("https://id.corp.example", "https://10.0.0.1"),
        ("https://id.corp.example", "https://localhost"),
        ("https://id.corp.example", "https://id.corp.example?x"),
        (r#""corp""#, r#""Corp""#),
        (r#""corp""#, r#""entra""#),
        (r#""corp""#, r#""5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90""#),
        (r#""corp""#, r#""""#),
        (r#""c""#, r#""""#),
    ] {
        assert!(openid(&with("").replace(from, to), secret).contains(&"OIDC_PROVIDERS"), "{to}");
    }
    let twice = with("").replace("}]", &format!("}},{}", &with("")[1..]));
    assert_eq!(openid(&twice, secret), ["OIDC_PROVIDERS"]);
}

const TWO: &str = r#"{"corp":"Wq7Rm2Zt9Kv4Xd1Bn8Ls3Yh6Gf5Jc0Pt","other":"y"}"#;
const TWICE: &str = r#"{"corp":"Wq7Rm2Zt9Kv4Xd1Bn8Ls3Yh6Gf5Jc0Pt","corp":"Xq7Rm2Zt9Kv4Xd1Bn8Ls3Yh6Gf5Jc0Pt"}"#;

#[test]
fn m1_an_openid_provider_without_credentials_closes() {
    let list =
        |auth: &str| format!(r#"[{{"id":"corp","issuer":"https://id.corp.example","client_id":"c","auth":"{auth}"}}]"#);
    for secrets in ["", "{}", r#"{"corp":""}"#, r#"{"corp":{}}"#, r#"{"corp":"x"}"#, TWO, TWICE, "[]"] {
        for auth in ["client_secret_basic", "client_secret_post"] {
            assert_eq!(openid(&list(auth), secrets), ["OIDC_CLIENT_SECRETS"], "{auth} {secrets}");
        }
    }
    let key = r#"{"kty":"EC","crv":"P-256","kid":"k","alg":"ES256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;
    for good in [format!(r#"{{"corp":{key}}}"#), format!(r#"{{"corp":{}}}"#, serde_json::Value::from(key))] {
        assert_eq!(openid(&list("private_key_jwt"), &good), Vec::<&str>::new());
    }
    let public = key.split(r#","d""#).next().unwrap();
    for bad in [format!(r#"{{"corp":{public}}}}}"#), format!(r#"{{"corp":{}}}"#, key.replace("ES256", "HS256"))] {
        assert_eq!(openid(&list("private_key_jwt"), &bad), ["OIDC_CLIENT_SECRETS"]);
    }
}

#[test]
fn s155_embedding_by_other_sites_needs_a_list_of_them() {
    assert_eq!(keys_of(&[("EMBED", Some("cross-site"))]), Vec::<&str>::new());
    assert_eq!(keys_of(&[("EMBED", Some("cross-site")), ("HOST_ORIGINS", None)]), ["EMBED"]);
}

#[test]
fn s133_a_secret_in_the_wrong_place_of_a_list_is_not_told() {
    let secret = "Wq7Rm2Zt9Kv4Xd1Bn8Ls3Yh6Gf5Jc0Pt";
    for entry in [
        format!(r#"[{{"id":"corp","issuer":"https://id.corp.example","client_id":"c","auth":"{secret}"}}]"#),
        format!(r#"[{{"id":"corp","issuer":"https://id.corp.example","client_id":"c","dpop":"{secret}"}}]"#),
        format!("\"{secret}\""),
    ] {
        let mut table = settings();
        table.insert("OIDC_PROVIDERS".to_owned(), entry);
        let problems = Config::load(&Table(table), Coordination::Objects).unwrap_err();
        assert!(problems.iter().any(|problem| problem.key == "OIDC_PROVIDERS"));
        assert!(!format!("{problems:?}").contains(secret), "{problems:?}");
    }
}
