use ed25519_dalek::{Signer as _, SigningKey};

use super::*;

/// The page from which producers implement the signature.
const PAGE: &str = include_str!("../../../../../docs/events.md");

/// The example's keys: 32 bytes that count up, and the first key pair of RFC 8032, §7.1.
const HMAC_SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const ED25519_PRIVATE: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const ED25519_PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn chat() -> Channel {
    Channel::parse("chat").unwrap()
}

fn example() -> NewRecord {
    let headers = [
        ("content-type", "application/json"),
        ("ce_id", "a1"),
        ("ce_specversion", "1.0"),
        ("ce_type", "message"),
        ("traceparent", "not signed"),
    ];
    NewRecord {
        key: Some(b"github:583231".to_vec()),
        value: Some(r#"{"id":"m1","text":"Grüße"}"#.as_bytes().to_vec()),
        headers: headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).into(),
    }
}

fn deletion() -> NewRecord {
    let headers = [("ce_subject".to_owned(), b"m1".to_vec())].into();
    NewRecord { key: example().key, value: None, headers }
}

fn keys(algorithm: Algorithm, text: &str) -> Result<RecordKeys, RecordKeysError> {
    RecordKeys::parse(algorithm, [("k1", text)].into_iter())
}

fn hmac_keys() -> RecordKeys {
    keys(Algorithm::HmacSha256, HMAC_SECRET).unwrap()
}

fn ed25519_keys() -> RecordKeys {
    keys(Algorithm::Ed25519, ED25519_PUBLIC).unwrap()
}

fn sign_hmac(record: &NewRecord) -> String {
    let secret = BASE64.decode(HMAC_SECRET).unwrap();
    format!("k1.{}", BASE64.encode(hmac(&secret, &signed_bytes(&chat(), record)).unwrap().finalize().into_bytes()))
}

fn sign_ed25519(record: &NewRecord) -> String {
    let seed: [u8; 32] = BASE64.decode(ED25519_PRIVATE).unwrap().try_into().unwrap();
    format!("k1.{}", BASE64.encode(SigningKey::from_bytes(&seed).sign(&signed_bytes(&chat(), record)).to_bytes()))
}

fn signed(mut record: NewRecord, signature: &str) -> NewRecord {
    record.headers.insert(SIGNATURE_HEADER.to_owned(), signature.as_bytes().to_vec());
    record
}

fn ring(text: &str) -> Arc<KeyRing> {
    Arc::new(KeyRing::parse(text).unwrap())
}

#[test]
fn the_documented_example_is_valid() {
    let hex: String = signed_bytes(&chat(), &example()).iter().map(|byte| format!("{byte:02x}")).collect();
    let indented = |line: &str| line.strip_prefix("    ").is_some_and(|it| it.bytes().all(|b| b.is_ascii_hexdigit()));
    let documented: String = PAGE.lines().filter(|line| indented(line)).map(str::trim).collect();
    assert_eq!(documented, hex);
    for text in [HMAC_SECRET, ED25519_PRIVATE, ED25519_PUBLIC, &sign_hmac(&example()), &sign_ed25519(&example())] {
        assert!(PAGE.contains(text), "{text}");
    }
    assert!(PAGE.contains(&sign_hmac(&deletion())));
}

#[test]
fn a_signed_record_is_accepted() {
    for record in [example(), deletion()] {
        assert_eq!(hmac_keys().verify(&chat(), &signed(record.clone(), &sign_hmac(&record))), Ok(()));
        assert_eq!(ed25519_keys().verify(&chat(), &signed(record.clone(), &sign_ed25519(&record))), Ok(()));
    }
}

#[test]
fn s167_an_unsigned_record_is_rejected() {
    assert_eq!(hmac_keys().verify(&chat(), &example()), Err(DecodeError::Unsigned));
    assert_eq!(ed25519_keys().verify(&chat(), &example()), Err(DecodeError::Unsigned));
}

#[test]
fn s167_a_signature_is_valid_for_no_other_record() {
    let header = |name: &str, value: &str| {
        let mut record = example();
        record.headers.insert(name.to_owned(), value.as_bytes().to_vec());
        record
    };
    let mut without_type = example();
    without_type.headers.remove("ce_type");
    let others = [
        NewRecord { key: Some(b"github:583232".to_vec()), ..example() },
        NewRecord { value: Some(b"{}".to_vec()), ..example() },
        NewRecord { value: None, ..example() },
        header("ce_id", "a2"),
        header("ce_more", ""),
        header("content-type", "application/cloudevents+json"),
        without_type,
    ];
    for (keys, signature) in [(hmac_keys(), sign_hmac(&example())), (ed25519_keys(), sign_ed25519(&example()))] {
        for other in &others {
            let result = keys.verify(&chat(), &signed(other.clone(), &signature));
            assert_eq!(result, Err(DecodeError::BadSignature), "{other:?}");
        }
        let other_channel = Channel::parse("feed").unwrap();
        assert_eq!(keys.verify(&other_channel, &signed(example(), &signature)), Err(DecodeError::BadSignature));
    }
    // A deletion is not an empty value.
    let empty = NewRecord { value: Some(Vec::new()), ..deletion() };
    assert_eq!(hmac_keys().verify(&chat(), &signed(empty, &sign_hmac(&deletion()))), Err(DecodeError::BadSignature));
}

#[test]
fn s167_a_malformed_signature_is_rejected() {
    let good = sign_hmac(&example());
    let cases = [
        String::new(),
        ".".to_owned(),
        "k1".to_owned(),
        "k1.".to_owned(),
        good.replace("k1.", "k2."),
        good.replace("k1.", "echo:k1."),
        good.trim_end_matches('s').to_owned(),
        format!("{good}="),
        format!("{good}A"),
        format!("{}{good}", "x".repeat(300)),
        sign_ed25519(&example()),
    ];
    for bad in cases {
        assert_eq!(hmac_keys().verify(&chat(), &signed(example(), &bad)), Err(DecodeError::BadSignature), "{bad}");
    }
    assert_eq!(ed25519_keys().verify(&chat(), &signed(example(), &good)), Err(DecodeError::BadSignature));
}

#[test]
fn the_bridges_echoes_are_accepted_beside_the_backends_records() {
    let old = "a:9Zq3rX0m1sTgVbHk5LwYc7DfPj2UoReN8iQaWx4KzMc";
    let new = "b:Qm7vX2cJ9wKpL4sTzR8nYbH6dGf1UoEe3iAqWx5VkNs";
    let echo_of =
        |ring_text: &str| signed(example(), &EchoKeys::new(ring(ring_text)).sign(&chat(), &example()).unwrap());
    let with_echo = ed25519_keys().with_echo(EchoKeys::new(ring(&format!("{new},{old}"))));
    assert_eq!(with_echo.verify(&chat(), &echo_of(new)), Ok(()));
    assert_eq!(with_echo.verify(&chat(), &echo_of(old)), Ok(()), "signed before the keys were rotated");
    assert_eq!(with_echo.verify(&chat(), &signed(example(), &sign_ed25519(&example()))), Ok(()));
    assert_eq!(ed25519_keys().verify(&chat(), &echo_of(old)), Err(DecodeError::BadSignature));
    let forged = signed(example(), &sign_hmac(&example()).replace("k1.", "echo:a."));
    assert_eq!(with_echo.verify(&chat(), &forged), Err(DecodeError::BadSignature));
}

#[test]
fn bad_keys_are_named_and_never_shown() {
    let error = |algorithm, text: &str| keys(algorithm, text).unwrap_err();
    let long = BASE64.encode([7; 65]);
    for bad in ["", "AAEC", "not base64!", &long] {
        assert_eq!(error(Algorithm::HmacSha256, bad), RecordKeysError::Secret("k1".to_owned()));
        assert_eq!(error(Algorithm::Ed25519, bad), RecordKeysError::PublicKey("k1".to_owned()));
    }
    // The neutral element, for which anyone can sign.
    let weak = BASE64.encode([&[1_u8][..], &[0; 31]].concat());
    assert_eq!(error(Algorithm::Ed25519, &weak), RecordKeysError::PublicKey("k1".to_owned()));
    let ids = |ids: &[&str]| {
        let entries: Vec<_> = ids.iter().map(|id| (*id, HMAC_SECRET)).collect();
        RecordKeys::parse(Algorithm::HmacSha256, entries.into_iter()).map(|_| ())
    };
    assert_eq!(ids(&[]), Err(RecordKeysError::Count));
    assert_eq!(ids(&["k"; 17]), Err(RecordKeysError::Count));
    for id in ["echo:a", "a.b", "", "12345678901234567", HMAC_SECRET] {
        assert_eq!(ids(&[id]), Err(RecordKeysError::Id));
    }
    let shown = format!("{:?}", hmac_keys());
    assert!(!shown.contains("1, 2, 3") && !shown.contains(HMAC_SECRET), "{shown}");
}
