//! No record, however odd, panics or makes a frame that a client would misread.

use causeway_protocol::{buffer::cases::Received, buffer::cases::received_in, event::StreamEvent};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{select, subsequence},
};

use super::{super::header::Headers, *};

/// JSON, and what is nearly JSON.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let json = concat!(
        r#"[ \r\n]{0,3}(\{"id":[ \n]{0,2}"[a-z\\"\r\n\u{2028}]{0,4}",?[ \n]{0,2}("data":(1|null|"\PC{0,6}"))?\}|"#,
        r#""\PC{0,9}"|-?[0-9]{1,30}|\[(1,)*1?\])[ \r\n]{0,3}"#,
    );
    prop_oneof![
        json.prop_map(String::into_bytes),
        structured_event().prop_map(String::into_bytes),
        vec(any::<u8>(), 0..40),
    ]
}

/// A structured event, most often a valid one.
fn structured_event() -> impl Strategy<Value = String> {
    let good = select(vec![r#""id":"e1""#, r#""id":"\n\u0000""#, "\"id\":\r\n\"\u{2028}\""]);
    let bad = select(vec![r#""id":"\ud800""#, r#""id":1"#, r#""id":"","#, r#""id":"e1","id":"e2""#]);
    let id = prop_oneof![12 => good, 1 => bad];
    let data = select(vec![
        r#""other":null"#,
        "\"data\":{\"id\":\"m\",\r\n\"text\":\"\\n\\n\"}",
        r#""data":[[[["\ud800"]]]]"#,
        r#""data_base64":"aGkKCmlkOiB4Cgo=""#,
        r#""data_base64":"AQID""#,
    ]);
    let more = vec![
        r#""datacontenttype":"text/plain""#,
        r#""causewayecho":true"#,
        r#""time":"2026-01-02T03:04:05Z""#,
        r#""traceparent":"\r\nid: x\r\n\r\n""#,
    ];
    (id, data, subsequence(more, 0..=4)).prop_map(|(id, data, more)| {
        let members = [vec![r#""specversion":"1.0""#, r#""type":"delta""#, id, data], more].concat();
        format!("{{{}}}", members.join(",\n"))
    })
}

/// A value and the content type that announces it.
fn structured() -> impl Strategy<Value = (Vec<u8>, &'static str)> {
    let one = structured_event().prop_map(|event| (event.into_bytes(), "application/cloudevents+json"));
    let batch = vec(structured_event(), 0..4)
        .prop_map(|events| (format!("[{}]", events.join(",\n")).into_bytes(), "application/cloudevents-batch+json"));
    prop_oneof![one, batch]
}

fn header() -> impl Strategy<Value = (String, Vec<u8>)> {
    let name = select(vec![
        "ce_id",
        "ce_type",
        "ce_time",
        "ce_subject",
        "ce_specversion",
        "ce_causewayecho",
        "content-type",
        "traceparent",
        SIGNATURE_HEADER,
    ]);
    let text = select(vec![
        "true",
        "1.0",
        "delta",
        "message",
        "github:1",
        "a\r\nid: x\n\ndata: y",
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
        "application/cloudevent\u{17f}",
        "2026-01-02T03:04:05+23:59",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ]);
    let value = prop_oneof![4 => text.prop_map(|text| text.as_bytes().to_vec()), 1 => vec(any::<u8>(), 0..20)];
    (name, value).prop_map(|(name, value)| (name.to_owned(), value))
}

fn any_record() -> impl Strategy<Value = FetchedRecord> {
    let key = prop_oneof![9 => Just(Some(b"github:1".to_vec())), 1 => option::of(vec(any::<u8>(), 0..9))];
    let headers = vec(header(), 0..5).prop_map(|headers| headers.into_iter().collect::<Headers>());
    let value = option::weighted(0.9, value());
    (key, value, option::of(structured()), headers, any::<i64>(), 0..i64::MAX).prop_map(
        |(key, value, structured, mut headers, timestamp_ms, offset)| {
            let value = structured.map_or(value, |(value, content_type)| {
                headers.insert("content-type".to_owned(), content_type.as_bytes().to_vec());
                Some(value)
            });
            FetchedRecord { offset, timestamp_ms, record: NewRecord { key, value, headers } }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn a_frame_consists_of_complete_events_of_valid_json(
        fetched in any_record(),
        schema_registry in any::<bool>(),
        max_record_bytes in prop_oneof![Just(MAX_RECORD_BYTES), 0..600_usize],
    ) {
        let rules = ChannelRules { schema_registry, max_record_bytes, signature: None };
        let Ok(Addressed { item, .. }) = decode_with(&rules, &fetched) else { return Ok(()) };
        prop_assert!(item.frame.len() <= max_record_bytes);
        let received = received_in(&item.frame);
        let lines: Vec<_> = item.frame.split('\n').filter(|line| !line.is_empty()).collect();
        prop_assert_eq!(lines.len(), 2 * received.len(), "an id and a line of data each");
        prop_assert_eq!(received.last(), Some(&Received::Record(format!("v2.chat.2.3.{}", fetched.offset))));
        for data in lines.iter().filter_map(|line| line.strip_prefix("data: ")) {
            let event: StreamEvent = serde_json::from_str(data).unwrap();
            prop_assert!(!event.id.is_empty() && !event.kind.is_empty());
        }
    }

    #[test]
    fn any_json_value_arrives_as_it_was_written(text in "\\PC{0,40}", number in any::<f64>()) {
        let json = serde_json::to_string(&(text, number, ["\r\n"])).unwrap();
        let event: StreamEvent = serde_json::from_str(&events(&for_user(Some(&json), &[])).concat()).unwrap();
        prop_assert_eq!(event.data.get(), json);
    }
}
