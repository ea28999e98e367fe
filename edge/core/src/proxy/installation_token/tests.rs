use super::*;

const NOW_MS: u64 = 1_800_000_000_000;

fn minted(issued_at_ms: Option<u64>) -> InstallationToken {
    InstallationToken { token: "ghs_1".to_owned().into(), expires_at_ms: NOW_MS + VALID_MS, issued_at_ms }
}

#[test]
fn token_is_stored_with_the_time_it_was_issued() {
    let found = InstallationToken::decode(&minted(Some(NOW_MS)).encode().unwrap()).unwrap();
    assert_eq!((found.token.expose_secret(), found.expires_at_ms), ("ghs_1", NOW_MS + VALID_MS));
    assert_eq!(found.issued_at_ms, Some(NOW_MS));
    assert!(InstallationToken::decode(b"short").is_none());
}

#[test]
fn s117_a_token_stored_without_that_time_is_fit_but_not_new() {
    for token in ["ghs_1", "ghs_long_enough_for_a_time"] {
        let old = [&(NOW_MS + VALID_MS).to_be_bytes()[..], token.as_bytes()].concat();
        let found = InstallationToken::decode(&old).unwrap();
        assert_eq!((found.token.expose_secret(), found.issued_at_ms), (token, None));
        assert!(is_fit(&found, false, NOW_MS) && !is_fit(&found, true, NOW_MS));
    }
}

#[test]
fn s117_a_token_is_new_for_a_minute_by_any_clock_less_than_a_minute_off() {
    let token = minted(Some(NOW_MS));
    for (now_ms, is_new) in
        [(NOW_MS - NEW_MS, false), (NOW_MS - 1000, true), (NOW_MS + NEW_MS - 1, true), (NOW_MS + NEW_MS, false)]
    {
        assert_eq!(is_fit(&token, true, now_ms), is_new, "{now_ms}");
    }
}

#[test]
fn a_token_is_fresh_for_ten_seconds_by_either_clock() {
    let token = minted(Some(NOW_MS));
    for (now_ms, expected) in
        [(NOW_MS - FRESH_MS, false), (NOW_MS, true), (NOW_MS + FRESH_MS - 1, true), (NOW_MS + FRESH_MS, false)]
    {
        assert_eq!(is_fresh(&token, now_ms), expected, "{now_ms}");
    }
    assert!(!is_fresh(&minted(None), NOW_MS));
}
