use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::testing::{
    openid::{ProviderFixture, form, json_answer, token, tokens},
    platform::{Answer, Sent},
    run::run,
    settings::config_with,
};

fn token_answer(change: Value) -> Answer {
    let mut body =
        json!({"access_token": "new-access", "token_type": "bearer", "expires_in": 60, "refresh_token": "new-refresh"});
    crate::testing::entra::merge(&mut body, change);
    json_answer(200, body)
}

fn corp(answer: impl Fn(&Sent) -> Option<Answer> + 'static) -> (ProviderFixture, RefreshOutcome) {
    let fixture = ProviderFixture::new(json!({}), json!({}), answer);
    let outcome = run(refresh(&fixture.client(), &tokens(), None, None));
    (fixture, outcome)
}

fn github(answer: impl Fn(&Sent) -> Option<Answer> + 'static) -> (ProviderFixture, RefreshOutcome) {
    let fixture = ProviderFixture::for_provider("github", config_with(json!({})), json!({}), answer);
    let outcome = run(refresh(&fixture.client(), &tokens(), None, None));
    (fixture, outcome)
}

fn refreshed(outcome: RefreshOutcome) -> TokenSet {
    match outcome {
        RefreshOutcome::Refreshed(tokens) => *tokens,
        other => panic!("{other:?}"),
    }
}

fn text(secret: &Option<SecretString>) -> Option<&str> {
    secret.as_ref().map(|secret| secret.expose_secret())
}

#[test]
fn new_tokens_replace_the_old_ones() {
    let (fixture, outcome) = corp(|_| Some(token_answer(json!({}))));
    let renewed = refreshed(outcome);
    assert_eq!(renewed.access_token.expose_secret(), "new-access");
    assert_eq!(text(&renewed.refresh_token), Some("new-refresh"));
    assert_eq!(renewed.expires_at_ms, Some(fixture.platform.now_ms.get() + 60_000));
    assert_eq!(text(&renewed.id_token), text(&tokens().id_token), "the old ID token is kept as the logout hint");
    let sent = fixture.sent();
    assert_eq!((sent.len(), sent[0].url.as_str()), (1, "https://id.corp.example/token"));
    assert_eq!(form(&sent[0])["refresh_token"], "old-refresh");
    assert!(!form(&sent[0]).contains_key("scope"));
}

#[test]
fn lifetime_may_be_written_as_text_and_is_unknown_if_invalid() {
    for (expires_in, lifetime_ms) in
        [(json!("60"), Some(60_000)), (json!(0), Some(0)), (json!("soon"), None), (json!(-1), None)]
    {
        let (fixture, outcome) = corp(move |_| Some(token_answer(json!({"expires_in": expires_in}))));
        let expires_at_ms = refreshed(outcome).expires_at_ms;
        assert_eq!(expires_at_ms, lifetime_ms.map(|life_ms: u64| fixture.platform.now_ms.get() + life_ms));
    }
}

#[test]
fn s120_answer_without_a_refresh_token_keeps_the_old_one_and_reduced_scopes_are_stored() {
    let (_, outcome) = corp(|_| Some(token_answer(json!({"refresh_token": null}))));
    let tokens = refreshed(outcome);
    assert_eq!(text(&tokens.refresh_token), Some("old-refresh"));
    assert_eq!(tokens.scopes, ["openid", "profile"], "scopes that the answer omits are unchanged");
    let (_, outcome) = corp(|_| Some(token_answer(json!({"scope": "openid"}))));
    assert_eq!(refreshed(outcome).scopes, ["openid"]);
}

#[test]
fn s113_only_an_error_code_that_says_so_ends_the_grant() {
    for code in ["invalid_grant", "interaction_required"] {
        let (_, outcome) = corp(move |_| Some(json_answer(400, json!({"error": code, "error_description": "<b>"}))));
        assert!(matches!(outcome, RefreshOutcome::GrantEnded(reason) if reason.as_str() == code), "{code} {outcome:?}");
    }
    for (status, code) in [
        (400, "temporarily_unavailable"),
        (401, "invalid_client"),
        (400, "unauthorized_client"),
        (400, "invalid_request"),
        (400, "invalid_scope"),
        (400, "never heard of"),
        (500, "invalid_grant"),
        (503, "server_error"),
    ] {
        let (fixture, outcome) = corp(move |_| Some(json_answer(status, json!({"error": code}))));
        assert!(matches!(outcome, RefreshOutcome::Failed { .. }), "{status} {code} {outcome:?}");
        assert_eq!(fixture.sent().len(), 1);
    }
    for status in [301, 307, 403, 404, 429, 500, 502, 503] {
        let (_, outcome) =
            corp(move |_| Some((status, vec![("location", "https://evil.example".to_owned())], "<html>".to_owned())));
        assert!(matches!(outcome, RefreshOutcome::Failed { .. }), "{status} {outcome:?}");
    }
}

#[test]
fn s113_retry_after_of_the_provider_is_bounded() {
    for (retry_after, expected_seconds) in [("7", Some(7)), ("86400", Some(300)), ("soon", None)] {
        let (_, outcome) = corp(move |_| Some((429, vec![("retry-after", retry_after.to_owned())], String::new())));
        assert!(
            matches!(outcome, RefreshOutcome::Failed { retry_after_seconds, .. } if retry_after_seconds == expected_seconds),
            "{retry_after}"
        );
    }
}

#[test]
fn m65_githubs_errors_come_with_status_200() {
    let (_, outcome) = github(|_| Some(json_answer(200, json!({"error": "bad_refresh_token"}))));
    assert!(matches!(outcome, RefreshOutcome::GrantEnded(Reason::BadRefreshToken)));
    let (_, outcome) = github(|_| Some(json_answer(200, json!({"error": "incorrect_client_credentials"}))));
    assert!(matches!(outcome, RefreshOutcome::Failed { .. }));
}

#[test]
fn s108_lost_or_unreadable_answer_is_distinguished_from_a_refusal() {
    assert!(matches!(corp(|_| None).1, RefreshOutcome::Unknown));
    let json = || vec![("content-type", "application/json".to_owned())];
    let long = format!(r#"{{"access_token":"{}"}}"#, "x".repeat(70_000));
    for (status, body) in [
        (200, ""),
        (200, "{}"),
        (200, "<html>"),
        (200, long.as_str()),
        (200, r#"{"access_token":"a\nb","token_type":"bearer"}"#),
        (504, ""),
    ] {
        let (body, headers) = (body.to_owned(), json());
        let (_, outcome) = corp(move |_| Some((status, headers.clone(), body.clone())));
        assert!(matches!(outcome, RefreshOutcome::Unknown), "{status} {outcome:?}");
    }
    let body = r#"{"access_token":"a","token_type":"bearer"}"#;
    let (_, outcome) = corp(move |_| Some((200, vec![("content-type", "text/html".to_owned())], body.to_owned())));
    assert!(matches!(outcome, RefreshOutcome::Unknown));
    let (_, outcome) = corp(|_| Some(token_answer(json!({"token_type": "mac"}))));
    assert!(matches!(outcome, RefreshOutcome::Unknown));
}

#[test]
fn s108_refresh_token_is_not_resent_after_a_server_error_if_a_repeat_revokes_the_grant() {
    for (entry, status, is_unknown) in [
        (json!({}), 500, false),
        (json!({}), 502, false),
        (json!({}), 503, false),
        (json!({"retry_lost_refresh": false}), 500, true),
        (json!({"retry_lost_refresh": false}), 502, true),
        (json!({"retry_lost_refresh": false}), 503, true),
        (json!({"retry_lost_refresh": false}), 429, false),
    ] {
        let fixture =
            ProviderFixture::new(entry.clone(), json!({}), move |_| Some((status, Vec::new(), String::new())));
        let outcome = run(refresh(&fixture.client(), &tokens(), None, None));
        assert_eq!(matches!(outcome, RefreshOutcome::Unknown), is_unknown, "{entry} {status}: {outcome:?}");
    }
}

/// A proxy also answers 503 if its connection to the provider breaks after the provider has processed the request.
#[test]
fn s113_status_503_rules_out_consumption_only_with_retry_after() {
    for (retry_after, consumed) in [(Some("7"), false), (Some("Wed, 21 Oct 2026 07:28:00 GMT"), false), (None, true)] {
        let headers: Vec<_> = retry_after.map(|value| ("retry-after", value.to_owned())).into_iter().collect();
        let answer = move |_: &Sent| Some((503, headers.clone(), String::new()));
        let (_, outcome) = corp(answer.clone());
        assert!(
            matches!(outcome, RefreshOutcome::Failed { possibly_consumed, .. } if possibly_consumed == consumed),
            "{retry_after:?} {outcome:?}"
        );
        let fixture = ProviderFixture::new(json!({"retry_lost_refresh": false}), json!({}), answer);
        assert_eq!(
            matches!(run(refresh(&fixture.client(), &tokens(), None, None)), RefreshOutcome::Unknown),
            consumed,
            "{retry_after:?}"
        );
    }
}

#[test]
fn m42_an_id_token_of_the_same_user_and_sign_in_is_kept() {
    for change in [
        json!({}),
        json!({"nonce": null}),
        // Claims of another type than before, on which no decision depends.
        json!({"ver": 1}),
        json!({"groups": "one"}),
        json!({"email": ["ada@corp.example"]}),
        json!({"name": {"given": "Ada"}}),
        json!({"auth_time": 1_799_999_990.0}),
        json!({"auth_time": 1_799_999_990.5}),
    ] {
        let id_token = token(change);
        let expected = id_token.clone();
        let (_, outcome) = corp(move |_| Some(token_answer(json!({"id_token": id_token}))));
        let renewed = refreshed(outcome);
        let kept = text(&renewed.id_token).unwrap();
        assert_eq!(super::super::jws::unverified_claims::<Value>(kept).unwrap()["sub"], "248289");
        assert_eq!(kept, expected);
    }
}

#[test]
fn m42_auth_time_is_compared_with_every_later_id_token() {
    let first = text(&tokens().id_token).map(str::to_owned);
    let without_auth_time = token(json!({"auth_time": null}));
    let (_, outcome) = corp(move |_| Some(token_answer(json!({"id_token": without_auth_time}))));
    let after = refreshed(outcome);
    assert_eq!(
        text(&after.id_token),
        first.as_deref(),
        "an ID token without auth_time does not replace one that has it"
    );
    let fixture = ProviderFixture::new(json!({}), json!({}), |_| {
        Some(token_answer(json!({"id_token": token(json!({"auth_time": 1_800_000_000}))})))
    });
    let outcome = run(refresh(&fixture.client(), &after, None, None));
    assert!(matches!(outcome, RefreshOutcome::SubjectMismatch { .. }), "{outcome:?}");
    // If the ID token of the sign-in has no auth_time, the first one that has it is kept.
    let before_auth_time = TokenSet { id_token: Some(token(json!({"auth_time": null})).into()), ..tokens() };
    let fixture =
        ProviderFixture::new(json!({}), json!({}), |_| Some(token_answer(json!({"id_token": token(json!({}))}))));
    let renewed = refreshed(run(refresh(&fixture.client(), &before_auth_time, None, None)));
    assert_eq!(text(&renewed.id_token), first.as_deref());
}

#[test]
fn s55_id_token_of_another_user_is_a_mismatch_and_its_tokens_are_returned_for_revocation() {
    for change in [
        json!({"sub": "other"}),
        json!({"iss": "https://evil.example"}),
        json!({"aud": "other"}),
        json!({"aud": ["corp-client", "other"]}),
        json!({"azp": "other"}),
        json!({"nonce": "other"}),
        json!({"auth_time": 1}),
    ] {
        let id_token = token(change.clone());
        let (fixture, outcome) = corp(move |_| Some(token_answer(json!({"id_token": id_token}))));
        let RefreshOutcome::SubjectMismatch { tokens, .. } = outcome else { panic!("{change} {outcome:?}") };
        assert_eq!(text(&tokens.refresh_token), Some("new-refresh"), "the tokens received by mistake are returned");
        assert!(
            fixture.sent().iter().all(|sent| !sent.url.ends_with("/revoke")),
            "the session ends before the tokens are revoked"
        );
    }
    let forged = crate::testing::openid::signed(json!({}), &crate::testing::openid::claims(json!({})), 8);
    let (_, outcome) = corp(move |_| Some(token_answer(json!({"id_token": forged}))));
    assert!(matches!(outcome, RefreshOutcome::SubjectMismatch { .. }));
}

#[test]
fn new_tokens_survive_an_outage_of_the_signing_keys() {
    let with_token = |change: Value| {
        let id_token = token(change);
        let fixture =
            ProviderFixture::new(json!({}), json!({"jwks_uri": "https://id.corp.example/other-keys"}), move |sent| {
                sent.url.ends_with("/token").then(|| token_answer(json!({"id_token": id_token})))
            });
        run(refresh(&fixture.client(), &tokens(), None, None))
    };
    let renewed = refreshed(with_token(json!({"iat": 1_800_000_100})));
    assert_eq!(renewed.access_token.expose_secret(), "new-access");
    assert_eq!(text(&renewed.id_token), Some(token(json!({})).as_str()), "an unverified token is not kept");
    assert!(matches!(with_token(json!({"sub": "other"})), RefreshOutcome::SubjectMismatch { .. }));
}

#[test]
fn s42_new_tokens_survive_a_key_rotation_not_seen_yet() {
    let with_token = |change: Value| {
        let id_token = with_unknown_key(&token(change));
        corp(move |sent| sent.url.ends_with("/token").then(|| token_answer(json!({"id_token": id_token})))).1
    };
    let renewed = refreshed(with_token(json!({"iat": 1_800_000_100})));
    assert_eq!(renewed.access_token.expose_secret(), "new-access");
    assert_eq!(text(&renewed.id_token), Some(token(json!({})).as_str()), "an unverified token is not kept");
    for change in [
        json!({"sub": "other"}),
        json!({"aud": "other"}),
        json!({"iss": "https://other.example"}),
        json!({"events": {}}),
    ] {
        assert!(matches!(with_token(change), RefreshOutcome::SubjectMismatch { .. }));
    }
}

/// The token with the id of an unknown key in its header.
fn with_unknown_key(token: &str) -> String {
    let (header, rest) = token.split_once('.').unwrap();
    let mut header: Value = serde_json::from_slice(&BASE64.decode(header).unwrap()).unwrap();
    header["kid"] = json!("next-key");
    format!("{}.{rest}", BASE64.encode(header.to_string()))
}

#[test]
fn without_a_refresh_token_nothing_is_sent() {
    let fixture = ProviderFixture::new(json!({}), json!({}), |_| None);
    let before = TokenSet { refresh_token: None, ..tokens() };
    assert!(matches!(run(refresh(&fixture.client(), &before, None, None)), RefreshOutcome::GrantEnded(_)));
    assert!(fixture.sent().is_empty());
}

#[test]
fn m67_github_refresh_posts_a_form_with_the_client_secret() {
    let (fixture, outcome) = github(|_| Some(token_answer(json!({"scope": "read:user,repo", "id_token": null}))));
    assert_eq!(refreshed(outcome).scopes, ["read:user", "repo"]);
    let sent = fixture.sent();
    assert_eq!((&sent[0].method, sent[0].url.as_str()), (&Method::POST, "https://github.com/login/oauth/access_token"));
    assert_eq!(sent[0].headers["accept"], "application/json");
    assert_eq!(form(&sent[0])["client_secret"], "github-secret-value-5d0c8b3f9a6e2714");
}

/// A wrong clock at the edge must not end a session.
#[test]
fn s117_id_token_outside_its_time_by_our_clock_is_not_kept() {
    for change in [json!({"exp": 1}), json!({"iat": 1_800_000_300})] {
        let id_token = token(change);
        let (_, outcome) = corp(move |_| Some(token_answer(json!({"id_token": id_token}))));
        let renewed = refreshed(outcome);
        assert_eq!(renewed.access_token.expose_secret(), "new-access");
        assert_eq!(text(&renewed.id_token), Some(token(json!({})).as_str()));
    }
}

#[test]
fn unreadable_error_to_a_restricted_request_may_have_consumed_the_refresh_token() {
    let restriction = Restriction { scopes: vec!["mail".to_owned()], resource: None };
    let refresh_with = |retries: bool, restriction: Option<&Restriction>| {
        let answer = |_: &Sent| Some(json_answer(400, r#"{"error": "invalid_sc"#));
        let fixture = ProviderFixture::new(json!({"retry_lost_refresh": retries}), json!({}), answer);
        run(refresh(&fixture.client(), &tokens(), restriction, None))
    };
    assert!(matches!(refresh_with(false, Some(&restriction)), RefreshOutcome::Unknown), "a repeat might end the grant");
    assert!(matches!(refresh_with(true, Some(&restriction)), RefreshOutcome::Failed { possibly_consumed: true, .. }));
    assert!(matches!(refresh_with(true, None), RefreshOutcome::Failed { possibly_consumed: false, .. }));
    assert!(matches!(refresh_with(false, None), RefreshOutcome::Failed { possibly_consumed: false, .. }));
}
