//! Calls the edge's `POST /internal/deliver` and `POST /internal/checkpoint`, signed. Connections are kept open.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use causeway_protocol::{
    checkpoint::{CHECKPOINT_PATH, CheckpointRequest, CheckpointResponse},
    deliver::{DELIVER_PATH, DeliverResponse, Outcome, Slice, WIRE_VERSION, WIRE_VERSION_CODE},
    signature::{Direction, KeyRing, SIGNATURE_HEADER, Signed},
    subject::Subject,
};
use reqwest::{Client, StatusCode, header, redirect};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::Url;

use super::sink::{Sink, SinkError, UserSlices};
use crate::{
    clock::unix_seconds,
    health::{Dependency, Health},
};

/// The longest time for a call. It exceeds the edge's own deadlines, so that the edge answers for each user.
const TIMEOUT: Duration = Duration::from_secs(8);

/// The longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest response: an outcome for each user, or a checkpoint.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// The sink that delivers to the edge.
pub struct EdgeClient {
    http: Client,
    deliver: Url,
    checkpoint: Url,
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
    /// The edge speaks another version of the contract.
    #[error("the edge speaks version {0} of the contract")]
    Version(u32),
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
            Self::Version(_) => "version",
            Self::Status(_) => "status",
            Self::InvalidResponse(_) => "bad_answer",
        }
    }
}

impl From<EdgeError> for SinkError {
    fn from(error: EdgeError) -> Self {
        match error {
            EdgeError::Rejected(status) => Self::Refused(status),
            EdgeError::Version(theirs) => Self::Version { theirs, ours: WIRE_VERSION },
            other => Self::Failed { label: other.label(), message: other.to_string() },
        }
    }
}

/// A [`causeway_protocol::deliver::DeliverRequest`] whose slices are written at once.
#[derive(Serialize)]
struct DeliverBody<'a> {
    version: u32,
    users: Vec<UserBody<'a>>,
}

#[derive(Serialize)]
struct UserBody<'a> {
    subject: &'a Subject,
    slices: &'a [Slice],
}

/// What is read of a problem document.
#[derive(Default, Deserialize)]
struct Problem {
    code: String,
    /// The edge's version of the contract, if that is what differs.
    #[serde(default)]
    version: u32,
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
        let at = |path: &str| {
            let mut url = base.clone();
            url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
            url
        };
        Ok(Self { http, deliver: at(DELIVER_PATH), checkpoint: at(CHECKPOINT_PATH), keys, health })
    }

    async fn call<T: DeserializeOwned>(&self, url: &Url, request: &impl Serialize) -> Result<T, SinkError> {
        let body = serde_json::to_vec(request).map_err(|error| EdgeError::InvalidResponse(error.to_string()))?;
        let result = self.post(url, body).await;
        // An edge that rejects a request because of its content is available.
        self.health.set(Dependency::Edge, matches!(result, Ok(_) | Err(EdgeError::Rejected(_))));
        match &result {
            Ok(_) => self.health.set_other_version(false),
            Err(EdgeError::Version(_)) => self.health.set_other_version(true),
            // Others say nothing about the version.
            Err(_) => {}
        }
        result.map_err(SinkError::from)
    }

    async fn post<T: DeserializeOwned>(&self, url: &Url, body: Vec<u8>) -> Result<T, EdgeError> {
        let signed = Signed { direction: Direction::BridgeToEdge, method: "POST", target: url.path(), body: &body };
        let signature = self.keys.sign(signed, unix_seconds());
        let response = self
            .http
            .post(url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(SIGNATURE_HEADER, signature)
            .body(body)
            .send()
            .await
            .map_err(unreachable)?;
        match response.status() {
            StatusCode::OK => {
                serde_json::from_slice(&read(response).await?).map_err(|e| EdgeError::InvalidResponse(e.to_string()))
            }
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(EdgeError::Unauthorized(status.as_u16()))
            }
            status @ (StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY) => {
                Err(EdgeError::Rejected(status.as_u16()))
            }
            status @ StatusCode::CONFLICT => {
                let problem: Problem = serde_json::from_slice(&read(response).await?).unwrap_or_default();
                if problem.code == WIRE_VERSION_CODE {
                    return Err(EdgeError::Version(problem.version));
                }
                Err(EdgeError::Status(status.as_u16()))
            }
            status => Err(EdgeError::Status(status.as_u16())),
        }
    }
}

#[async_trait]
impl Sink for EdgeClient {
    async fn deliver(&self, users: &[UserSlices]) -> Result<Vec<Outcome>, SinkError> {
        let users = users.iter().map(|user| UserBody { subject: &user.subject, slices: &user.slices }).collect();
        let body = DeliverBody { version: WIRE_VERSION, users };
        self.call(&self.deliver, &body).await.map(|answer: DeliverResponse| answer.outcomes)
    }

    async fn checkpoint(&self, request: &CheckpointRequest) -> Result<CheckpointResponse, SinkError> {
        self.call(&self.checkpoint, request).await
    }
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, EdgeError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
            return Err(EdgeError::InvalidResponse("it is too long".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
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
