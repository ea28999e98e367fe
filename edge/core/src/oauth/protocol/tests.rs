use serde_json::json;

use super::{
    super::refresh::{Refresh, refresh},
    *,
};
use crate::testing::{
    openid::{ProviderFixture, tokens as before},
    run::run,
};

const ANSWER: &str = r#"{"access_token":"s3cret-a","token_type":"Bearer","expires_in":"60","refresh_token":"s3cret-r","id_token":"s3cret-i","scope":"a,b c"}"#;

#[test]
fn an_answer_shows_no_secret_printed_or_serialized() {
    let answer: TokenAnswer = serde_json::from_str(ANSWER).unwrap();
    let shown = format!("{answer:?} {}", serde_json::to_string(&answer).unwrap());
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn s108_an_answer_followed_by_something_else_is_none() {
    for (more, is_lost) in [("\n", false), ("{}", true), (",", true)] {
        let headers = vec![("content-type", "application/json".to_owned())];
        let fixture = ProviderFixture::new(json!({}), json!({}), move |sent| {
            (sent.url.ends_with("/token"))
                .then(|| (200, headers.clone(), ANSWER.replace(r#""id_token":"s3cret-i","#, "") + more))
        });
        let outcome = run(refresh(&fixture.client(), &before(), None, None));
        assert_eq!(matches!(outcome, Refresh::Lost), is_lost, "{more} {outcome:?}");
    }
}
