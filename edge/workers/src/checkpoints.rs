//! A Durable Object per channel and outbound topic: where each partition's reader continues, and who reads it.

use causeway_core::runtime::dependency::Dependency;
use causeway_protocol::checkpoint::{CheckpointRequest, PartitionState};
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

/// The dependency that errors name.
pub(crate) const DEPENDENCY: Dependency = Dependency::Checkpoints;
/// The only operation: answers a [`CheckpointRequest`].
pub(crate) const RESPOND: &str = "respond";

/// The name of the object that a request is for. No channel has a slash in its name.
pub(crate) fn object_name(request: &CheckpointRequest) -> String {
    format!("{}/{}", request.channel, request.topic)
}

/// The object. Its input gate runs one operation at a time.
#[durable_object]
#[derive(Debug)]
pub struct Checkpoints {
    state: State,
}

impl DurableObject for Checkpoints {
    fn new(state: State, _env: Env) -> Self {
        Self { state }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let request: CheckpointRequest = serde_json::from_str(&request.text().await?)?;
        let key = request.partition.to_string();
        let storage = self.state.storage();
        let stored: Option<String> = storage.get(&key).await?;
        let current: PartitionState = stored.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default();
        let response = current.respond(request.operation);
        if response.state != current {
            storage.put(&key, serde_json::to_string(&response.state)?).await?;
        }
        Response::ok(serde_json::to_string(&response)?)
    }
}
