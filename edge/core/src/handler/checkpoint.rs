//! `POST /internal/checkpoint`: where the bridge's reader of a partition continues, and who reads it.

use std::time::Duration;

use causeway_protocol::checkpoint::CheckpointRequest;
use http::StatusCode;

use super::{context::Context, signed};
use crate::{
    error::Error,
    http::web::{Request, Response},
    runtime::{clock::within, dependency::Dependency, platform::Platform, reason::Reason},
};

/// How long the store may take. Shorter than the bridge waits, so that the bridge gets an answer.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// Carries out a request about a partition. A reader that was replaced is answered like any other: the answer says so.
pub(super) async fn checkpoint<P: Platform>(
    context: &Context<'_, P>,
    request: Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let request: CheckpointRequest = signed::read(context, request, Reason::CheckpointMalformed).await?;
    let platform = context.platform;
    let response = within(platform, STORE_TIMEOUT, Dependency::Checkpoints, platform.checkpoint(&request)).await?;
    Ok(Response::json(StatusCode::OK, "application/json", &response))
}
