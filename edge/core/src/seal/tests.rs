use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::testing::{random::SeededRandom, settings::key_ring};

const COOKIE: Binding<'static> = Binding { purpose: Purpose::SessionCookie, context: &[b"name"], secret: b"" };

fn sealed(binding: Binding<'_>) -> Vec<u8> {
    seal(&key_ring("a"), &SeededRandom::new(1), binding, b"hello").unwrap()
}

#[test]
fn s64_opens_what_it_sealed_even_after_the_key_was_rotated() {
    let blob = sealed(COOKIE);
    assert_eq!(open(&key_ring("a"), COOKIE, &blob).unwrap().as_slice(), b"hello");
    assert_eq!(open(&key_ring("b,a"), COOKIE, &blob).unwrap().as_slice(), b"hello");
    assert!(open(&key_ring("b"), COOKIE, &blob).is_err(), "a retired key opens nothing");
}

/// Sealed by another implementation of the documented form. Stores and browsers have such blobs.
#[test]
fn blob_of_the_documented_form_opens() {
    let ring = KeyRing::parse("k1:3VbeQTeVHZySaBsDQW7BX4hrRIKifjpRfTLwhSRMvl0").unwrap();
    let record =
        Binding { purpose: Purpose::SessionRecord, context: &[b"handle", b"generation"], secret: b"the session id" };
    let blob = "01026b3103000102030405060708090a0b0c0d0e0f1011121314151617709e3721d9d1c60f88ae43b62f9df5538e77dd361b";
    assert_eq!(open(&ring, record, &hex::decode(blob).unwrap()).unwrap().as_slice(), b"hello");
}

#[test]
fn s63_a_blob_opens_only_with_its_own_binding() {
    let blob = sealed(COOKIE);
    for other in [
        Binding { purpose: Purpose::LoginCookie, ..COOKIE },
        Binding { context: &[b"other"], ..COOKIE },
        Binding { context: &[b"na", b"me"], ..COOKIE },
        Binding { context: &[b"name", b""], ..COOKIE },
        Binding { context: &[], ..COOKIE },
        Binding { secret: b"x", ..COOKIE },
    ] {
        assert_eq!(open(&key_ring("a"), other, &blob).unwrap_err(), OpenError, "{other:?}");
    }
}

#[test]
fn s62_every_flipped_bit_truncation_and_extension_is_rejected() {
    let blob = sealed(COOKIE);
    for n in 0..blob.len() {
        for bit in 0..8 {
            let mut bad = blob.clone();
            bad[n] ^= 1 << bit;
            assert!(open(&key_ring("a"), COOKIE, &bad).is_err());
        }
        assert!(open(&key_ring("a"), COOKIE, &blob[..n]).is_err());
    }
    let mut longer = blob;
    longer.push(0);
    assert!(open(&key_ring("a"), COOKIE, &longer).is_err());
}

/// A blob begins with version, key id and nonce: blobs that differ there have different nonces.
#[test]
fn s66_no_nonce_repeats() {
    // A million takes a minute and a half in unoptimised code; `scripts/test unit` asks for it.
    let seals: usize = std::env::var("CAUSEWAY_SEALS").map_or(200_000, |count| count.parse().unwrap());
    let (ring, random) = (key_ring("a"), SeededRandom::new(7));
    let plain_and_tag = 1 + 16;
    let seen: HashSet<_> = (0..seals)
        .map(|_| {
            let mut blob = seal(&ring, &random, COOKIE, b"x").unwrap();
            blob.truncate(blob.len() - plain_and_tag);
            blob
        })
        .collect();
    assert_eq!(seen.len(), seals);
}

proptest! {
    #[test]
    fn arbitrary_bytes_neither_open_nor_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(open(&key_ring("a"), COOKIE, &bytes).is_err());
    }
}
