//! CloudEvents in structured mode, and batches of them.

use super::*;

const STRUCTURED: &str = "application/cloudevents+json; charset=UTF-8";
const BATCH: &str = "Application/CloudEvents-Batch+JSON";

fn structured(value: &str) -> FetchedRecord {
    for_user(Some(value), &[("content-type", STRUCTURED), ("ce_id", "ignored")])
}

fn batch(events: &[&str]) -> FetchedRecord {
    for_user(Some(&format!("[{}]", events.join(","))), &[("content-type", BATCH)])
}

/// A structured event with more members.
fn event(id: &str, members: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"{id}","type":"message","source":"/test"{members}}}"#)
}

/// The data of the event that a structured event with these members becomes.
fn data(members: &str) -> Result<String, &'static str> {
    let item = decode_default(&structured(&event("e1", members))).map_err(DecodeError::reason)?.item;
    let (_, data) = item.frame.split_once(r#","data":"#).unwrap();
    Ok(data.trim_end().strip_suffix('}').unwrap().to_owned())
}

#[test]
fn the_value_contains_the_whole_event() {
    let members =
        r#","time":"2026-01-02T03:04:05Z","subject":"github:2","causewayecho":true,"other":[1],"data":{"n": 1e400}"#;
    let fetched = structured(&event("e\\u0031", members));
    assert_eq!(decode_default(&fetched).unwrap().subject.to_string(), "github:1", "the key decides");
    let start = r#"{"channel":"chat","id":"e1","type":"message","time":"2026-01-02T03:04:05Z""#;
    assert_eq!(events(&fetched), [format!(r#"{start},"echo":true,"data":{{"n": 1e400}}}}"#)]);
}

#[test]
fn an_event_may_have_no_data() {
    assert_eq!(data("").as_deref(), Ok("null"));
    assert_eq!(data(r#","data":null"#).as_deref(), Ok("null"));
}

#[test]
fn base64_data_is_shown_if_it_is_json_or_text() {
    // {"a":1}, then the text 12, then broken UTF-8
    assert_eq!(data(r#","data_base64":"eyJhIjoxfQ==""#).as_deref(), Ok(r#"{"a":1}"#));
    assert_eq!(data(r#","data_base64":"eyJhIjoxfQ""#).as_deref(), Ok(r#"{"a":1}"#));
    assert_eq!(data(r#","datacontenttype":"text/plain","data_base64":"MTI=""#).as_deref(), Ok(r#""12""#));
    assert_eq!(data(r#","datacontenttype":"application/x+json","data_base64":"MTI=""#).as_deref(), Ok("12"));
    // hi"
    assert_eq!(data(r#","data_base64":"aGki""#).as_deref(), Ok(r#""hi\"""#));
    assert_eq!(data(r#","datacontenttype":"application/json","data_base64":"aGki""#), Err("value_not_json"));
    assert_eq!(data(r#","data_base64":"/w==""#), Err("binary_data"));
    assert_eq!(data(r#","data_base64":"%%%""#), Err("binary_data"));
    assert_eq!(data(r#","data":1,"data_base64":"MTI=""#), Err("not_a_cloudevent"));
}

#[test]
fn what_is_no_cloud_event_is_a_dead_letter() {
    for (value, expected) in [
        ("", "value_not_json"),
        ("{", "value_not_json"),
        ("1", "not_a_cloudevent"),
        (r#"["1.0","e1","message",null,null,null,null,null,null]"#, "not_a_cloudevent"),
        (r#"{"text":"plain JSON"}"#, "not_a_cloudevent"),
        (r#"{"specversion":"1.0","type":"message"}"#, "not_a_cloudevent"),
        (r#"{"specversion":"1.0","id":1,"type":"message"}"#, "not_a_cloudevent"),
        (r#"{"specversion":"1.0","id":"a","id":"b","type":"message"}"#, "not_a_cloudevent"),
        (r#"{"specversion":"2.0","id":"e1","type":"message"}"#, "unsupported_specversion"),
        (r#"{"specversion":"1.0","id":"","type":"message"}"#, "bad_attribute"),
    ] {
        assert_eq!(reason(&structured(value)), expected, "{value}");
    }
}

#[test]
fn the_events_of_a_batch_arrive_in_order_and_the_last_has_the_records_cursor() {
    let fetched = batch(&[&event("e1", r#","data":1"#), &event("e2", r#","data":2"#)]);
    let frame = decode_default(&fetched).unwrap().item.frame;
    let fields: Vec<_> = frame.lines().map(|line| line.split(",\"type\"").next().unwrap()).collect();
    let first = ["id: v2.chat.2.3.7-0", r#"data: {"channel":"chat","id":"e1""#, ""];
    let second = ["id: v2.chat.2.3.7", r#"data: {"channel":"chat","id":"e2""#, ""];
    assert_eq!(fields, [first, second].concat());
}

#[test]
fn a_batch_is_delivered_whole_or_not_at_all() {
    let one = event("e1", "");
    assert_eq!(events(&batch(&vec![one.as_str(); 100])).len(), 100);
    assert_eq!(reason(&batch(&vec![one.as_str(); 101])), "too_many_events");
    assert_eq!(reason(&batch(&vec!["0"; 100_000])), "too_many_events");
    assert_eq!(reason(&batch(&[])), "empty_batch");
    assert_eq!(reason(&batch(&[&one, "{}"])), "not_a_cloudevent");
    assert_eq!(reason(&for_user(Some(&one), &[("content-type", BATCH)])), "not_a_cloudevent");
}

#[test]
fn escapes_that_make_the_frame_larger_count() {
    // Control characters, which take six characters each in JSON.
    let text = "\u{1}".repeat(MAX_RECORD_BYTES / 4);
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    assert_eq!(data(&format!(r#","data_base64":"{base64}""#)), Err("too_large"));
}
