//! The least that a secret chosen by others must satisfy.
//!
//! The edge's own keys have 256 bits (see `KeyRing`). Client secrets are made by providers and may have fewer: GitHub's
//! are 40 hexadecimal digits. So only secrets that no provider issues are rejected: short ones, typed ones, and examples.

use std::collections::BTreeSet;

/// Shortest secret accepted: 128 bits even if each character is a hexadecimal digit.
const MIN_CHARS: usize = 32;
/// A secret with fewer distinct characters is not random.
const MIN_DISTINCT_CHARS: usize = 8;
/// Placeholders used in examples.
const PLACEHOLDERS: [&str; 10] = [
    "changeme",
    "change-me",
    "change_me",
    "your-",
    "your_",
    "yoursecret",
    "placeholder",
    "example-secret",
    "client-secret-here",
    "password",
];

/// Why a secret is too weak; `None` if it is acceptable. The reason reveals nothing of the secret.
pub(super) fn weakness(secret: &str) -> Option<&'static str> {
    let lower = secret.to_ascii_lowercase();
    if secret.chars().count() < MIN_CHARS {
        return Some("must have at least 32 random characters");
    }
    if PLACEHOLDERS.iter().any(|known| lower.contains(known)) || (secret.starts_with('<') && secret.ends_with('>')) {
        return Some("is an example's placeholder");
    }
    let chars: Vec<char> = secret.chars().collect();
    let distinct: BTreeSet<&char> = chars.iter().collect();
    let recurs = (1..=chars.len() / 2).any(|period| chars.iter().skip(period).zip(&chars).all(|(a, b)| a == b));
    let next = |(a, b): (&char, &char)| u32::from(*b).abs_diff(u32::from(*a)) == 1;
    let counts = chars.iter().zip(chars.iter().skip(1)).map(next).filter(|follows| *follows).count() > chars.len() / 2;
    (distinct.len() < MIN_DISTINCT_CHARS || recurs || counts).then_some("is not random")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn s135_short_typed_and_example_secrets_are_weak() {
        for weak in [
            "",
            "secret",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abcabcabcabcabcabcabcabcabcabcabcabcabcabc",
            "0123456789abcdef0123456789abcdef",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "9876543210987654321098765432109876543210",
            "your-client-secret-goes-here-1a2b3c4d5e",
            "<paste the secret of your app here please>",
            "ChangeMe-ChangeMe2-ChangeMe3-ChangeMe45",
            "10101101010110101101011010110101101011010",
        ] {
            assert!(weakness(weak).is_some(), "{weak}");
        }
    }

    proptest! {
        /// The formats of GitHub (40 hex digits), Entra (40 of letters, digits and `~.-_`) and others.
        #[test]
        fn secrets_in_providers_formats_are_accepted(secret in "[0-9a-f]{40}|[A-Za-z0-9~._-]{40}|[A-Za-z0-9]{32}") {
            prop_assume!(secret.chars().collect::<BTreeSet<_>>().len() > 10);
            prop_assert_eq!(weakness(&secret), None);
        }
    }
}
