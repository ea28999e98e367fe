use super::*;

#[test]
fn different_subs_are_different_users() {
    assert_eq!(user_part("248289761001").as_deref(), Some("248289761001"));
    assert_eq!(user_part(""), None);
    let long = "x".repeat(255);
    let subs = ["auth0|1", "a:b", "a b", "~x", "é", long.as_str(), "auth0|2"];
    let mut parts: Vec<String> = subs.iter().filter_map(|sub| user_part(sub)).collect();
    for part in &parts {
        assert!(Subject::new("corp", part).is_ok(), "{part}");
        // A `sub` equal to the hash of another is a different user.
        assert_ne!(user_part(part).as_ref(), Some(part));
    }
    parts.sort();
    parts.dedup();
    assert_eq!(parts.len(), subs.len());
}
