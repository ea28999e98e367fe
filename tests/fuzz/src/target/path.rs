//! `/bff/{service}/…`: the first line is the method, the second the path, the third the query.
//!
//! An accepted request goes to the service's own origin, below its base path, by a rule. It stays within the rules in every
//! reading of its path by another server.

use causeway_core::{config::Config, proxy::service::Service};
use http::Method;
use unicode_normalization::UnicodeNormalization as _;
use url::form_urlencoded;

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
    if path == "/" {
        assert_eq!(url.path(), base.path(), "the service's own address, as it is written");
        assert!(service.name == "api" && *method == Method::POST, "{method} {url}");
        return true;
    }
    let below = url.path().strip_prefix(base.path().trim_end_matches('/')).unwrap_or_else(|| panic!("{url}"));
    assert_eq!(below, path, "what was asked for is what is sent");
    let mut names = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).map(|(name, _)| name);
    let is_override = |name: &str| {
        let name = name.trim_matches(['[', ']']);
        ["_method", "$httpMethod"].into_iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    assert!(!service.refuses_method_override || !names.any(|name| is_override(&name)), "{query:?}");
    for reading in readings(below) {
        let is_slash_last = reading.len() > 1 && reading.ends_with('/');
        let names = reading.strip_prefix('/').unwrap_or_else(|| panic!("{below:?} is read as {reading:?}"));
        let names = if is_slash_last { names.trim_end_matches('/') } else { names };
        for name in names.split('/') {
            assert!(!name.trim().bytes().all(|byte| byte == b'.'), "{below:?} hides dots or nothing: {reading:?}");
        }
        assert!(
            !reading.contains(['\\', '\0', ';']) && !reading.chars().any(char::is_control),
            "{below:?}: {reading:?}"
        );
        assert!(is_allowed(&service.name, method, &reading), "{method} {below} is read as {reading:?}");
    }
    true
}

/// Whether a rule of the service allows a path, after decoding.
fn is_allowed(service: &str, method: &Method, path: &str) -> bool {
    let is_below =
        |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    match (service, method.as_str()) {
        ("github", "GET") => path == "/user" || is_below("/repos/"),
        ("github", "PATCH") => path == "/user",
        ("graph", "GET") => path == "/v1.0/me",
        ("api", "GET") => path == "/a/b",
        ("api", "POST") => is_below("/tree/"),
        ("shop", "GET") => is_below("/users/") || matches!(path, "/items/" | "/mail/a@b"),
        ("github" | "graph" | "api" | "shop", _) => false,
        (name, _) => panic!("a service named {name}"),
    }
}

/// How servers read a path: decoded once or again, by a strict or a lenient decoder, normalised or without invisible
/// characters in between, with `+` for a space; with Windows' wildcards as dots or as nothing; then cut off at a query, a
/// fragment, a path parameter or NUL; and with dot segments, backslashes and repeated slashes resolved.
fn readings(path: &str) -> Vec<String> {
    let text = |bytes| String::from_utf8(bytes).unwrap_or_else(|_| panic!("{path:?}: no UTF-8"));
    let once = text(decode(path.as_bytes(), strict_digits));
    let mut texts = vec![once.nfkc().collect(), visible(&once), visible(&once).nfkc().collect(), once];
    texts.dedup();
    for first in texts.clone() {
        let mut last = first;
        for _ in 0..3 {
            for digits in [strict_digits, lenient_digits] {
                last = text(decode(last.as_bytes(), digits));
                texts.push(last.clone());
            }
        }
    }
    let mut all = Vec::new();
    for text in texts {
        let is_wildcard = |c: char| matches!(c, '"' | '<' | '>' | '*');
        let by_wildcards = [".", ""].map(|matched| text.replace(is_wildcard, matched));
        for text in by_wildcards.into_iter().chain([text]).flat_map(|text| [text.replace('+', " "), text]) {
            for cut in [None, Some('?'), Some('#'), Some(';'), Some('\0')] {
                let text = cut.map_or(text.as_str(), |cut| text.split(cut).next().unwrap());
                all.extend([text.to_owned(), resolved(text)]);
            }
        }
    }
    all
}

/// A text without the characters that some file systems ignore (Default_Ignorable_Code_Point).
fn visible(text: &str) -> String {
    let is_ignorable = |c: char| {
        matches!(
            u32::from(c),
            0xad | 0x34f | 0x61c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f
                | 0x202a..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfff8
                | 0x1_bca0..=0x1_bca3 | 0x1_d173..=0x1_d17a | 0xe_0000..=0xe_0fff
        )
    };
    text.chars().filter(|c| !is_ignorable(*c)).collect()
}

/// A path with dot segments, backslashes and repeated slashes resolved, as file systems do.
fn resolved(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let path = path.replace('\\', "/");
    for segment in path.split('/') {
        match segment.trim() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let slash = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    format!("/{}{slash}", segments.join("/"))
}

fn strict_digits(hex: &str) -> Option<u8> {
    hex.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u8::from_str_radix(hex, 16).ok())?
}

/// Digits as lenient parsers read them, around a sign or a space.
fn lenient_digits(hex: &str) -> Option<u8> {
    u8::from_str_radix(hex.trim().trim_start_matches(['+', '-']), 16).ok()
}

fn decode(bytes: &[u8], digits: fn(&str) -> Option<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| str::from_utf8(hex).ok());
        match (byte, hex.and_then(digits)) {
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
