//! The query of a sign-in's callback, sent with the sign-in's genuine cookie. `@` in the input is replaced by its state.
//!
//! A session begins only if the query has exactly one `state`, the genuine one, exactly one valid `code`, an `iss` that
//! is absent or the provider's, and no `error`. Otherwise no request is sent.

use crate::fixture::{Fixture, SESSION_COOKIE, set_cookie};

const ISSUER: &str = "https://github.com/login/oauth";

/// Runs the target on one input; returns whether the edge accepted it.
pub fn run(data: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(data) else { return false };
    if text.contains('#') {
        return false;
    }
    Fixture::with(|fixture| {
        let query = text.replace('@', &fixture.state);
        let cookie = [("cookie", fixture.login_cookie.as_bytes())];
        let response = fixture.get("/auth/github/callback", Some(&query), &cookie);
        // Parsed by hand, independently of the edge's own parser.
        let values = |wanted: &str| -> Vec<String> {
            let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            pairs.filter(|(name, _)| decode(name) == wanted).map(|(_, value)| decode(value)).collect()
        };
        let of_state = values("state") == [fixture.state.as_str()];
        let issuer = values("iss");
        let may_send = of_state && values("error").is_empty() && (issuer.is_empty() || issuer == [ISSUER]);
        let may_begin = may_send && values("code") == ["good"];
        let begun = set_cookie(&response, SESSION_COOKIE).is_some();
        assert!(!begun || may_begin, "a session began with {query:?}");
        assert!(may_send || fixture.platform.sent.borrow().is_empty(), "a code went out with {query:?}");
        if query.len() < 4096 && may_begin && values("").is_empty() {
            assert!(begun, "a good callback was refused: {query:?} {:?}", fixture.platform.log.borrow());
        }
        // A rejection reveals no internals and does not repeat the input.
        assert!(response.status.as_u16() < 500, "{query:?}");
        assert!(
            fixture.platform.log.borrow().iter().all(|line| !line.contains(&fixture.state)),
            "the state is in the log"
        );
        begun
    })
}

/// Decodes `application/x-www-form-urlencoded` as the WHATWG URL standard describes it.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = text.get(at + 1..at + 3).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        match (byte, escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}
