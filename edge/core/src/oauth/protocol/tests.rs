use serde_json::json;

use super::{
    super::refresh::{RefreshOutcome, refresh},
    *,
};
use crate::testing::{
    openid::{ProviderFixture, tokens as before},
    run::run,
};

const ANSWER: &str = r#"{"access_token":"s3cret-a","token_type":"Bearer","expires_in":"60","refresh_token":"s3cret-r","id_token":"s3cret-i","scope":"a,b c"}"#;

#[test]
fn token_response_prints_and_serializes_no_secret() {
    let response: TokenResponse = serde_json::from_str(ANSWER).unwrap();
    let output = format!("{response:?} {}", serde_json::to_string(&response).unwrap());
    assert!(!output.contains("s3cret"), "{output}");
}

#[test]
fn s108_token_response_with_trailing_data_leaves_the_outcome_unknown() {
    for (trailing, is_unknown) in [("\n", false), ("{}", true), (",", true)] {
        let headers = vec![("content-type", "application/json".to_owned())];
        let fixture = ProviderFixture::new(json!({}), json!({}), move |sent| {
            (sent.url.ends_with("/token"))
                .then(|| (200, headers.clone(), ANSWER.replace(r#""id_token":"s3cret-i","#, "") + trailing))
        });
        let outcome = run(refresh(&fixture.client(), &before(), None, None));
        assert_eq!(matches!(outcome, RefreshOutcome::Unknown), is_unknown, "{trailing} {outcome:?}");
    }
}
