use super::*;

/// 32 bytes in base64url.
const SECRET: &str = "f7eAwgURGJfaAuFCah89McGSGntwB7cnPybLmr5iOcw";

fn parse(text: &str) -> Result<Vec<ChannelSettings>, String> {
    channels(Some(text)).map_err(|error| error.to_string())
}

#[test]
fn the_default_is_one_channel_with_an_echo() {
    let [chat] = channels(None).unwrap().try_into().unwrap();
    assert_eq!(chat.name.as_str(), "chat");
    assert_eq!((chat.inbound.as_deref(), chat.outbound.as_deref()), (Some("chat.inbound"), Some("chat.outbound")));
    assert!(chat.echo && chat.signature.is_none() && !chat.schema_registry);
    assert_eq!(chat.max_record_bytes, MAX_RECORD_BYTES);
}

#[test]
fn a_channel_may_have_one_direction_only_and_then_has_no_echo() {
    let text = r#"[{"name":"a","inbound":"a.in"},{"name":"b","outbound":"b.out","schema_registry":true},
        {"name":"c","inbound":"c.in","outbound":"c.out","echo":false,"max_record_bytes":4096}]"#;
    let [said, heard, quiet] = parse(text).unwrap().try_into().unwrap();
    assert_eq!((said.outbound, said.echo), (None, false));
    assert_eq!((heard.inbound, heard.echo, heard.schema_registry), (None, false, true));
    assert_eq!((quiet.echo, quiet.max_record_bytes), (false, 4096));
}

#[test]
fn keys_of_a_signature_are_read_and_never_shown() {
    let text = format!(
        r#"[{{"name":"a","outbound":"a.out",
            "signature":{{"algorithm":"hmac-sha256","keys":{{"k1":"{SECRET}","k2":"{SECRET}"}}}}}}]"#
    );
    let [channel] = parse(&text).unwrap().try_into().unwrap();
    let shown = format!("{channel:?}");
    assert!(shown.contains("k1") && shown.contains("k2"), "{shown}");
    assert!(!shown.contains(SECRET) && !shown.contains("127, 183"), "{shown}");
}

#[test]
fn an_error_names_the_member_and_shows_no_value() {
    let signed = |signature: &str| format!(r#"[{{"name":"a","outbound":"a.out","signature":{signature}}}]"#);
    for (text, expected) in [
        ("hunter2", "no JSON at line 1, column 1"),
        (r#""hunter2""#, "must be a JSON list of objects"),
        ("[]", "must name 1 to 100 channels"),
        (r#"["hunter2"]"#, "channel 1 must be an object"),
        (r#"[{"inbound":"a.in"}]"#, "channel 1: name must be 1-64"),
        (r#"[{"name":"hunter2 ","inbound":"a.in"}]"#, "channel 1: name must be 1-64"),
        (r#"[{"name":"a"}]"#, "channel 1: inbound and outbound are missing"),
        (r#"[{"name":"a","inbound":"hunter2/x"}]"#, "channel 1: inbound is not a legal name"),
        (r#"[{"name":"a","inbound":"t","outbound":"t"}]"#, "channel 1: outbound is the channel's inbound topic, too"),
        (r#"[{"name":"a","inbound":"a.in","echo":true}]"#, "channel 1: echo needs both"),
        (r#"[{"name":"a","inbound":"a.in","echo":"hunter2"}]"#, "channel 1: echo must be true or false"),
        (r#"[{"name":"a","inbound":"a.in","hunter2":1}]"#, "channel 1 has an unknown member; known are name"),
        (r#"[{"name":"a","inbound":"a.in"},{"name":"a","inbound":"b"}]"#, "channel 2: name a is taken"),
        (r#"[{"name":"a","outbound":"t"},{"name":"b","outbound":"t"}]"#, "channel 2: outbound is the outbound topic"),
        (r#"[{"name":"a","inbound":"a.in","max_record_bytes":262145}]"#, "channel 1: max_record_bytes must be"),
        (r#"[{"name":"a","inbound":"a.in","max_record_bytes":-1}]"#, "channel 1: max_record_bytes must be"),
        (r#"[{"name":"a","inbound":"a.in","signature":{}}]"#, "channel 1: signature needs outbound"),
        (&signed(r#""hunter2""#), "channel 1: signature must be an object"),
        (&signed(r#"{"algorithm":"hunter2"}"#), "channel 1: signature: algorithm must be hmac-sha256 or ed25519"),
        (&signed(r#"{"algorithm":"ed25519"}"#), "channel 1: signature: keys is missing"),
        (&signed(r#"{"algorithm":"ed25519","keys":{}}"#), "channel 1: signature: keys must hold 1 to 16"),
        (&signed(r#"{"algorithm":"ed25519","keys":{"k":"hunter2"}}"#), "keys k must be the 32 bytes of a public key"),
        (&signed(r#"{"algorithm":"hmac-sha256","keys":{"k":"hunter2"}}"#), "keys k must be 32 to 64 random bytes"),
        (&signed(r#"{"algorithm":"hmac-sha256","keys":{"hunter2.":"k"}}"#), "keys has an id that is not 1-16"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.starts_with("BRIDGE_CHANNELS ") && error.contains(expected), "{text}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
