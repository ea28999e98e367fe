//! A service's timeout covers a whole call, however often the request is sent.

use std::cell::Cell;

use causeway_core::{
    http::web::{Request, Response},
    testing::{body::InMemoryBody, run::run_all, settings::app_settings},
};
use http::{Method, StatusCode};

use super::{Browser, code, github};

const MINT: &str = "https://api.github.com/app/installations/7/access_tokens";
const API: &str = "https://api.example/x";
const SERVICES: &str = r#"[{"name":"docs","url":"https://api.example","allow":["POST /x"],"timeout_seconds":4,
    "users_of":["github"],"installation":{"id":7,"permissions":{"contents":"read"}}}]"#;

/// A call to an API that rejects the current token and accepts the next one.
struct Call {
    response: Response<InMemoryBody>,
    took_ms: u64,
    /// The timeout of each request to the API, in milliseconds.
    timeouts_ms: Vec<u128>,
}

/// Calls it with a body that takes this long to arrive, over a network that takes this long for each response.
fn call(body_ms: u64, network_ms: u64) -> Call {
    let app = app_settings();
    let mut settings = vec![("SERVICES", SERVICES)];
    settings.extend(app.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let minted = Cell::new(0);
    let browser = Browser::configured(&settings, move |sent| match sent.url.as_str() {
        MINT => {
            minted.set(minted.get() + 1);
            let token = format!(r#"{{"token":"ghs_{}","expires_at":"2027-01-15T09:00:00Z"}}"#, minted.get());
            Some((201, Vec::new(), token))
        }
        API if sent.headers["authorization"] == "Bearer ghs_1" => Some((401, Vec::new(), String::new())),
        API => Some((200, Vec::new(), String::new())),
        _ => github(sent),
    });
    browser.sign_in();
    browser.script(Method::POST, "/bff/docs/x", "");
    // Until a rejection counts as being about the token.
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 90_000);
    browser.platform.sent.borrow_mut().clear();
    browser.platform.network_ms.set(network_ms);
    let headers = [("x-csrf", "1"), ("origin", "https://edge.example"), ("content-length", "3")];
    let request = browser.request(Method::POST, "/bff/docs/x", &headers, "abc");
    let request = Request { body: request.body.delayed(&browser.platform.now_ms, body_ms), ..request };
    let began_ms = browser.platform.now_ms.get();
    let response =
        run_all(&browser.platform, vec![Box::pin(browser.edge.handle(&browser.platform, request))]).remove(0);
    let took_ms = browser.platform.now_ms.get() - began_ms;
    let timeouts_ms = browser.sent_to(API).iter().map(|sent| sent.timeout.as_millis()).collect();
    Call { response, took_ms, timeouts_ms }
}

#[test]
fn s105_body_and_attempts_share_one_timeout() {
    for (body_ms, network_ms, timeouts_ms) in
        [(0, 0, [4000, 4000]), (0, 900, [4000, 2200]), (1500, 700, [2500, 1100]), (2999, 0, [1001, 1001])]
    {
        let call = call(body_ms, network_ms);
        assert_eq!(call.response.status, StatusCode::OK, "{body_ms} {network_ms}");
        assert_eq!(call.timeouts_ms, timeouts_ms, "{body_ms} {network_ms}");
    }
}

#[test]
fn s105_request_is_not_resent_after_the_timeout() {
    // The second call had little time left after the refresh, the third none.
    for (body_ms, network_ms, sent, took_ms) in [(0, 4500, 1, 4000), (1500, 900, 1, 3300), (0, 2500, 1, 5000)] {
        let call = call(body_ms, network_ms);
        assert_eq!(code(&call.response), "unavailable", "{body_ms} {network_ms}");
        assert_eq!((call.timeouts_ms.len(), call.took_ms), (sent, took_ms), "{body_ms} {network_ms}");
    }
}

#[test]
fn s105_body_that_uses_up_the_timeout_is_not_sent() {
    for (body_ms, took_ms) in [(3001, 3001), (3999, 3999), (60_000, 4000)] {
        let call = call(body_ms, 0);
        assert_eq!((code(&call.response).as_str(), call.took_ms), ("too-slow", took_ms), "{body_ms}");
        assert!(call.timeouts_ms.is_empty());
    }
}
