use serde_json::json;

use super::*;
use crate::testing::{
    openid::{ProviderFixture, form, tokens},
    run::run,
    settings::config_with,
};

fn answer(status: u16) -> impl Fn(&crate::testing::platform::Sent) -> Option<crate::testing::platform::Answer> {
    move |_| Some((status, vec![], String::new()))
}

#[test]
fn refresh_token_is_revoked_with_client_authentication() {
    let fixture = ProviderFixture::new(json!({}), json!({}), answer(200));
    assert!(run(revoke(&fixture.client(), &tokens(), None)));
    let sent = fixture.sent();
    assert_eq!(sent[0].url, "https://id.corp.example/revoke");
    assert_eq!(
        (form(&sent[0])["token"].as_str(), form(&sent[0])["token_type_hint"].as_str()),
        ("old-refresh", "refresh_token")
    );
    assert!(sent[0].headers.contains_key("authorization"));
    let without_refresh_token = TokenSet { refresh_token: None, ..tokens() };
    assert!(run(revoke(&fixture.client(), &without_refresh_token, None)));
    assert_eq!(form(&fixture.sent()[1])["token"], "old-access");
}

#[test]
fn s128_failed_or_missing_revocation_is_not_confirmed_and_only_a_failure_is_logged() {
    for upstream in [answer(503), answer(404)] {
        let fixture = ProviderFixture::new(json!({}), json!({}), upstream);
        assert!(!run(revoke(&fixture.client(), &tokens(), None)));
        let log = fixture.platform.log.borrow().iter().cloned().collect::<String>();
        assert!(log.contains("revocation.failed") && !log.contains("old-refresh"));
    }
    let fixture = ProviderFixture::new(json!({}), json!({"revocation_endpoint": null}), answer(200));
    assert!(!run(revoke(&fixture.client(), &tokens(), None)));
    assert!(fixture.sent().is_empty());
}

#[test]
fn github_access_token_is_revoked_through_githubs_api() {
    for (status, confirmed) in [(204, true), (404, true), (422, true), (401, false)] {
        let fixture = ProviderFixture::for_provider("github", config_with(json!({})), json!({}), answer(status));
        let only_access_token = TokenSet { refresh_token: None, ..tokens() };
        assert_eq!(run(revoke(&fixture.client(), &only_access_token, None)), confirmed, "{status}");
        let sent = fixture.sent();
        assert_eq!(sent[0].method, Method::DELETE);
        assert_eq!(sent[0].url, "https://api.github.com/applications/github-client/token");
        assert_eq!(sent[0].body, r#"{"access_token":"old-access"}"#);
        assert_eq!(
            sent[0].headers["authorization"],
            format!("Basic {}", STANDARD.encode("github-client:github-secret-value-5d0c8b3f9a6e2714"))
        );
    }
}

#[test]
fn s128_github_without_the_access_token_does_not_confirm_that_the_refresh_token_is_revoked() {
    for status in [404, 422] {
        let fixture = ProviderFixture::for_provider("github", config_with(json!({})), json!({}), answer(status));
        assert!(!run(revoke(&fixture.client(), &tokens(), None)), "{status}");
        let log = fixture.platform.log.borrow().iter().cloned().collect::<String>();
        assert!(log.contains("revocation.failed") && !log.contains("old-"), "{log}");
    }
}

#[test]
fn s128_slow_provider_delays_the_caller_by_four_seconds_at_most() {
    let fixture = ProviderFixture::new(json!({}), json!({}), answer(200));
    fixture.platform.network_ms.set(20_000);
    let started_at_ms = fixture.platform.now_ms.get();
    let client = fixture.client();
    let tokens = tokens();
    let confirmed = crate::testing::run::run_all(&fixture.platform, vec![Box::pin(revoke(&client, &tokens, None))]);
    assert_eq!((confirmed, fixture.platform.now_ms.get() - started_at_ms), (vec![false], 4000));
}
