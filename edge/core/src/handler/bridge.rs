//! Signed requests to the bridge.

use std::time::Duration;

use causeway_protocol::signature::{Direction, SIGNATURE_HEADER, Signed};
use http::{HeaderName, Method, header};
use url::Url;

use super::context::Context;
use crate::{
    guard::REQUEST_ID,
    http::web::{Body, Outgoing, without_slash},
    runtime::{dependency::Dependency, platform::Platform, unavailable::Unavailable},
};

/// The URL of a target (path and query) at the bridge.
pub(super) fn url<P>(context: &Context<'_, P>, target: &str) -> Result<Url, Unavailable> {
    let base = without_slash(&context.config.bridge_url);
    Url::parse(&format!("{base}{target}")).map_err(|e| Unavailable::new(Dependency::Bridge, e))
}

/// A signed request to a target (path and query) at the bridge. A body is JSON.
pub(super) fn request<P: Platform>(
    context: &Context<'_, P>,
    method: Method,
    target: &str,
    body: Vec<u8>,
    timeout: Duration,
) -> Result<Outgoing<P::Body>, Unavailable> {
    let url = url(context, target)?;
    // The signature covers the bridge's request line, which includes the path of the bridge's base URL.
    let signed_target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let signed =
        Signed { direction: Direction::EdgeToBridge, method: method.as_str(), target: &signed_target, body: &body };
    let signature = context.config.bridge_keys.sign(signed, context.platform.now_ms() / 1000);
    let mut outgoing = Outgoing::new(method, url, timeout)
        .to("bridge")
        .with(HeaderName::from_static(SIGNATURE_HEADER), &signature)
        // The bridge logs the same request id.
        .with(REQUEST_ID, context.request_id);
    if !body.is_empty() {
        outgoing = outgoing.with(header::CONTENT_TYPE, "application/json");
        outgoing.body = Body::Bytes(body.into());
    }
    Ok(outgoing)
}
