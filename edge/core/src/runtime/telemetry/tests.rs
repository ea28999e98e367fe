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

/// Does not compile if the type is a [`Field`]: then both implementations of `name` fit, and which is meant is unclear.
macro_rules! assert_cannot_be_logged {
    ($($kind:ty),* $(,)?) => {{
        $({
            trait Unclear<A> { fn name() {} }
            impl<T: ?Sized> Unclear<()> for T {}
            struct IsField;
            impl<T: Field> Unclear<IsField> for T {}
            let _ = <$kind as Unclear<_>>::name;
        })*
    }};
}

fn line(event: Event) -> Value {
    let platform = InMemoryPlatform::new(|_| None);
    event.write(&platform);
    serde_json::from_str(&platform.log.borrow()[0]).unwrap()
}

#[test]
fn s133_no_secret_and_no_text_of_others_has_a_way_into_the_log() {
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
fn a_line_has_time_level_and_name_and_leaves_out_what_has_no_value() {
    let line = line(Event::warn("x").with("status", StatusCode::OK).with("none", None::<u64>));
    assert_eq!(line, json!({"level": "warn", "event": "x", "status": 200, "time": "2027-01-15T08:00:00.000Z"}));
}

#[test]
fn s133_text_of_others_loses_urls_parameters_and_tokens_but_says_what_happened() {
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
fn a_name_is_a_name_or_not_shown() {
    assert_eq!(Name("graph").value(), "graph");
    assert_eq!(Name("[::1]\n").value(), "…");
    assert_eq!(Name(&"a".repeat(65)).value(), "…");
}

#[test]
fn a_refusal_is_one_line_with_its_reason_as_a_code() {
    let platform = InMemoryPlatform::new(|_| None);
    for (error, reason, level) in [
        (
            Error::Forbidden { reason: "X-CSRF header missing, repeated or wrong" },
            "x-csrf-header-missing-repeated-or-wrong",
            "info",
        ),
        (Error::NotFound, "not-found", "info"),
        (Unavailable::new("session coordinator", "x").into(), "session-coordinator-unavailable", "error"),
    ] {
        platform.log.borrow_mut().clear();
        reject(&platform, &error, Some(&Method::GET));
        let line: Value = serde_json::from_str(&platform.log.borrow()[0]).unwrap();
        assert_eq!(
            (&line["event"], &line["reason"], &line["level"]),
            (&json!("reject"), &json!(reason), &json!(level))
        );
        assert_eq!(line["status"], error.status().as_u16());
        assert_eq!(line["code"], error.code());
    }
}

/// Texts that stand in the source after any of these.
fn texts_after(source: &str, openings: &[&str]) -> Vec<String> {
    let after = |opening: &&str| {
        let texts = source.split(*opening).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
        texts.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect::<Vec<_>>()
    };
    openings.iter().flat_map(after).collect()
}

fn sources_below(folder: &str) -> String {
    fn read(folder: &std::path::Path, into: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_test = ["tests", "journey", "simulated"].iter().any(|part| path.to_string_lossy().contains(part));
            match path.is_dir() {
                _ if is_test => {}
                true => read(&path, into),
                false => {
                    *into += std::fs::read_to_string(path).unwrap().split("#[cfg(test)]\nmod tests {").next().unwrap()
                }
            }
        }
    }
    let mut source = String::new();
    read(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut source);
    source
}

#[test]
fn every_reason_comes_out_as_itself() {
    let reasons = texts_after(&sources_below("src"), &["reason:", "refused("]);
    assert!(reasons.len() > 40, "{reasons:?}");
    for reason in reasons {
        let expected = kebab(&reason);
        let error = Error::BadRequest { reason: reason.leak() };
        let line = line(Event::info("reject").with("reason", error.log_reason()));
        assert_eq!(line["reason"], expected);
        assert!(expected.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{expected}");
    }
}

#[test]
fn every_outage_is_in_the_documentation_and_no_other() {
    // Neither rejects a request: uncounted requests pass, and a slow client gets a status of its own.
    const NO_REASON: [&str; 2] = ["rate limiter", "client"];
    let source = ["src", "../workers/src", "../spin/src"].map(sources_below).concat();
    let mut parts = texts_after(&source, &["Unavailable::new(", "encode_json(", "const PART: &str ="]);
    let waits = source.split("within(").skip(1).filter_map(|rest| rest.split(';').next());
    parts.extend(waits.filter_map(|call| call.split('"').nth(1)).map(str::to_owned));
    let mut found: Vec<String> = parts
        .iter()
        .filter(|part| !NO_REASON.contains(&part.as_str()))
        .map(|part| kebab(part) + "-unavailable")
        .collect();
    let operations = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md");
    let operations = std::fs::read_to_string(operations).unwrap();
    let (_, outages) = operations.split_once("\n## Outages\n").unwrap();
    let rows = outages.lines().take_while(|line| !line.starts_with("## ")).filter_map(|line| line.split('|').nth(1));
    let mut named: Vec<String> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
    named.retain(|reason| reason != "reason");
    for reasons in [&mut found, &mut named] {
        reasons.sort();
        reasons.dedup();
    }
    assert_eq!(found, named);
}

#[test]
fn every_event_is_in_the_documentation() {
    let events =
        texts_after(&sources_below("src"), &["Event::info(", "Event::warn(", "Event::error(", "Event::new(level,"]);
    assert!(events.len() > 15, "{events:?}");
    let operations = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md");
    let operations = std::fs::read_to_string(operations).unwrap();
    let rows: Vec<&str> = operations.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).collect();
    for event in events {
        assert!(rows.iter().any(|row| row.contains(&format!("`{event}`"))), "{event}");
    }
}

/// Who alerts on a reason that docs/operations.md names must not find that it was renamed in passing.
#[test]
fn every_reason_that_the_documentation_names_can_occur() {
    let source = kebab(&sources_below("src"));
    let home = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let operations = std::fs::read_to_string(home.join("../../docs/operations.md")).unwrap();
    let rows = operations.lines().filter(|line| line.starts_with("| `reason` "));
    let named: Vec<&str> =
        rows.flat_map(|row| row.split('`').skip(3).step_by(2)).filter(|code| code.contains('-')).collect();
    assert!(named.len() > 6, "{named:?}");
    for reason in named {
        assert!(source.contains(reason), "{reason}");
    }
}
