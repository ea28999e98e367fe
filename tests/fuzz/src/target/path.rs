//! `/bff/{service}/…`: the first line is the method, the second the path, the third the query.
//!
//! An accepted request goes to the service's own origin, below its base path, by a rule. It stays there however often a
//! server on the way decodes it.

use causeway_core::{config::Config, proxy::service::Service};
use http::Method;

use super::lines;
use crate::settings;

thread_local! { static CONFIG: Config = settings::config(); }

/// Runs the target on one input; returns whether the edge accepted it.
pub fn run(data: &[u8]) -> bool {
    let mut lines = lines(data).map(str::from_utf8);
    let (Some(Ok(method)), Some(Ok(path)), query) = (lines.next(), lines.next(), lines.next()) else { return false };
    let Ok(method) = Method::from_bytes(method.as_bytes()) else { return false };
    let query = query.and_then(Result::ok);
    CONFIG.with(|config| {
        let goes = |service: &&Service| check(service, &method, path, query);
        config.services.iter().filter(goes).count() > 0
    })
}

fn check(service: &Service, method: &Method, path: &str, query: Option<&str>) -> bool {
    let Ok(url) = service.target(method, path, query) else { return false };
    let base = &service.base;
    assert_eq!(url.origin(), base.origin(), "{path:?}");
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{url}");
    let below = url.path().strip_prefix(base.path().trim_end_matches('/')).unwrap_or_else(|| panic!("{url}"));
    assert_eq!(below, path, "what was asked for is what is sent");
    let allowed = match service.name.as_str() {
        "github" => match method.as_str() {
            "GET" => below == "/user" || below.strip_prefix("/repos/").is_some_and(|rest| !rest.is_empty()),
            "PATCH" => below == "/user",
            _ => false,
        },
        "graph" => *method == Method::GET && below == "/v1.0/me",
        "api" => match method.as_str() {
            "GET" => below == "/a/b",
            "POST" => below.strip_prefix("/tree/").is_some_and(|rest| !rest.is_empty()),
            _ => false,
        },
        name => panic!("a service named {name}"),
    };
    assert!(allowed, "{method} {below} follows no rule of {}", service.name);
    let segments = below.matches('/').count();
    let mut seen = below.as_bytes().to_vec();
    for _ in 0..4 {
        let text = String::from_utf8(seen.clone()).unwrap_or_else(|_| panic!("{below:?} decodes to no UTF-8"));
        assert!(!text.contains(['\\', '\0', '?', '#', ';']) && !text.chars().any(char::is_control), "{below:?}");
        assert_eq!(text.matches('/').count(), segments, "{below:?} hides a separator");
        assert!(text.split('/').skip(1).all(|part| !matches!(part.trim(), "" | "." | "..")), "{below:?} hides dots");
        seen = decode(&seen);
    }
    true
}

fn decode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| str::from_utf8(hex).ok());
        match (byte, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}
