use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_800_000_000;

fn secret(first: u8) -> String {
    BASE64.encode(Sha256::digest([first]))
}

fn ring(ids: &[(&str, u8)]) -> KeyRing {
    let text: Vec<_> = ids.iter().map(|(id, first)| format!("{id}:{}", secret(*first))).collect();
    KeyRing::parse(&text.join(",")).unwrap()
}

fn post<'a>(target: &'a str, body: &'a [u8]) -> Signed<'a> {
    Signed { direction: Direction::EdgeToBridge, method: "POST", target, body }
}

#[test]
fn a_signature_verifies_after_key_rotation() {
    let header = ring(&[("a", 1)]).sign(post("/v1/events", b"{}"), NOW);
    assert_eq!(ring(&[("b", 9), ("a", 1)]).verify(&header, post("/v1/events", b"{}"), NOW + 60), Ok(()));
}

#[test]
fn a_changed_request_does_not_verify() {
    let ring = ring(&[("a", 1)]);
    let header = ring.sign(post("/v1/events", b"{}"), NOW);
    let other_direction = Signed { direction: Direction::BridgeToEdge, ..post("/v1/events", b"{}") };
    let other_method = Signed { method: "PUT", ..post("/v1/events", b"{}") };
    for request in [post("/v1/eventsx", b"{}"), post("/v1/events", b"{} "), other_direction, other_method] {
        assert_eq!(ring.verify(&header, request, NOW), Err(SignatureError::Mismatch));
    }
    let moved = header.replace(&NOW.to_string(), &(NOW + 1).to_string());
    assert_eq!(ring.verify(&moved, post("/v1/events", b"{}"), NOW), Err(SignatureError::Mismatch));
}

#[test]
fn a_head_verifies_before_its_body_and_the_body_against_the_digest() {
    let ring = ring(&[("a", 1)]);
    let header = ring.sign(post("/v1/events", b"{}"), NOW);
    let digest = ring.verify_head(&header, Direction::EdgeToBridge, "POST", "/v1/events", NOW).unwrap();
    assert_eq!(digest.check(b"{}"), Ok(()));
    assert_eq!(digest.check(b"{ }"), Err(SignatureError::Mismatch));
    let mut parts: Vec<&str> = header.split(',').collect();
    let other = BASE64.encode([0; 32]);
    parts[3] = &other;
    assert_eq!(ring.verify(&parts.join(","), post("/v1/events", b"{}"), NOW), Err(SignatureError::Mismatch));
}

#[test]
fn old_and_future_requests_and_unknown_keys_are_rejected() {
    let signer = ring(&[("a", 1)]);
    let request = post("/", b"");
    let header = signer.sign(request, NOW);
    assert_eq!(signer.verify(&header, request, NOW + 61), Err(SignatureError::Stale));
    assert_eq!(signer.verify(&header, request, NOW - 61), Err(SignatureError::Stale));
    assert_eq!(ring(&[("b", 1)]).verify(&header, request, NOW), Err(SignatureError::UnknownKey));
}

#[test]
fn weak_and_malformed_rings_are_rejected_without_printing_them() {
    let zero = BASE64.encode([0; 32]);
    for (text, error) in [
        (String::new(), KeyRingError::Empty),
        ("nokey".to_owned(), KeyRingError::Form),
        (format!("a:{zero}"), KeyRingError::Weak),
        ("a:c2hvcnQ".to_owned(), KeyRingError::Secret),
        (format!("a b:{}", secret(1)), KeyRingError::Id),
        (format!("a:{},a:{}", secret(1), secret(2)), KeyRingError::Id),
        (format!("a:{0},b:{0}", secret(1)), KeyRingError::Repeated),
    ] {
        assert_eq!(KeyRing::parse(&text).unwrap_err(), error);
    }
    assert!(!format!("{:?}", ring(&[("a", 1)])).contains(&secret(1)));
}

#[test]
fn s135_a_key_that_follows_a_pattern_is_rejected() {
    let patterns: [[u8; 32]; 8] = [
        [0x41; 32],
        std::array::from_fn(|n| n as u8),
        std::array::from_fn(|n| 255 - n as u8),
        std::array::from_fn(|n| (n * 7) as u8),
        std::array::from_fn(|n| [0x9c, 0x17, 0xe2, 0x40][n % 4]),
        std::array::from_fn(|n| Sha256::digest(b"x")[n % 16]),
        *b"correct horse battery staple !!!",
        *b"0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    ];
    for bytes in patterns {
        let text = format!("a:{}", BASE64.encode(bytes));
        assert_eq!(KeyRing::parse(&text).unwrap_err(), KeyRingError::Weak, "{bytes:?}");
    }
}

#[test]
fn rings_detect_a_shared_secret() {
    assert!(ring(&[("a", 1), ("b", 2)]).shares_a_secret_with(&ring(&[("c", 2)])));
    assert!(!ring(&[("a", 1)]).shares_a_secret_with(&ring(&[("a", 2)])));
}

proptest! {
    #[test]
    fn no_random_key_is_rejected_as_a_pattern(bytes: [u8; 32]) {
        // Shrinking produces patterns, which are rightly rejected. Hashing makes random bytes of them.
        let text = format!("a:{}", BASE64.encode(Sha256::digest(bytes)));
        prop_assert!(KeyRing::parse(&text).is_ok());
    }

    #[test]
    fn no_header_makes_the_verifier_panic_or_accept(header in ".{0,300}") {
        prop_assert!(ring(&[("a", 1)]).verify(&header, post("/", b""), NOW).is_err());
    }
}
