use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn of(challenges: &[&str]) -> Option<StepUp> {
    let mut headers = HeaderMap::new();
    for challenge in challenges {
        headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_str(challenge).unwrap());
    }
    StepUp::of_challenge(&headers)
}

fn claims_challenge(json: &str) -> String {
    format!(r#"Bearer realm="", error="insufficient_claims", claims="{}""#, STANDARD.encode(json))
}

fn parameters(challenges: &[&str]) -> Vec<(&'static str, String)> {
    let step_up = of(challenges).unwrap();
    step_up.parameters().map(|(name, value)| (name, value.to_owned())).collect()
}

const ACRS: &str = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#;
const CAE: &str = r#"{"access_token":{"nbf":{"essential":true, "value":"1604106651"}}}"#;

#[test]
fn claims_are_passed_on_as_the_upstream_wrote_them() {
    for json in [
        CAE,
        r#"{"access_token":{"acrs":{"essential":true,"value":"c1"},"xms_rp_ipaddr":{"value":"203.0.113.7"}}}"#,
        r#"{"id_token":{"acr":{"values":["a","b"]},"auth_time":null},"userinfo":{"email":{}}}"#,
    ] {
        assert_eq!(parameters(&[&claims_challenge(json)]), [("claims", json.to_owned())]);
        for encoded in [URL_SAFE_NO_PAD.encode(json), STANDARD.encode(json).trim_end_matches('=').to_owned()] {
            let challenge = format!("DPoP claims={encoded}, error=insufficient_claims");
            // A token may hold neither `=` nor `/`; Entra quotes the value.
            let quoted = format!("DPoP claims=\"{encoded}\", error=insufficient_claims");
            assert!(encoded.contains(['/', '=']) || of(&[&challenge]).is_some(), "{challenge}");
            assert!(of(&[&quoted]).is_some(), "{quoted}");
        }
    }
    let graph = format!(
        r#"Bearer authorization_uri="https://login.windows.net/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000", error="insufficient_claims", claims="{}""#,
        STANDARD.encode(CAE)
    );
    assert!(of(&["Basic realm=\"x\"", &graph]).is_some());
    assert!(of(&[&format!("Basic realm=\"x\", {graph}")]).is_some());
}

#[test]
fn claims_of_another_form_are_no_demand() {
    let long = format!(r#"{{"access_token":{{"acrs":{{"value":"{}"}}}}}}"#, "c".repeat(MAX_CLAIMS_BYTES));
    for json in [
        "",
        "{}",
        "[]",
        "null",
        "1",
        r#""access_token""#,
        r#"{"access_token":{}}"#,
        r#"{"access_token":[]}"#,
        r#"{"access_token":{"acrs":"c1"}}"#,
        r#"{"access_token":{"acrs":{"value":{"a":1}}}}"#,
        r#"{"access_token":{"acrs":{"values":[]}}}"#,
        r#"{"access_token":{"acrs":{"values":[["c1"]]}}}"#,
        r#"{"access_token":{"acrs":{"essential":"yes"}}}"#,
        r#"{"access_token":{"acrs":{"other":1}}}"#,
        r#"{"access_token":{"":null}}"#,
        r#"{"access_token":{"a b":null}}"#,
        r#"{"access_token":{"acrs":null},"scope":"admin"}"#,
        r#"{"access_token":{"acrs":null},"access_token":{"nbf":null}}"#,
        r#"{"access_token":{"acrs":null,"acrs":{"value":"c1"}}}"#,
        r#"{"access_token":{"acrs":null}} x"#,
        "{\"access_token\":{\"acrs\":null}",
        &long,
    ] {
        assert_eq!(of(&[&claims_challenge(json)]), None, "{json}");
    }
    let encoded = STANDARD.encode(CAE);
    for challenge in [
        format!(r#"Basic error="insufficient_claims", claims="{encoded}""#),
        format!(r#"Bearer error="invalid_token", claims="{encoded}""#),
        format!(r#"Bearer claims="{encoded}""#),
        format!(r#"Bearer error="insufficient_claims", claims="{encoded}", claims="{encoded}""#),
        format!(r#"Bearer error="insufficient_claims", error="insufficient_claims", claims="{encoded}""#),
        r#"Bearer error="insufficient_claims""#.to_owned(),
        r#"Bearer error="insufficient_claims", claims="%%%""#.to_owned(),
        r#"Bearer error="insufficient_claims", claims="/////w""#.to_owned(),
        format!(r#"Bearer error="insufficient_claims", claims="{encoded}"#),
        format!(r#"Bearer x="{}", error="insufficient_claims", claims="{encoded}""#, "x".repeat(MAX_CHALLENGE_BYTES)),
    ] {
        assert_eq!(of(&[&challenge]), None, "{challenge}");
    }
    assert_eq!(of(&[]), None);
}

#[test]
fn rfc_9470_demands_a_context_class_an_age_or_both() {
    let both = r#"Bearer error="insufficient_user_authentication", error_description="x", acr_values="urn:mfa phr", max_age=5"#;
    assert_eq!(parameters(&[both]), [("acr_values", "urn:mfa phr".to_owned())]);
    assert_eq!(of(&[both]).unwrap().max_age_seconds(), Some(5));
    let age = r#"DPoP error="insufficient_user_authentication", max_age="0""#;
    assert_eq!((parameters(&[age]), of(&[age]).unwrap().max_age_seconds()), (Vec::new(), Some(0)));
    for parameters in [
        "",
        r#", acr_values="""#,
        r#", acr_values="a  b""#,
        r#", acr_values=" a""#,
        r#", acr_values="a\"b""#,
        r#", max_age="-1""#,
        r#", max_age="1.5""#,
        r#", max_age="""#,
        r#", max_age="9999999999""#,
        r#", acr_values="a", max_age="x""#,
        r#", acr_values="a", max_age="1", max_age="2""#,
    ] {
        let challenge = format!(r#"Bearer error="insufficient_user_authentication"{parameters}"#);
        assert_eq!(of(&[&challenge]), None, "{challenge}");
    }
    let long = "a".repeat(MAX_ACR_BYTES + 1);
    assert_eq!(of(&[&format!(r#"Bearer error="insufficient_user_authentication", acr_values="{long}""#)]), None);
}

#[test]
fn each_demand_of_each_service_has_its_own_digest() {
    let demands = [
        of(&[&claims_challenge(CAE)]).unwrap(),
        of(&[&claims_challenge(ACRS)]).unwrap(),
        of(&[&claims_challenge(&ACRS.replace("c1", "c2"))]).unwrap(),
        of(&[&claims_challenge(&ACRS.replace("access_token", "id_token"))]).unwrap(),
        of(&[r#"Bearer error="insufficient_user_authentication", acr_values="5""#]).unwrap(),
        of(&[r#"Bearer error="insufficient_user_authentication", max_age="5""#]).unwrap(),
    ];
    let digests: std::collections::HashSet<_> =
        demands.iter().flat_map(|it| [it.digest("a"), it.digest("b")]).collect();
    assert_eq!(digests.len(), 2 * demands.len());
}

#[test]
fn a_demand_that_is_written_anew_is_the_same_demand() {
    let digest = |json: &str| of(&[&claims_challenge(json)]).unwrap().digest("a");
    for (first, second) in [
        (CAE, CAE.replace("1604106651", "1604106652")),
        (CAE, CAE.replace(r#""1604106651""#, "1604106652")),
        (CAE, CAE.replace(' ', "")),
        (CAE, CAE.replace("}}}", r#"}},"id_token":null}"#)),
        (
            r#"{"access_token":{"nbf":{"value":"1"},"xms_rp_ipaddr":{"value":"192.0.2.1"},"acrs":{"value":"c1"}}}"#,
            r#"{"access_token":{"acrs":{"value":"c1"},"xms_rp_ipaddr":{"value":"192.0.2.2"},"nbf":{"value":"2"}}}"#
                .to_owned(),
        ),
    ] {
        assert_eq!(digest(first), digest(&second), "{second}");
    }
}

proptest! {
    #[test]
    fn arbitrary_challenges_do_not_panic(start in "(Bearer error=\"?insufficient_(claims|user_authentication)\"?)?", rest in "[ -~\t]{0,120}") {
        let _ = of(&[&format!("{start}{rest}")]);
    }

    #[test]
    fn every_demand_is_bounded_and_of_the_documented_form(json in "\\{\"access_token\":\\{\"acrs\":[ -~]{0,60}\\}\\}") {
        if let Some(step_up) = of(&[&claims_challenge(&json)]) {
            prop_assert!(serde_json::from_str::<Value>(&json).unwrap()["access_token"]["acrs"].as_str().is_none());
            prop_assert_eq!(step_up.parameters().collect::<Vec<_>>(), [("claims", json.as_str())]);
        }
    }
}
