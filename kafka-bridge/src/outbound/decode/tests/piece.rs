//! Which records are pieces of a message, and which complete it.

use super::*;

fn item(kind: &str, data: &str, more: &[(&str, &str)]) -> Item {
    let headers = [&[("ce_type", kind)][..], more].concat();
    decode_default(&for_user(Some(data), &headers)).unwrap().item
}

fn completes(item: &Item) -> Option<&str> {
    assert_eq!(item.piece_of, None);
    item.completes.as_deref()
}

#[test]
fn a_delta_is_a_piece_of_the_message_that_its_data_names() {
    let delta = item("delta", r#"{"seq":0,"text":"H","id":"m\u0031"}"#, &[("ce_id", "e1")]);
    assert_eq!((delta.piece_of.as_deref(), delta.completes), (Some("chat/m1"), None));
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(257));
    for data in ["{}", r#"{"id":""}"#, r#"{"id":1}"#, r#"["m1"]"#, r#""m1""#, "null", &long] {
        let delta = item("delta", data, &[("ce_id", "m1")]);
        assert_eq!((delta.piece_of, delta.completes), (None, None), "{data}");
    }
}

#[test]
fn the_whole_message_completes_it_and_so_does_its_deletion() {
    assert_eq!(completes(&item("message", r#"{"id":"m1"}"#, &[("ce_id", "e1")])), Some("chat/m1"));
    assert_eq!(completes(&item("message", r#"{"text":"hi"}"#, &[("ce_id", "m1")])), Some("chat/m1"));
    assert_eq!(completes(&item("message", r#"{"text":"hi"}"#, &[])), None);
    assert_eq!(completes(&item("delete", r#"{"id":"m1"}"#, &[])), Some("chat/m1"));
    assert_eq!(completes(&item("form", r#"{"id":"m1"}"#, &[])), None);
    let tombstone = decode_default(&for_user(None, &[("ce_subject", "m1")])).unwrap().item;
    assert_eq!(completes(&tombstone), Some("chat/m1"));
}

#[test]
fn what_a_user_says_is_no_part_of_a_backends_message() {
    for kind in ["message", "delta", "delete"] {
        let echo = item(kind, r#"{"id":"m1"}"#, &[("ce_causewayecho", "true")]);
        assert_eq!((echo.piece_of, echo.completes), (None, None), "{kind}");
    }
}

#[test]
fn a_batch_is_a_piece_if_all_of_its_events_are() {
    let of_batch = |events: &[(&str, &str)]| {
        let event = |(kind, id): &(&str, &str)| {
            format!(r#"{{"specversion":"1.0","id":"e","type":"{kind}","data":{{"id":"{id}"}}}}"#)
        };
        let value = format!("[{}]", events.iter().map(event).collect::<Vec<_>>().join(","));
        let fetched = for_user(Some(&value), &[("content-type", "application/cloudevents-batch+json")]);
        let Item { piece_of, completes, .. } = decode_default(&fetched).unwrap().item;
        (piece_of.unwrap_or_default(), completes.unwrap_or_default())
    };
    let roles = |piece_of: &str, completes: &str| (piece_of.to_owned(), completes.to_owned());
    assert_eq!(of_batch(&[("delta", "m1"), ("delta", "m1")]), roles("chat/m1", ""));
    assert_eq!(of_batch(&[("delta", "m1"), ("delta", "m2")]), roles("", ""));
    assert_eq!(of_batch(&[("delta", "m1"), ("form", "m1")]), roles("", ""));
    assert_eq!(of_batch(&[("delta", "m1"), ("message", "m1")]), roles("", "chat/m1"));
    assert_eq!(of_batch(&[("message", "m1"), ("message", "m2"), ("delta", "m3")]), roles("", "chat/m2"));
}
