//! Calls the edge's `POST /internal/deliver`, signed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use causeway_protocol::{
    deliver::{DELIVER_PATH, DeliverRequest, DeliverResponse},
    signature::{Direction, KeyRing, SIGNATURE_HEADER, Signed},
};
use reqwest::{Client, StatusCode, header, redirect};
use url::Url;

use super::sink::{Sink, SinkError};
use crate::{
    clock::unix_seconds,
    health::{Dependency, Health},
};

/// The longest time for a delivery, in which the edge writes to up to a hundred hubs.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest response: a checkpoint and the failed subjects.
const MAX_RESPONSE_BYTES: usize = 256 * 1024;

/// The sink that delivers to the edge.
pub struct EdgeClient {
    http: Client,
    url: Url,
    keys: Arc<KeyRing>,
    health: Arc<Health>,
}

/// Why a call to the edge failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EdgeError {
    /// The edge can't be reached, or the connection broke.
    #[error("the edge can't be reached: {0}")]
    Unreachable(String),
    /// The edge rejects the signature.
    #[error("the edge rejects the bridge's signature (status {0}): BRIDGE_KEYS or the clocks differ")]
    Unauthorized(u16),
    /// The edge rejects this request because of its content.
    #[error("the edge rejects the request with status {0}")]
    Rejected(u16),
    /// The edge answered with an unexpected status.
    #[error("the edge answered with status {0}")]
    Status(u16),
    /// The response can't be read.
    #[error("the edge's response can't be read: {0}")]
    InvalidResponse(String),
}

impl EdgeError {
    /// The value of the metric's label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Unauthorized(_) => "unauthorized",
            Self::Rejected(_) => "refused",
            Self::Status(_) => "status",
            Self::InvalidResponse(_) => "bad_answer",
        }
    }
}

impl EdgeClient {
    /// Prepares calls to the edge at this base URL.
    ///
    /// # Errors
    /// If the platform's trust store can't be read.
    pub fn new(base: &Url, keys: Arc<KeyRing>, health: Arc<Health>) -> Result<Self, reqwest::Error> {
        // Fails only if a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect would carry a signature made for another path.
            .redirect(redirect::Policy::none())
            .user_agent("causeway-kafka-bridge")
            .build()?;
        let mut url = base.clone();
        url.set_path(&format!("{}{DELIVER_PATH}", base.path().trim_end_matches('/')));
        Ok(Self { http, url, keys, health })
    }

    async fn post(&self, request: &DeliverRequest) -> Result<DeliverResponse, EdgeError> {
        let body = serde_json::to_vec(request).map_err(|error| EdgeError::InvalidResponse(error.to_string()))?;
        let signed =
            Signed { direction: Direction::BridgeToEdge, method: "POST", target: self.url.path(), body: &body };
        let signature = self.keys.sign(signed, unix_seconds());
        let response = self
            .http
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(SIGNATURE_HEADER, signature)
            .body(body)
            .send()
            .await
            .map_err(unreachable)?;
        match response.status() {
            StatusCode::OK => read(response).await,
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(EdgeError::Unauthorized(status.as_u16()))
            }
            status @ (StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY) => {
                Err(EdgeError::Rejected(status.as_u16()))
            }
            status => Err(EdgeError::Status(status.as_u16())),
        }
    }
}

#[async_trait]
impl Sink for EdgeClient {
    async fn deliver(&self, request: &DeliverRequest) -> Result<DeliverResponse, SinkError> {
        let result = self.post(request).await;
        // An edge that rejects a request because of its content is available.
        self.health.set(Dependency::Edge, matches!(result, Ok(_) | Err(EdgeError::Rejected(_))));
        result.map_err(|error| match error {
            EdgeError::Rejected(status) => SinkError::Rejected(status),
            other => SinkError::Failed { label: other.label(), message: other.to_string() },
        })
    }
}

async fn read(mut response: reqwest::Response) -> Result<DeliverResponse, EdgeError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
            return Err(EdgeError::InvalidResponse("it is too long".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|error| EdgeError::InvalidResponse(error.to_string()))
}

/// Keeps the innermost cause, which says what happened. The outer errors only say that the request failed.
fn unreachable(error: reqwest::Error) -> EdgeError {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let outcome = if error.is_timeout() { "timed out" } else { "failed" };
    EdgeError::Unreachable(format!("{outcome}: {cause}"))
}
