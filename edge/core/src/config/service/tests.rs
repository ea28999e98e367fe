use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{Config, Coordination};
use crate::{
    oauth::restriction::{MAX_RESTRICTIONS, Restriction},
    proxy::service::{Credential, Service},
    testing::settings::{app_settings, config_with, settings},
};

fn load(services: &str, development: bool) -> Result<Vec<Service>, String> {
    let mut table = settings();
    table.insert("SERVICES".to_owned(), services.to_owned());
    table.extend(app_settings());
    if development {
        table.insert("DEVELOPMENT".to_owned(), "loopback".to_owned());
    }
    match Config::load(&|key: &str| table.get(key).cloned(), Coordination::Objects) {
        Ok(config) => Ok(config.services),
        Err(problems) => {
            assert!(problems.iter().all(|problem| problem.key == "SERVICES"), "{problems:?}");
            Err(problems.iter().map(|problem| problem.problem.clone()).collect::<Vec<_>>().join("\n"))
        }
    }
}

/// A valid entry with these changes. A field that is null is removed.
fn entry(changes: &Value) -> Value {
    let mut entry = json!({"name": "api", "url": "https://api.example/v1", "provider": "github", "shares_token": true,
            "allow": ["GET /x", "POST /y/*"]});
    let fields = entry.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            fields.remove(name).map(drop).unwrap_or_default()
        } else {
            fields.insert(name.clone(), value.clone()).map(drop).unwrap_or_default()
        }
    }
    entry
}

fn loads(changes: &Value) -> bool {
    load(&json!([entry(changes)]).to_string(), false).is_ok()
}

#[test]
fn configured_services_are_added_to_the_built_in_ones() {
    let services = load(
        &json!([
            entry(&json!({"body_limit_kib": 1024, "timeout_seconds": 5})),
            entry(&json!({"name": "app", "provider": null, "shares_token": null, "users_of": ["github"], "installation": {"id": 7, "permissions": {"contents": "read"}}})),
        ])
        .to_string(),
        false,
    )
    .unwrap();
    let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["graph", "github", "api", "app"]);
    let api = &services[2];
    assert_eq!((api.body_limit_bytes, api.timeout.as_secs()), (1024 * 1024, 5));
    assert_eq!(api.credential, Credential::Provider { id: "github".to_owned(), restriction: None });
    assert!(api.gets_client_address && !services[0].gets_client_address);
    assert!(matches!(&services[3].credential, Credential::Installation(installation) if installation.id == 7));
}

#[test]
fn service_can_have_a_restricted_token() {
    let token = json!({"scopes": ["api://orders/read"]});
    let services =
        load(&json!([entry(&json!({"provider": "entra", "shares_token": null, "token": token}))]).to_string(), false)
            .unwrap();
    let restriction = Restriction { scopes: vec!["api://orders/read".to_owned()], resource: None };
    assert_eq!(services[2].credential, Credential::Provider { id: "entra".to_owned(), restriction: Some(restriction) });
    for (provider, token) in [
        // A new token of GitHub invalidates the previous one.
        ("github", json!({"scopes": ["repo"]})),
        ("entra", json!({"scopes": []})),
        ("entra", json!({})),
        ("entra", json!({"scopes": ["a b"]})),
        ("entra", json!({"scopes": [""]})),
        ("entra", json!({"scopes": ["x"], "audience": "y"})),
        ("entra", json!({"scopes": ["x"], "resource": "https://orders.example"})),
    ] {
        assert!(!loads(&json!({"provider": provider, "token": token})), "{provider} {token}");
    }
    assert!(!loads(
        &json!({"provider": null, "users_of": ["github"], "token": token, "installation": {"id": 7, "permissions": {"contents": "read"}}})
    ));
    let many = |count: usize| {
        let one = |n| {
            entry(
                &json!({"name": format!("s{n}"), "provider": "entra", "shares_token": null, "token": {"scopes": [format!("s{n}")]}}),
            )
        };
        load(&json!((0..count).map(one).collect::<Vec<_>>()).to_string(), false)
    };
    assert!(many(MAX_RESTRICTIONS).is_ok());
    assert!(many(MAX_RESTRICTIONS + 1).is_err(), "a session stores a token for each restriction");
}

#[test]
fn m21_token_is_shared_across_origins_only_if_configured() {
    let graph = "https://graph.microsoft.com";
    for (changes, fine) in [
        (json!({"provider": "github"}), false),
        (json!({"provider": "entra"}), false),
        (json!({"provider": "entra", "url": format!("{graph}/beta")}), true),
        (json!({"provider": "entra", "token": {"scopes": ["api://orders/read"]}}), true),
        (json!({"provider": "github", "shares_token": true}), true),
        (json!({"provider": "github", "shares_token": false}), false),
    ] {
        let entry = entry(&json!({"shares_token": null}));
        let mut entry = entry.as_object().unwrap().clone();
        entry.extend(changes.as_object().unwrap().clone());
        assert_eq!(load(&json!([entry]).to_string(), false).is_ok(), fine, "{changes}");
    }
    // The same restriction is the same token.
    let one = |name: &str, url: &str| {
        entry(&json!({"name": name, "url": url, "provider": "entra", "shares_token": null, "token": {"scopes": ["x"]}}))
    };
    assert!(load(&json!([one("a", "https://a.example"), one("b", "https://b.example")]).to_string(), false).is_err());
    assert!(load(&json!([one("a", "https://a.example"), one("b", "https://a.example/b")]).to_string(), false).is_ok());
    // The same installation, permissions and repositories are the same token.
    let of_app = |name: &str, url: &str, level: &str, shares: bool| {
        let installation = json!({"id": 7, "permissions": {"contents": level}});
        entry(
            &json!({"name": name, "url": url, "provider": null, "shares_token": shares, "users_of": ["github"], "installation": installation}),
        )
    };
    let first = of_app("a", "https://a.example", "read", false);
    for (second, fine) in [
        (of_app("b", "https://b.example", "read", false), false),
        (of_app("b", "https://b.example", "read", true), true),
        (of_app("b", "https://b.example", "write", false), true),
        (of_app("b", "https://a.example/b", "read", false), true),
    ] {
        assert_eq!(load(&json!([first, second]).to_string(), false).is_ok(), fine, "{second}");
    }
}

/// Whether a configuration with this service loads: with GitHub and Entra, and with GitHub alone.
fn with_both_and_with_one(changes: &Value) -> [bool; 2] {
    let service = json!([entry(changes)]).to_string();
    let one = || {
        let mut table = settings();
        table.retain(|key, _| !key.starts_with("ENTRA_") && !key.starts_with("GRAPH_"));
        table.extend(app_settings());
        table.insert("SERVICES".to_owned(), service.clone());
        Config::load(&|key: &str| table.get(key).cloned(), Coordination::Objects).is_ok()
    };
    [load(&service, false).is_ok(), one()]
}

#[test]
fn app_service_must_name_the_providers_of_its_users() {
    let installation = json!({"id": 7, "permissions": {"contents": "read"}});
    let of_app = |users_of: Value| {
        let changes =
            json!({"provider": null, "shares_token": null, "installation": installation, "users_of": users_of});
        with_both_and_with_one(&changes)
    };
    assert_eq!(of_app(json!(["github"])), [true, true]);
    assert_eq!(of_app(json!(["entra", "github"])), [true, false]);
    assert_eq!(of_app(Value::Null), [false, true], "with one provider there is nothing to choose");
    for users_of in [json!([]), json!(["gitlab"]), json!(["github", "gitlab"]), json!("github"), json!({})] {
        assert_eq!(of_app(users_of.clone()), [false, false], "{users_of}");
        assert_eq!(with_both_and_with_one(&json!({"users_of": users_of})), [false, false], "{users_of}");
    }
    assert_eq!(with_both_and_with_one(&json!({"users_of": ["entra"]})), [true, false]);
}

#[test]
fn s135_unknown_or_malformed_service_field_is_rejected() {
    for changes in [
        json!({"colour": "red"}),
        json!({"name": null}),
        json!({"name": ""}),
        json!({"name": "Api"}),
        json!({"name": "a/b"}),
        json!({"name": "a.b"}),
        json!({"name": "a".repeat(33)}),
        json!({"name": "github"}),
        json!({"name": "graph"}),
        json!({"url": null}),
        json!({"url": "api.example"}),
        json!({"url": "http://api.example"}),
        json!({"url": "ftp://api.example"}),
        json!({"url": "https://user@api.example"}),
        json!({"url": "https://api.example/?a=b"}),
        json!({"url": "https://api.example/#a"}),
        json!({"url": "https://api.example/a//b"}),
        json!({"url": "https://api.example/a%2fb"}),
        json!({"provider": null}),
        json!({"provider": "gitlab"}),
        json!({"installation": {"id": 7, "permissions": {"contents": "read"}}}),
        json!({"provider": "entra", "shares_token": null, "token": [["x"], null]}),
        json!({"provider": null, "shares_token": null, "users_of": ["github"], "installation": [7, {"contents": "read"}, []]}),
        json!({"allow": null}),
        json!({"allow": []}),
        json!({"allow": ["GET /x", "everything"]}),
        json!({"allow": ["GET /x?y"]}),
        json!({"body_limit_kib": 0}),
        json!({"body_limit_kib": 102_401}),
        json!({"body_limit_kib": -1}),
        json!({"body_limit_kib": "1"}),
        json!({"timeout_seconds": 0}),
        json!({"timeout_seconds": 301}),
        json!({"private_network": "yes"}),
        json!({"request_headers": "Prefer"}),
        json!({"request_headers": [1]}),
        json!({"refuse_method_override": "yes"}),
        json!({"allow": ["GET /x//"]}),
        json!({"allow": ["GET /x//*"]}),
        json!({"allow": ["GET /x%2Fy"]}),
        json!({"allow": ["GET /x%23y"]}),
        json!({"provider": null, "shares_token": null, "users_of": ["github"], "installation": {"id": 0, "permissions": {"contents": "read"}}}),
        json!({"provider": null, "shares_token": null, "users_of": ["github"], "installation": {"id": 7, "permissions": {}}}),
        json!({"provider": null, "shares_token": null, "users_of": ["github"], "installation": {"id": 7, "permissions": {"contents": "everything"}}}),
        json!({"provider": null, "shares_token": null, "users_of": ["github"], "installation": {"id": 7, "permissions": {"contents": "read"}, "repositories": ["a/b"]}}),
        json!({"provider": null, "shares_token": null, "users_of": ["github"], "installation": {"id": 7, "permissions": {"contents": "read"}, "more": 1}}),
    ] {
        assert!(!loads(&changes), "{changes}");
    }
    for text in [
        r#"[["api","https://api.example","github",null,true,null,null,["GET /x"],false,null,null]]"#,
        "{}",
        "[",
        "[[]]",
        "null",
        "\"x\"",
        "[{\"name\":\"a\",\"name\":\"b\"}]",
    ] {
        assert!(load(text, false).is_err(), "{text}");
    }
    assert!(load(&json!([entry(&json!({})), entry(&json!({}))]).to_string(), false).is_err(), "two of one name");
}

#[test]
fn a_service_may_name_request_headers_and_refuse_other_methods_in_a_query() {
    let changes = json!({"request_headers": ["X-GitHub-Api-Version", "Prefer", "prefer", "Accept"], "refuse_method_override": true});
    let services = load(&json!([entry(&changes)]).to_string(), false).unwrap();
    let api = &services[2];
    // Each once, and without those that every service gets.
    assert_eq!(api.request_headers, ["prefer", "x-github-api-version"]);
    assert!(api.refuses_method_override);
    let text = json!([entry(&json!({"request_headers": "LIST"}))]).to_string();
    assert!(
        load(&text.replace("\"LIST\"", "[]"), false).is_ok() && load(&text.replace("\"LIST\"", "null"), false).is_err()
    );
    assert!(!services[0].refuses_method_override);
    assert!(loads(&json!({"allow": ["GET /items/", "GET /items/*", "GET /users/a%40b"]})));
}

#[test]
fn built_in_services_get_the_headers_of_their_apis_and_those_of_a_setting() {
    let graph = ["client-request-id", "consistencylevel", "prefer", "workbook-session-id"];
    let headers = |changes: &Value| {
        let config = config_with(changes.clone());
        ["graph", "github"].map(|name| config.service(name).unwrap().request_headers.clone())
    };
    let [of_graph, of_github] = headers(&json!({}));
    assert_eq!(of_graph, graph);
    assert_eq!(of_github, ["x-github-api-version"]);
    let changes = json!({"GRAPH_REQUEST_HEADERS": "Return-Client-Request-Id, prefer ,Accept", "GITHUB_REQUEST_HEADERS": "Prefer"});
    let [of_graph, of_github] = headers(&changes);
    assert_eq!(of_graph, [&graph[..3], &["return-client-request-id"], &graph[3..]].concat());
    assert_eq!(of_github, ["prefer", "x-github-api-version"]);
}

#[test]
fn s162_a_service_cannot_name_headers_of_identity_origin_and_connection() {
    for name in
        ["Cookie", "Authorization", "Host", "X-Forwarded-For", "X-User", "TE", "Connection", "Sec-Fetch-Site", ""]
    {
        let problem =
            load(&json!([entry(&json!({"request_headers": ["Prefer", name]}))]).to_string(), false).unwrap_err();
        assert!(problem.starts_with("entry 1: `request_headers` must be names"), "{name}: {problem}");
    }
    let many =
        |count: usize| loads(&json!({"request_headers": (0..count).map(|n| format!("x-{n}")).collect::<Vec<_>>()}));
    assert!(many(16) && !many(17));
    let mut table = settings();
    table.insert("SERVICES".to_owned(), json!([entry(&json!({"request_headers": ["x-edge-visitor"]}))]).to_string());
    let is_valid = |table: &BTreeMap<String, String>| {
        Config::load(&|key: &str| table.get(key).cloned(), Coordination::Objects).is_ok()
    };
    assert!(is_valid(&table));
    table.insert("CLIENT_ADDRESS_HEADER".to_owned(), "X-Edge-Visitor".to_owned());
    assert!(!is_valid(&table), "the header of the proxy in front");
}

#[test]
fn s134_empty_token_restriction_is_rejected() {
    let api = |field: &str| {
        let text = r#"[{"name":"api","url":"https://api.example","provider":"entra","allow":["GET /x"],FIELD}]"#;
        load(&text.replace("FIELD", field), false).is_ok()
    };
    assert!(api(r#""token":{"scopes":["api://x/read"]}"#));
    for field in [r#""token":null"#, r#""token":{}"#, r#""token":{"scopes":[]}"#, r#""token":{"scopes":[""]}"#] {
        assert!(!api(field), "{field}");
    }
    let app = |field: &str| {
        let text = r#"[{"name":"app","url":"https://api.example","users_of":["github"],"allow":["GET /x"],"installation":{"id":7,"permissions":{"contents":"read"}FIELD}}]"#;
        load(&text.replace("FIELD", field), false).is_ok()
    };
    assert!(app("") && app(r#","repositories":["docs"]"#));
    for field in [r#","repositories":[]"#, r#","repositories":null"#, r#","repositories":[""]"#] {
        assert!(!app(field), "{field}");
    }
}

#[test]
fn duplicate_permission_is_rejected() {
    let permissions = |text: &str| {
        let change = json!({"provider": null, "shares_token": null, "users_of": ["github"], "installation": {"id": 7, "permissions": "PERMISSIONS"}});
        load(&json!([entry(&change)]).to_string().replace("\"PERMISSIONS\"", text), false)
    };
    assert!(permissions(r#"{"contents":"read","issues":"write"}"#).is_ok());
    for text in [r#"{"contents":"write","contents":"read"}"#, r#"{"contents":"read","c\u006fntents":"write"}"#] {
        assert!(permissions(text).unwrap_err().contains("a name twice"), "{text}");
    }
}

#[test]
fn problem_names_the_field_and_not_its_value() {
    let problem = load(
        &json!([entry(&json!({})), entry(&json!({"name": "b", "url": "https://s3cret@b.example"}))]).to_string(),
        false,
    );
    assert_eq!(problem.unwrap_err(), "entry 2: `url` must have no user, query or fragment");
    let problem = load(&json!([entry(&json!({"timeout_seconds": "s3cret"}))]).to_string(), false).unwrap_err();
    assert!(!problem.contains("s3cret"), "{problem}");
    let problem = load(&json!([entry(&json!({"colour": "s3cret"}))]).to_string(), false).unwrap_err();
    assert!(problem.contains("`colour`") && !problem.contains("s3cret"), "{problem}");
    let problem = load(&json!([entry(&json!({"two\nlines": 1}))]).to_string(), false).unwrap_err();
    assert!(problem.contains("`twolines`"), "{problem}");
}

#[test]
fn s104_private_networks_need_an_opt_in_and_metadata_hosts_are_rejected() {
    for host in ["10.0.0.1", "0x7f000001", "[fd00::1]", "[::ffff:192.168.0.1]", "api.internal", "localhost", "api"] {
        let url = format!("https://{host}");
        assert!(!loads(&json!({"url": url})), "{host}");
        assert!(loads(&json!({"url": url, "private_network": true})), "{host}");
    }
    for host in ["169.254.169.254", "0xa9fea9fe", "[fe80::1]", "metadata.google.internal", "[fd00:ec2::254]"] {
        assert!(!loads(&json!({"url": format!("https://{host}"), "private_network": true})), "{host}");
    }
    // In development, loopback is allowed and nothing else.
    let at = |url: &str| load(&json!([entry(&json!({"url": url}))]).to_string(), true).is_ok();
    assert!(at("http://localhost:9000") && at("http://127.0.0.1:9000"));
    assert!(!at("http://10.0.0.1") && !at("https://10.0.0.1") && !at("http://169.254.169.254"));
}

#[test]
fn s104_metadata_hosts_are_rejected_for_built_in_endpoints() {
    let of = |key: &str, address: &str| {
        let mut table = settings();
        table.insert(key.to_owned(), address.to_owned());
        Config::load(&|key: &str| table.get(key).cloned(), Coordination::Objects).map(drop)
    };
    for key in ["GITHUB_URL", "GITHUB_API_URL", "GRAPH_URL", "ENTRA_AUTHORITY", "BRIDGE_URL"] {
        for host in ["169.254.169.254", "0xa9fea9fe", "[fe80::1]", "[::ffff:169.254.1.1]", "metadata.google.internal"] {
            let problems = of(key, &format!("https://{host}")).unwrap_err();
            assert_eq!(problems.first().map(|problem| problem.key), Some(key), "{host}");
        }
        for host in ["10.0.0.1", "[fd00::1]", "127.0.0.1", "bridge.internal"] {
            assert_eq!(of(key, &format!("https://{host}")), Ok(()), "{key} may be on a private network");
        }
    }
}
