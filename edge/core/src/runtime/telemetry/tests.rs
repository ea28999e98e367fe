use std::collections::BTreeSet;

use http::{HeaderMap, HeaderValue};
use secrecy::SecretString;
use serde_json::json;

use super::{super::redact, *};
use crate::{
    error::{Error, reject},
    session::id::SessionId,
    testing::platform::InMemoryPlatform,
    token_set::TokenSet,
};

/// Fails to compile if the type is a [`Field`], because the call of `name` is then ambiguous.
macro_rules! assert_cannot_be_logged {
    ($($kind:ty),* $(,)?) => {{
        $({
            trait AmbiguousIfField<A> { fn name() {} }
            impl<T: ?Sized> AmbiguousIfField<()> for T {}
            struct IsField;
            impl<T: Field> AmbiguousIfField<IsField> for T {}
            let _ = <$kind as AmbiguousIfField<_>>::name;
        })*
    }};
}

fn line(event: Event) -> Value {
    let platform = InMemoryPlatform::new(|_| None);
    event.write(&platform);
    serde_json::from_str(&platform.log.borrow()[0]).unwrap()
}

#[test]
fn s133_secrets_and_untrusted_text_are_not_log_fields() {
    assert_cannot_be_logged!(
        SecretString,
        &SecretString,
        String,
        &String,
        TokenSet,
        &TokenSet,
        SessionId,
        &SessionId,
        url::Url,
        &url::Url,
        HeaderMap,
        &HeaderMap,
        HeaderValue,
        Value,
        Vec<u8>,
        serde_json::Error,
    );
}

#[test]
fn line_has_time_level_and_event_and_omits_fields_without_a_value() {
    let line = line(Event::warn(EventName::Config).with("status", StatusCode::OK).with("none", None::<u64>));
    assert_eq!(line, json!({"level": "warn", "event": "config", "status": 200, "time": "2027-01-15T08:00:00.000Z"}));
}

#[test]
fn s133_redaction_removes_paths_parameters_and_tokens_from_untrusted_text() {
    for (text, shown) in [
        (
            "error sending request for url (https://u:p@idp.example:8443/cb?code=abc&state=x)",
            "error sending request for url https://idp.example:8443",
        ),
        ("connect ECONNREFUSED 127.0.0.1:8790", "connect ECONNREFUSED 127.0.0.1:8790"),
        (
            "invalid type: string \"gho_16C7e42F292c6912E7710c838347Ae178B4a\", expected u64",
            "invalid type: string \"…\", expected u64",
        ),
        ("eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0.eyJzdWIiOiJzIn0x.short", "….….short"),
        ("code=hunter2", "code=…"),
        ("login.microsoftonline.com answered 502 Bad Gateway", "login.microsoftonline.com answered 502 Bad Gateway"),
        ("incorrect_client_credentials", "incorrect_client_credentials"),
        ("a\r\nb\u{1b}[31m\"}", "a b[31m\"}"),
    ] {
        assert_eq!(without_secrets(text), shown, "{text:?}");
    }
    assert!(without_secrets(&"a ".repeat(1000)).len() <= redact::MAX_DETAIL_CHARS);
}

#[test]
fn name_that_is_too_long_or_has_other_characters_is_logged_as_an_ellipsis() {
    assert_eq!(Name("graph").value(), "graph");
    assert_eq!(Name("[::1]\n").value(), "…");
    assert_eq!(Name(&"a".repeat(65)).value(), "…");
}

#[test]
fn rejected_request_logs_one_line_with_a_kebab_case_reason() {
    let platform = InMemoryPlatform::new(|_| None);
    for (error, reason, level) in [
        (Error::Forbidden { reason: Reason::CsrfHeader }, "x-csrf-header-missing-repeated-or-wrong", "info"),
        (Error::NotFound, "not-found", "info"),
        (Unavailable::new(Dependency::SessionCoordinator, "x").into(), "session-coordinator-unavailable", "error"),
    ] {
        platform.log.borrow_mut().clear();
        reject(&platform, &error, Some(&Method::GET));
        assert_eq!(platform.log.borrow().len(), 1);
        let line: Value = serde_json::from_str(&platform.log.borrow()[0]).unwrap();
        assert_eq!(
            (&line["event"], &line["reason"], &line["level"]),
            (&json!("reject"), &json!(reason), &json!(level))
        );
        assert_eq!(line["status"], error.status().as_u16());
        assert_eq!(line["code"], error.code());
    }
}

/// The part of docs/operations.md with this heading, up to the next heading.
fn operations(heading: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    rest.lines().take_while(|line| !line.starts_with("## ")).map(|line| format!("{line}\n")).collect()
}

/// The code spans in the first cell of each row of the tables.
fn codes_of_rows(text: &str) -> Vec<String> {
    let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn every_reason_is_logged_as_its_kebab_case_code() {
    let mut codes = BTreeSet::new();
    for &reason in Reason::ALL {
        let error = Error::BadRequest { reason };
        let line = line(Event::info(EventName::Reject).with("reason", error.log_reason()));
        let code = line["reason"].as_str().unwrap().to_owned();
        assert_eq!(code, kebab(reason.as_str()));
        assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{code}");
        assert!(codes.insert(code), "two reasons have the code of {reason}");
    }
}

#[test]
fn documented_outages_are_exactly_the_dependencies() {
    // The rate limiter fails open, and a slow client gets a status of its own: neither is a reason.
    let is_reason = |dependency: &&Dependency| !matches!(dependency, Dependency::RateLimiter | Dependency::Client);
    let codes: BTreeSet<String> =
        Dependency::ALL.iter().filter(is_reason).map(|part| kebab(part.as_str()) + "-unavailable").collect();
    let documented = codes_of_rows(&operations("Outages")).into_iter().filter(|code| code != "reason");
    assert_eq!(documented.collect::<BTreeSet<_>>(), codes);
}

#[test]
fn every_event_is_documented() {
    let documented = codes_of_rows(&operations("The edge's log"));
    for event in EventName::ALL {
        assert!(documented.iter().any(|code| code == event.as_str()), "{event}");
    }
}

/// Operators alert on the reasons that docs/operations.md names, so renaming one must fail a test.
#[test]
fn every_documented_reason_exists() {
    let codes: Vec<String> = Reason::ALL.iter().map(|reason| kebab(reason.as_str())).collect();
    let text = operations("Rejects");
    let rows = text.lines().filter(|line| line.starts_with("| `reason` "));
    let documented = rows.flat_map(|row| row.split('`').skip(3).step_by(2)).filter(|code| code.contains('-'));
    let documented: Vec<&str> = documented.collect();
    assert!(documented.len() > 6, "{documented:?}");
    for code in documented {
        assert!(codes.iter().any(|known| known == code), "{code}");
    }
}
