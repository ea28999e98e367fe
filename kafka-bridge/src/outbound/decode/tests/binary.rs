//! CloudEvents in binary mode, plain JSON, deletions, and what holds for records of every form.

use super::*;

#[test]
fn a_cloud_event_keeps_its_attributes_and_bytes() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", "e1"),
        ("ce_type", "status"),
        ("ce_time", "2026-01-02T03:04:05Z"),
        ("ce_subject", "github:2"),
        ("traceparent", trace),
    ];
    let fetched = for_user(Some("{\"n\":\n1.0000000000000000001}"), &headers);
    let Addressed { subject, item, .. } = decode_default(&fetched).unwrap();
    assert_eq!(subject.to_string(), "github:1", "the key decides who receives the event");
    assert_eq!(item.offset, 7);
    let attributes = r#""channel":"chat","id":"e1","type":"status","time":"2026-01-02T03:04:05Z""#;
    let data = r#"{"n": 1.0000000000000000001}"#;
    let event = format!(r#"{{{attributes},"traceparent":"{trace}","data":{data}}}"#);
    assert_eq!(item.frame, format!("id: v2.chat.2.3.7\ndata: {event}\n\n"));
}

#[test]
fn plain_json_is_a_message_with_the_records_place_and_time() {
    let fetched = for_user(Some(r#" {"text":"hi"} "#), &[("ce_time", "yesterday"), ("traceparent", "none")]);
    assert_eq!(
        events(&fetched),
        [r#"{"channel":"chat","id":"2-3-7","type":"message","time":"2023-11-14T22:13:20.123Z","data":{"text":"hi"}}"#]
    );
}

#[test]
fn a_time_that_rfc_3339_cannot_write_is_left_out() {
    for timestamp_ms in [-1, i64::MIN, i64::MAX, 253_402_300_800_000] {
        let fetched = FetchedRecord { timestamp_ms, ..for_user(Some("1"), &[]) };
        assert!(events(&fetched).concat().contains(r#""time":"1970-01-01T00:00:00.000Z""#), "{timestamp_ms}");
    }
}

#[test]
fn an_echo_of_the_users_words_says_so() {
    let echo = events(&for_user(Some("{}"), &[("ce_causewayecho", "true")])).concat();
    assert!(echo.contains(r#""echo":true"#), "{echo}");
    let other = events(&for_user(Some("{}"), &[("ce_causewayecho", "false")])).concat();
    assert!(!other.contains("echo"), "{other}");
}

#[test]
fn a_record_without_a_value_deletes_what_its_subject_names() {
    let deletion = |headers: &[(&str, &str)]| {
        let text = events(&for_user(None, headers)).concat();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["type"], "delete");
        (value["id"].as_str().unwrap().to_owned(), value["data"].to_string())
    };
    let of = |id: &str, data: &str| (id.to_owned(), data.to_owned());
    assert_eq!(deletion(&[("ce_id", "e1"), ("ce_subject", "m1")]), of("e1", r#"{"id":"m1"}"#));
    assert_eq!(deletion(&[("ce_subject", "m\"1")]), of("2-3-7", r#"{"id":"m\"1"}"#));
    assert_eq!(deletion(&[("ce_id", "m1"), ("ce_type", "message")]), of("2-3-7", r#"{"id":"m1"}"#));
    assert_eq!(deletion(&[("ce_id", "m1"), ("ce_subject", "github:1")]), of("2-3-7", r#"{"id":"m1"}"#));
    assert_eq!(deletion(&[]), of("2-3-7", "null"));
}

#[test]
fn a_schema_registrys_frame_is_removed_where_it_is_allowed() {
    let rules = ChannelRules { schema_registry: true, ..ChannelRules::default() };
    let framed = for_user(Some("\0\0\0\0\u{7}{\"a\":1}"), &[]);
    for fetched in [&framed, &for_user(Some("{\"a\":1}"), &[])] {
        assert!(decode_with(&rules, fetched).unwrap().item.frame.contains(r#""data":{"a":1}}"#));
    }
    assert_eq!(reason(&framed), "schema_registry_frame");
    let short = for_user(Some("\0\0\0\0"), &[]);
    assert_eq!(decode_with(&rules, &short).unwrap_err().reason(), "bad_schema_registry_frame");
    let other_format = for_user(Some("\0\0\0\0\u{7}\u{2}\u{6}"), &[]);
    assert_eq!(decode_with(&rules, &other_format).unwrap_err().reason(), "value_not_json");
}

#[test]
fn a_channel_may_have_a_lower_limit() {
    let fetched = for_user(Some(&format!("\"{}\"", "x".repeat(800))), &[]);
    let limited = |max_record_bytes| ChannelRules { max_record_bytes, ..ChannelRules::default() };
    let bytes = decode_default(&fetched).unwrap().item.frame.len();
    assert!(decode_with(&limited(bytes), &fetched).is_ok());
    for max_record_bytes in [bytes - 1, 802, 801, 0] {
        assert_eq!(decode_with(&limited(max_record_bytes), &fetched).unwrap_err(), DecodeError::TooLarge);
    }
}

#[test]
fn each_kind_of_poison_record_has_its_reason() {
    let long = vec![b'"'; MAX_RECORD_BYTES + 1];
    let limit = format!("\"{}\"", "x".repeat(MAX_RECORD_BYTES - 2));
    let long_id = [b'x'; 257];
    let key = Some(b"a:b".as_slice());
    for (key, value, headers, expected) in [
        (None, b"{}".as_slice(), vec![], "no_key"),
        (Some(b"nokey".as_slice()), b"{}", vec![], "key_not_a_subject"),
        (Some(b"a:\xff"), b"{}", vec![], "key_not_a_subject"),
        (key, b"{\"text\":\"\xff\"}", vec![], "value_not_utf8"),
        (key, b"{} {}", vec![], "value_not_json"),
        (key, b"", vec![], "value_not_json"),
        (key, &long, vec![], "too_large"),
        (key, limit.as_bytes(), vec![], "too_large"),
        (key, b"{}", vec![("ce_id", b"".as_slice())], "bad_attribute"),
        (key, b"{}", vec![("ce_id", &long_id)], "bad_attribute"),
        (key, b"{}", vec![("ce_type", b"\xff")], "bad_attribute"),
        (key, b"{}", vec![("ce_specversion", b"0.3")], "unsupported_specversion"),
        (key, b"{}", vec![("content-type", b"application/cloudevents+avro")], "unsupported_format"),
    ] {
        assert_eq!(reason(&record(key, Some(value), &headers)), expected);
    }
    assert_eq!(reason(&for_user(None, &[("ce_subject", "")])), "bad_attribute");
}

#[test]
fn the_documentation_lists_every_reason() {
    let page = include_str!("../../../../../docs/events.md");
    for error in DecodeError::ALL {
        assert!(page.contains(&format!("`{}`", error.reason())), "{error:?}");
    }
}
