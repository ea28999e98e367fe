//! A Durable Object per outbound topic: the checkpoint of each partition's reader.

use causeway_protocol::deliver::Checkpoint;
use serde::{Deserialize, Serialize};
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

use causeway_core::runtime::dependency::Dependency;

/// The dependency that errors name.
pub(crate) const DEPENDENCY: Dependency = Dependency::Checkpoints;

/// The only operation: moves a checkpoint forward, and returns it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Advance {
    pub(crate) partition: i32,
    pub(crate) advance_to: Option<Checkpoint>,
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
        let Advance { partition, advance_to } = serde_json::from_str(&request.text().await?)?;
        let key = partition.to_string();
        let storage = self.state.storage();
        let stored: Option<String> = storage.get(&key).await?;
        let current: Option<Checkpoint> = stored.map(|text| serde_json::from_str(&text)).transpose()?;
        let next = Checkpoint::advance(current, advance_to);
        if let Some(next) = next
            && Some(next) != current
        {
            storage.put(&key, serde_json::to_string(&next)?).await?;
        }
        Response::ok(serde_json::to_string(&next)?)
    }
}
