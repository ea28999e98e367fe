//! Answers one request many times, so that a profiler can count what `answer_all` costs:
//! `valgrind --tool=callgrind target/release/examples/request session 1000`, or `healthz` or `say`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a tool, not a product"
)]

use causeway_core::{
    config::Coordination,
    edge::Edge,
    http::web::{Request, Response},
    testing::{body::InMemoryBody, platform::InMemoryPlatform, run::run, settings::settings},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

/// What Chromium sends with a script's request from the edge's own page.
const HEADERS: [(&str, &str); 14] = [
    ("accept", "*/*"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-US,en;q=0.9"),
    ("host", "edge.example"),
    ("origin", "https://edge.example"),
    ("referer", "https://edge.example/"),
    ("sec-ch-ua", r#""Chromium";v="141", "Not?A_Brand";v="8""#),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", r#""Linux""#),
    ("sec-fetch-dest", "empty"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-site", "same-origin"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    ),
    ("x-csrf", "1"),
];

/// Where events are posted to.
const EVENTS: &str = "/events/chat";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = match arguments.next().as_deref() {
        Some("session") => "/auth/session",
        Some("healthz") => "/healthz",
        Some("say") => EVENTS,
        _ => panic!("request session|healthz|say COUNT"),
    };
    let count: usize = arguments.next().unwrap().parse().unwrap();
    let platform = InMemoryPlatform::new(|sent| {
        let (status, body) = match sent.url.as_str() {
            "https://github.com/login/oauth/access_token" => (200, r#"{"access_token":"gho_x","token_type":"bearer"}"#),
            url if url.ends_with("/v1/events") => (202, "{}"),
            _ => (200, r#"{"id":7,"login":"ada","name":"Ada","email":null}"#),
        };
        Some((status, vec![("content-type", "application/json".to_owned())], body.to_owned()))
    });
    let table = settings();
    let edge = Edge::new(&|key: &str| table.get(key).cloned(), Coordination::Objects);
    let cookies = sign_in(&edge, &platform);
    // Also what happens once per isolate.
    answer_all(&edge, &platform, vec![request(path, &cookies)]);
    let requests = (0..count).map(|_| request(path, &cookies)).collect();
    assert_eq!(answer_all(&edge, &platform, requests), count);
}

/// Answers requests. Returns how many were answered well.
#[inline(never)]
fn answer_all(edge: &Edge, platform: &InMemoryPlatform, requests: Vec<Request<InMemoryBody>>) -> usize {
    requests.into_iter().map(|request| run(edge.answer(platform, request)).0).filter(is_good).count()
}

fn is_good(response: &Response<InMemoryBody>) -> bool {
    matches!(response.status, StatusCode::OK | StatusCode::ACCEPTED)
}

fn request(target: &str, cookies: &str) -> Request<InMemoryBody> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers: HeaderMap =
        HEADERS.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect();
    headers.insert(header::COOKIE, cookies.parse().unwrap());
    let query = (!query.is_empty()).then(|| query.to_owned());
    let (method, body) = if path == EVENTS {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        (Method::POST, br#"{"type":"chat.message","data":{"text":"Where is shipment LF-20797?"}}"#.to_vec())
    } else {
        (Method::GET, Vec::new())
    };
    Request { method, path: path.to_owned(), query, headers, client_address: None, body: body.into() }
}

/// Signs in and returns the browser's cookies.
fn sign_in(edge: &Edge, platform: &InMemoryPlatform) -> String {
    let send = |target: &str, cookies: &str| {
        let mut request = request(target, cookies);
        for (name, value) in [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")] {
            request.headers.insert(name, value.parse().unwrap());
        }
        let response = run(edge.handle(platform, request));
        assert_eq!(response.status, StatusCode::SEE_OTHER, "{response:?} {:?}", platform.log.borrow());
        let set = response.headers.get_all(header::SET_COOKIE).iter().filter_map(|line| line.to_str().ok());
        let kept = set.filter(|line| !line.contains("Max-Age=0")).filter_map(|line| line.split(';').next());
        (response.headers[header::LOCATION].to_str().unwrap().to_owned(), kept.collect::<Vec<_>>().join("; "))
    };
    let (location, cookies) = send("/auth/github/login", "");
    let location = url::Url::parse(&location).unwrap();
    let state = location.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    send(&format!("/auth/github/callback?code=good&state={state}"), &cookies).1
}
