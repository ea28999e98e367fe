//! Cookie headers, one per line. `@` in the input is replaced by a genuine session cookie's value.
//!
//! A request counts as signed in only if it has exactly one cookie of the session's name, the genuine one. Of two with
//! one name, none is chosen. A cookie that is not ASCII is ignored and hides no other.

use causeway_core::http::cookie::{Found, find};
use http::{HeaderMap, HeaderValue, header};

use super::lines;
use crate::fixture::{Fixture, SESSION_COOKIE, text};

/// Runs the target on one input; returns whether the edge accepted it.
pub fn run(data: &[u8]) -> bool {
    Fixture::with(|fixture| {
        let lines: Vec<Vec<u8>> = lines(data)
            .take(8)
            .map(|line| {
                let parts: Vec<&[u8]> = line.split(|byte| *byte == b'@').take(16).collect();
                parts.join(fixture.session.as_bytes())
            })
            .collect();
        let mut map = HeaderMap::new();
        for value in lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok()) {
            map.append(header::COOKIE, value);
        }
        let pairs = map.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        let ascii = pairs.filter(|pair| pair.is_ascii()).filter_map(|pair| str::from_utf8(pair).ok());
        let named: Vec<&str> = ascii
            .filter_map(|pair| pair.trim_matches([' ', '\t']).strip_prefix(SESSION_COOKIE)?.strip_prefix('='))
            .collect();
        match find(&map, SESSION_COOKIE) {
            Found::One(value) => assert_eq!(named, [value]),
            Found::Several => assert!(named.len() > 1),
            Found::None => assert!(named.is_empty(), "{lines:?}"),
        }
        let mut headers: Vec<(&'static str, &[u8])> = vec![("x-csrf", b"1"), ("origin", b"https://edge.example")];
        headers.extend(lines.iter().map(|line| ("cookie", line.as_slice())));
        let response = fixture.get("/auth/session", None, &headers);
        let is_signed_in = text(&response).contains("\"authenticated\":true");
        if is_signed_in {
            assert_eq!(named, [fixture.session.as_str()], "{lines:?}");
        }
        assert!(
            fixture.platform.log.borrow().iter().all(|line| !line.contains(&fixture.session)),
            "the cookie is in the log"
        );
        is_signed_in
    })
}
