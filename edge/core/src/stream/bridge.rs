//! Signed requests to the bridge.

use std::time::Duration;

use causeway_protocol::signature::{Direction, KeyRing, SIGNATURE_HEADER, Signed};
use http::{HeaderName, Method, header};
use url::Url;

use crate::{
    http::web::{Body, Outgoing, REQUEST_ID, without_slash},
    runtime::{clock::Clock, dependency::Dependency, platform::HttpClient, unavailable::Unavailable},
};

/// How to address the bridge in one of the edge's requests.
pub(crate) struct Bridge<'a, P> {
    /// The runtime.
    pub(crate) platform: &'a P,
    /// The base URL, which may have a path.
    pub(crate) url: &'a Url,
    /// The keys that sign.
    pub(crate) keys: &'a KeyRing,
    /// The id of the edge's request. The bridge logs it, too.
    pub(crate) request_id: &'a str,
}

impl<P: HttpClient + Clock> Bridge<'_, P> {
    /// A signed request to a target (path and query). A body is JSON.
    pub(crate) fn signed_request(
        &self,
        method: Method,
        target: &str,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Outgoing<P::Body>, Unavailable> {
        let url = self.url_of(target)?;
        // The signature covers the bridge's request line, which includes the path of the bridge's base URL.
        let signed_target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let signed =
            Signed { direction: Direction::EdgeToBridge, method: method.as_str(), target: &signed_target, body: &body };
        let signature = self.keys.sign(signed, self.platform.now_ms() / 1000);
        let mut outgoing =
            self.outgoing(method, url, timeout).with(HeaderName::from_static(SIGNATURE_HEADER), &signature);
        if !body.is_empty() {
            outgoing = outgoing.with(header::CONTENT_TYPE, "application/json");
            outgoing.body = Body::Bytes(body.into());
        }
        Ok(outgoing)
    }

    /// A GET that needs no signature.
    pub(crate) fn unsigned_get(&self, path: &str, timeout: Duration) -> Result<Outgoing<P::Body>, Unavailable> {
        Ok(self.outgoing(Method::GET, self.url_of(path)?, timeout))
    }

    fn outgoing(&self, method: Method, url: Url, timeout: Duration) -> Outgoing<P::Body> {
        Outgoing::new(method, url, timeout).to("bridge").with(REQUEST_ID, self.request_id)
    }

    fn url_of(&self, target: &str) -> Result<Url, Unavailable> {
        let base = without_slash(self.url);
        Url::parse(&format!("{base}{target}")).map_err(|error| Unavailable::new(Dependency::Bridge, error))
    }
}
