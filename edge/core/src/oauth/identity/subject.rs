//! The immutable identity that an OpenID provider's ID token gives a user.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_protocol::subject::Subject;
use sha2::{Digest as _, Sha256};

use crate::oauth::{
    id_token::IdClaims,
    provider::{Kind, Provider},
};

/// The immutable identity in the claims: never an e-mail address or a name (M76, S58).
pub(super) fn subject(provider: &Provider, claims: &IdClaims) -> Option<Subject> {
    match &provider.kind {
        Kind::Entra { .. } => {
            let (tid, oid) = claims.entra.as_ref()?.identity();
            Subject::new(tid?, oid?).ok()
        }
        Kind::OpenId { .. } => Subject::new(&provider.id, &user_part(&claims.sub)?).ok(),
        Kind::GitHub { .. } => None,
    }
}

/// The user part of a subject for a `sub`, which may have up to 255 characters of any kind. One that does not fit is
/// hashed. One that looks like a hash is hashed, too, so that two values of `sub` never become one user.
fn user_part(sub: &str) -> Option<String> {
    let fits = !sub.starts_with('~') && Subject::new("x", sub).is_ok();
    match sub {
        "" => None,
        sub if fits => Some(sub.to_owned()),
        sub => Some(format!("~{}", BASE64.encode(Sha256::digest(sub.as_bytes())))),
    }
}

#[cfg(test)]
mod tests {
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
}
