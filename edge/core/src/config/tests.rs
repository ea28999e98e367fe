use serde_json::json;

use super::{
    deployment::{OUTBOUND_HOSTS, SPIN_ALLOWED_HOSTS},
    *,
};
use crate::testing::settings::{app_settings, config_with, settings};

/// A source that can list its keys.
struct Table(std::collections::BTreeMap<String, String>);

impl Source for Table {
    fn get(&self, key: &str) -> Option<String> {
        self.0.get(key).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

/// The keys with problems if the settings are changed like this.
fn problem_keys(change: &[(&str, Option<&str>)]) -> Vec<&'static str> {
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
fn complete_configuration_loads() {
    assert_eq!(problem_keys(&[]), Vec::<&str>::new());
}

#[test]
fn missing_or_malformed_key_is_named() {
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
        ("GITHUB_REQUEST_HEADERS", Some("X-GitHub-Api-Version, Cookie")),
        ("REVOCATION_BOUND_SECONDS", Some("-1")),
        ("SESSION_HOURS", Some("0")),
        ("EVENTS_PER_MINUTE", Some("0")),
        ("EVENTS_PER_MINUTE", Some("60001")),
        ("EVENTS_PER_MINUTE", Some("unlimited")),
        ("LOGIN_STEPS_PER_MINUTE", Some("1")),
        ("LOGOUTS_PER_MINUTE", Some("-1")),
        ("EMBED", Some("true")),
        ("HOST_UPSTREAM", Some("site.example")),
        ("HOST_UPSTREAM", Some("https://site.example/shop")),
        ("HOST_UPSTREAM", Some("http://site.example")),
        ("HOST_UPSTREAM", Some("https://169.254.169.254")),
        ("HOST_UPSTREAM", Some("https://edge.example")),
        ("CLIENT_ADDRESS_HEADER", Some("X Real IP")),
        ("CLIENT_ADDRESS_HEADER", Some("Forwarded")),
        ("CLIENT_ADDRESS_HEADER", Some("cookie")),
        ("DEVELOPMENT", Some("true")),
    ] {
        assert!(problem_keys(&[(key, value)]).contains(&key), "{key}={value:?}");
    }
}

#[test]
fn unused_provider_needs_no_hosts_but_malformed_ones_are_rejected() {
    let entra = ["ENTRA_CLIENT_ID", "ENTRA_CLIENT_SECRET", "ENTRA_TENANT", "GRAPH_URL"].map(|key| (key, None));
    let with = |authority| [&entra[..], &[("ENTRA_AUTHORITY", Some(authority))]].concat();
    assert_eq!(problem_keys(&with("")), Vec::<&str>::new());
    for bad in ["https://login.example/tenant", "login.example", " "] {
        assert_eq!(problem_keys(&with(bad)), ["ENTRA_AUTHORITY"], "{bad}");
    }
}

#[test]
fn provider_hosts_have_defaults_on_workers() {
    let mut table = settings();
    for key in ["ENTRA_AUTHORITY", "GRAPH_URL", "GITHUB_URL", "GITHUB_API_URL"] {
        table.insert(key.to_owned(), String::new());
    }
    let config = Config::load(&|key: &str| table.get(key).cloned(), Coordination::Objects).unwrap();
    assert_eq!(config.service("github").unwrap().base.as_str(), "https://api.github.com/");
    assert_eq!(config.service("graph").unwrap().base.as_str(), "https://graph.microsoft.com/");
}

#[test]
fn unreadable_value_is_not_treated_as_unset() {
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
fn exactly_the_listed_keys_are_read() {
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
fn spin_manifest_declares_exactly_the_listed_keys_and_hosts() {
    let manifest = include_str!("../../../../spin.toml");
    let slots: Vec<String> = (1..=8).map(|n| format!("outbound_host_{n}")).collect();
    let joined = slots.iter().map(|slot| format!("{{{{ {slot} }}}}")).collect::<Vec<_>>().join(" ");
    assert!(manifest.contains(&format!("\noutbound_hosts = \"{joined}\"\n")), "{joined}");
    for key in KEYS.iter().filter(|key| **key != OUTBOUND_HOSTS).map(|key| key.to_ascii_lowercase()) {
        assert!(manifest.contains(&format!("\n{key} = {{ default = \"")), "{key} is not in [variables]");
        assert!(manifest.contains(&format!("\n{key} = \"{{{{ {key} }}}}\"\n")), "{key} is not the component's");
    }
    // Spin passes to a component only the variables that its manifest names.
    let (_, handed) = manifest.split_once("[component.causeway.variables]\n").unwrap();
    let handed = handed.lines().take_while(|line| !line.is_empty()).map(|line| line.split(' ').next().unwrap());
    for key in handed {
        assert!(KEYS.contains(&key.to_ascii_uppercase().as_str()), "{key} is not a key");
    }
    let (_, list) = manifest.split_once("allowed_outbound_hosts = [\n").unwrap();
    let mut listed: Vec<&str> = list.split_once("]\n").unwrap().0.lines().map(str::trim).collect();
    let keys = SPIN_ALLOWED_HOSTS.into_iter().chain(["REDIS_ADDRESS"]).map(str::to_ascii_lowercase).chain(slots);
    for key in keys {
        let entry = format!("\"{{{{ {key} }}}}\",");
        listed.swap_remove(
            listed.iter().position(|line| *line == entry).unwrap_or_else(|| panic!("{key} is not listed")),
        );
        assert!(
            manifest.contains(&format!("\n{key} = {{ default = \"\" ")),
            "{key}: its default would be reachable in every deployment"
        );
    }
    assert_eq!(listed, Vec::<&str>::new());
}

#[test]
fn free_outbound_hosts_are_checked_as_spin_would_read_them() {
    let hosts = |value| problem_keys(&[("OUTBOUND_HOSTS", Some(value))]);
    assert_eq!(hosts("https://id.example https://api.example:8443    http://10.0.0.7:80 "), Vec::<&str>::new());
    for wrong in ["id.example", "https://id.example/path", "https:// x", "https://169.254.169.254", "data:,x"] {
        assert_eq!(hosts(wrong), ["OUTBOUND_HOSTS"], "{wrong}");
    }
}

/// The problems of settings for Workers with one more.
fn problems_on_workers(key: &str, value: &str) -> Vec<String> {
    let mut table = settings();
    table.insert(key.to_owned(), value.to_owned());
    let loaded = Config::load(&Table(table), Coordination::Objects);
    loaded.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn objects_are_placed_in_regions_that_exist() {
    for (key, value) in [("JURISDICTION", "eu"), ("JURISDICTION", "fedramp"), ("LOCATION_HINT", "weur")] {
        assert_eq!(problems_on_workers(key, value), Vec::<String>::new(), "{key} {value}");
        assert_eq!(problem_keys(&[(key, Some(value))]), [key], "Redis is where its operator put it");
    }
    assert_eq!(problems_on_workers("JURISDICTION", "EU"), ["JURISDICTION must be one of eu, fedramp, us"]);
    assert!(problems_on_workers("LOCATION_HINT", "fra")[0].starts_with("LOCATION_HINT must be one of wnam, "));
}

#[test]
fn setting_of_the_other_runtime_is_rejected() {
    let problem = "OUTBOUND_HOSTS is for Spin; on Workers any public host can be reached";
    assert_eq!(problems_on_workers("OUTBOUND_HOSTS", "https://id.example"), [problem]);
}

#[test]
fn all_problems_are_reported_together() {
    let wrong = [("PUBLIC_ORIGIN", None), ("SESSION_KEYS", None), ("BRIDGE_URL", None), ("GITHUB_CLIENT_SECRET", None)];
    assert_eq!(problem_keys(&wrong), wrong.map(|(key, _)| key));
}

#[test]
fn non_ascii_host_name_is_rejected_without_a_panic() {
    for host in ["b\u{fc}cher.example", "B\u{fc}CHER.example", "\u{2b6}ORIG", "\u{130}.example"] {
        let url = format!("https://{host}");
        let wrong = ["BRIDGE_URL", "PUBLIC_ORIGIN", "HOST_ORIGINS"].map(|key| (key, Some(url.as_str())));
        assert_eq!(problem_keys(&wrong), wrong.map(|(key, _)| key), "{host}");
    }
}

#[test]
fn s135_unknown_key_is_rejected_by_name() {
    let mut table = settings();
    table.insert("REVOCATION_BOUND".to_owned(), "0".to_owned());
    table.insert("session_hours".to_owned(), "hunter2".to_owned());
    let problems = Config::load(&Table(table), Coordination::Objects).unwrap_err();
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(text, ["REVOCATION_BOUND is not a configuration key", "session_hours is not a configuration key"]);
}

#[test]
fn s135_weak_secret_is_rejected_and_not_shown() {
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
fn s135_duplicate_key_id_is_rejected() {
    let ring = settings()["SESSION_KEYS"].clone();
    let other = settings()["BRIDGE_KEYS"].clone();
    let twice = format!("{ring},{}:{}", ring.split(':').next().unwrap(), other.split(':').nth(1).unwrap());
    assert_eq!(problem_keys(&[("SESSION_KEYS", Some(&twice)), ("BRIDGE_KEYS", None)]), ["SESSION_KEYS", "BRIDGE_KEYS"]);
}

#[test]
fn s146_incomplete_provider_is_rejected_not_ignored() {
    for (missing, kept) in [
        ("ENTRA_CLIENT_ID", ("ENTRA_GROUPS", "5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90")),
        ("ENTRA_CLIENT_ID", ("GRAPH_ALLOW", "GET /v1.0/me")),
        ("GITHUB_CLIENT_ID", ("GITHUB_ALLOW", "GET /user")),
        ("ENTRA_CLIENT_ID", ("GRAPH_REQUEST_HEADERS", "Prefer")),
        ("GITHUB_CLIENT_ID", ("GITHUB_REQUEST_HEADERS", "Prefer")),
        ("GITHUB_CLIENT_ID", ("GITHUB_SCOPES", "repo")),
        ("GITHUB_CLIENT_ID", ("GITHUB_PROMPT", "login")),
        ("ENTRA_CLIENT_ID", ("ENTRA_PROMPT", "login")),
    ] {
        assert!(problem_keys(&[(missing, None), (kept.0, Some(kept.1))]).contains(&missing), "{missing} {kept:?}");
    }
    for missing in ["ENTRA_TENANT", "ENTRA_CLIENT_SECRET", "GITHUB_CLIENT_SECRET", "SESSION_KEYS", "BRIDGE_KEYS"] {
        assert_eq!(problem_keys(&[(missing, None)]), [missing]);
    }
    let list = |entry: &str| openid_problem_keys(entry, r#"{"corp":"Wq7Rm2Zt9Kv4Xd1Bn8Ls3Yh6Gf5Jc0Pt"}"#);
    for entry in [
        r#"[{"id":"corp","client_id":"c"}]"#,
        r#"[{"id":"corp","issuer":"","client_id":"c"}]"#,
        r#"[{"id":"corp","issuer":"https://id.corp.example"}]"#,
        r#"[{"id":"corp","issuer":"https://id.corp.example","client_id":""}]"#,
    ] {
        assert!(list(entry).contains(&"OIDC_PROVIDERS"), "{entry}");
    }
}

/// A list that is set but empty must not mean that there is no restriction (GHSA-652x).
#[test]
fn s134_empty_restriction_list_is_rejected() {
    const ID: &str = "5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90";
    let halves = [format!("{ID},"), format!(",{ID}"), format!("{ID},,{ID}")];
    for nothing in [",", " ", " , ", "\t", ",,"].into_iter().chain(halves.iter().map(String::as_str)) {
        assert_eq!(problem_keys(&[("ENTRA_GROUPS", Some(nothing))]), ["ENTRA_GROUPS"], "{nothing:?}");
        for tenant in ["common", "5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90"] {
            let set = [("ENTRA_TENANT", Some(tenant)), ("ENTRA_TENANTS", Some(nothing))];
            assert_eq!(problem_keys(&set), ["ENTRA_TENANTS"], "{nothing:?}");
        }
        let lists = ["CHANNELS", "GITHUB_ALLOW", "GRAPH_ALLOW", "GITHUB_REQUEST_HEADERS", "GRAPH_REQUEST_HEADERS"];
        for key in lists.into_iter().filter(|_| nothing.contains(',')) {
            assert_eq!(problem_keys(&[(key, Some(nothing))]), [key], "{nothing:?}");
        }
    }
    // An empty value counts as unset: a Spin variable cannot be absent.
    assert_eq!(problem_keys(&[("ENTRA_GROUPS", Some("")), ("ENTRA_TENANTS", Some(""))]), Vec::<&str>::new());
    for more in ["max_age_seconds", "prompt", "scopes"] {
        let entry = json!([{"id": "corp", "issuer": "https://id.corp.example", "client_id": "c", more: null}]);
        let entry = if more == "scopes" { entry.to_string().replace("null", "[]") } else { entry.to_string() };
        assert!(
            openid_problem_keys(&entry, r#"{"corp":"Wq7Rm2Zt9Kv4Xd1Bn8Ls3Yh6Gf5Jc0Pt"}"#).contains(&"OIDC_PROVIDERS"),
            "{more}"
        );
    }
}

#[test]
fn github_scopes_default_to_what_the_edge_needs() {
    let scopes = |text: Option<&str>| {
        let config = config_with(serde_json::json!({"GITHUB_SCOPES": text}));
        config.provider("github").unwrap().scopes.clone()
    };
    assert_eq!(scopes(None), ["read:user"]);
    assert_eq!(scopes(Some("read:user, repo")), ["read:user", "repo"]);
    for bad in [",", "read:user,", "read:user repo", "read:user,,repo", "\"repo\""] {
        assert_eq!(problem_keys(&[("GITHUB_SCOPES", Some(bad))]), ["GITHUB_SCOPES"], "{bad}");
    }
}

#[test]
fn prompt_is_a_setting_of_entra_and_github() {
    for (key, id) in [("ENTRA_PROMPT", "entra"), ("GITHUB_PROMPT", "github")] {
        for prompt in ["consent", "login", "select_account"] {
            let config = config_with(serde_json::json!({key: prompt}));
            assert_eq!(config.provider(id).unwrap().prompt_with(None).as_deref(), Some(prompt));
        }
        assert_eq!(config_with(serde_json::json!({key: ""})).provider(id).unwrap().prompt_with(None), None);
        for bad in ["none", "login consent", "Login", "select-account"] {
            assert_eq!(problem_keys(&[(key, Some(bad))]), [key], "{bad}");
        }
    }
}

#[test]
fn plain_http_is_accepted_for_loopback_in_development_only() {
    let loopback = ("BRIDGE_URL", Some("http://127.0.0.1:8790"));
    assert_eq!(problem_keys(&[loopback]), ["BRIDGE_URL"]);
    assert_eq!(problem_keys(&[loopback, ("DEVELOPMENT", Some("loopback"))]), Vec::<&str>::new());
    let not_loopback = ("BRIDGE_URL", Some("http://localhost.example"));
    assert_eq!(problem_keys(&[not_loopback, ("DEVELOPMENT", Some("loopback"))]), ["BRIDGE_URL"]);
}

#[test]
fn incomplete_or_missing_github_app_is_rejected() {
    let [(_, id), (_, key)] = app_settings();
    let (id, key) = (("GITHUB_APP_ID", Some(id.as_str())), ("GITHUB_APP_KEY", Some(key.as_str())));
    assert_eq!(problem_keys(&[id, key]), Vec::<&str>::new());
    assert_eq!(problem_keys(&[id]), ["GITHUB_APP_KEY"]);
    assert_eq!(problem_keys(&[key]), ["GITHUB_APP_ID"]);
    assert_eq!(problem_keys(&[id, ("GITHUB_APP_KEY", Some("secret"))]), ["GITHUB_APP_KEY"]);
    assert_eq!(problem_keys(&[("GITHUB_APP_ID", Some("my app")), key]), ["GITHUB_APP_ID"]);
    let service = r#"[{"name":"app","url":"https://api.github.com","allow":["GET /x"],"users_of":["github"],"installation":{"id":7,"permissions":{"contents":"read"}}}]"#;
    assert_eq!(problem_keys(&[("SERVICES", Some(service))]), ["GITHUB_APP_ID"]);
    assert_eq!(problem_keys(&[("SERVICES", Some(service)), id, key]), Vec::<&str>::new());
}

#[test]
fn m74_multitenant_sign_in_needs_a_list_of_tenants() {
    for tenant in ["organizations", "common"] {
        let tenant = ("ENTRA_TENANT", Some(tenant));
        assert_eq!(problem_keys(&[tenant]), ["ENTRA_TENANTS"]);
        assert_eq!(problem_keys(&[tenant, ("ENTRA_TENANTS", Some("everyone"))]), ["ENTRA_TENANTS"]);
        let allowed = "5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90, 6f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90";
        assert_eq!(problem_keys(&[tenant, ("ENTRA_TENANTS", Some(allowed))]), Vec::<&str>::new());
        let many = |count: usize| {
            let ids: Vec<String> = (0..count).map(|n| format!("5f3c1a52-8d3e-4b7a-9c11-{n:012x}")).collect();
            problem_keys(&[tenant, ("ENTRA_TENANTS", Some(&ids.join(",")))])
        };
        assert_eq!((many(100), many(101)), (vec![], vec!["ENTRA_TENANTS"]));
    }
}

/// The keys with problems if these providers and secrets are configured.
fn openid_problem_keys(providers: &str, secrets: &str) -> Vec<&'static str> {
    problem_keys(&[("OIDC_PROVIDERS", Some(providers)), ("OIDC_CLIENT_SECRETS", Some(secrets))])
}

#[test]
fn s135_openid_provider_with_an_unknown_or_malformed_field_is_rejected() {
    let secret = r#"{"corp":"Wq7Rm2Zt9Kv4Xd1Bn8Ls3Yh6Gf5Jc0Pt"}"#;
    let with = |more: &str| format!(r#"[{{"id":"corp","issuer":"https://id.corp.example","client_id":"c"{more}}}]"#);
    assert_eq!(openid_problem_keys(&with(""), secret), Vec::<&str>::new());
    assert_eq!(
        openid_problem_keys(&with(r#","dpop":true,"max_age_seconds":3600,"audience":"https://api.example""#), secret),
        Vec::<&str>::new()
    );
    for prompt in ["consent", "login", "select_account"] {
        assert_eq!(openid_problem_keys(&with(&format!(r#","prompt":"{prompt}""#)), secret), Vec::<&str>::new());
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
        assert!(openid_problem_keys(&with(more), secret).contains(&"OIDC_PROVIDERS"), "{more}");
    }
    let listed =
        r#"[["corp","Corp","https://id.corp.example","c","client_secret_basic",null,false,null,null,null,true,false]]"#;
    assert_eq!(openid_problem_keys(listed, secret)[0], "OIDC_PROVIDERS");
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
        assert!(openid_problem_keys(&with("").replace(from, to), secret).contains(&"OIDC_PROVIDERS"), "{to}");
    }
    let twice = with("").replace("}]", &format!("}},{}", &with("")[1..]));
    assert_eq!(openid_problem_keys(&twice, secret), ["OIDC_PROVIDERS"]);
}

const WITH_AN_UNKNOWN_PROVIDER: &str = r#"{"corp":"Wq7Rm2Zt9Kv4Xd1Bn8Ls3Yh6Gf5Jc0Pt","other":"y"}"#;
const WITH_A_DUPLICATE_PROVIDER: &str =
    r#"{"corp":"Wq7Rm2Zt9Kv4Xd1Bn8Ls3Yh6Gf5Jc0Pt","corp":"Xq7Rm2Zt9Kv4Xd1Bn8Ls3Yh6Gf5Jc0Pt"}"#;

#[test]
fn m1_openid_provider_without_valid_credentials_is_rejected() {
    let list =
        |auth: &str| format!(r#"[{{"id":"corp","issuer":"https://id.corp.example","client_id":"c","auth":"{auth}"}}]"#);
    for secrets in [
        "",
        "{}",
        r#"{"corp":""}"#,
        r#"{"corp":{}}"#,
        r#"{"corp":"x"}"#,
        WITH_AN_UNKNOWN_PROVIDER,
        WITH_A_DUPLICATE_PROVIDER,
        "[]",
    ] {
        for auth in ["client_secret_basic", "client_secret_post"] {
            assert_eq!(openid_problem_keys(&list(auth), secrets), ["OIDC_CLIENT_SECRETS"], "{auth} {secrets}");
        }
    }
    let key = r#"{"kty":"EC","crv":"P-256","kid":"k","alg":"ES256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;
    for good in [format!(r#"{{"corp":{key}}}"#), format!(r#"{{"corp":{}}}"#, serde_json::Value::from(key))] {
        assert_eq!(openid_problem_keys(&list("private_key_jwt"), &good), Vec::<&str>::new());
    }
    let public = key.split(r#","d""#).next().unwrap();
    for bad in [format!(r#"{{"corp":{public}}}}}"#), format!(r#"{{"corp":{}}}"#, key.replace("ES256", "HS256"))] {
        assert_eq!(openid_problem_keys(&list("private_key_jwt"), &bad), ["OIDC_CLIENT_SECRETS"]);
    }
}

#[test]
fn s155_cross_site_embedding_needs_host_origins() {
    assert_eq!(problem_keys(&[("EMBED", Some("cross-site"))]), Vec::<&str>::new());
    assert_eq!(problem_keys(&[("EMBED", Some("cross-site")), ("HOST_ORIGINS", None)]), ["EMBED"]);
}

#[test]
fn s133_secret_in_the_wrong_field_is_not_shown() {
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

#[test]
fn rates_have_the_limits_that_are_set() {
    let defaults = config_with(json!({})).rates;
    assert_eq!([defaults.events.limit, defaults.login.limit, defaults.logout.limit], [300, 6000, 600]);
    let change =
        json!({"EVENTS_PER_MINUTE": "60000", "LOGIN_STEPS_PER_MINUTE": "2", "LOGOUTS_PER_MINUTE": " 1000000 "});
    let rates = config_with(change).rates;
    assert_eq!([rates.events.limit, rates.login.limit, rates.logout.limit], [60_000, 2, 1_000_000]);
}

/// A limiter with a limit of its own must be the one that the setting asks for: a setting without effect would be noticed
/// only when it is too late.
#[test]
fn limit_without_its_rate_limiter_is_rejected() {
    struct Limiters(&'static [&'static str], std::collections::BTreeMap<String, String>);
    impl Source for Limiters {
        fn get(&self, key: &str) -> Option<String> {
            self.1.get(key).cloned()
        }
        fn has_rate_limiter(&self, name: &str) -> bool {
            self.0.contains(&name)
        }
    }
    let problems = |limiters, limit: &str| {
        let mut table = settings();
        table.insert("EVENTS_PER_MINUTE".to_owned(), limit.to_owned());
        let config = Config::load(&Limiters(limiters, table), Coordination::Objects);
        config.err().unwrap_or_default().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        problems(&["EVENTS_RATE", "EVENTS_RATE_60"], "120"),
        ["EVENTS_PER_MINUTE needs a rate limiter EVENTS_RATE_120 with limit 120 and period 60"]
    );
    assert_eq!(problems(&["EVENTS_RATE_120"], "120"), [""; 0]);
    // The default needs none: an edge without limiters serves, and the log says that nothing is counted.
    assert_eq!((problems(&[], "300"), problems(&[], "")), (vec![], vec![]));
}
