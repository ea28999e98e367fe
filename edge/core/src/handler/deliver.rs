//! `POST /internal/deliver`: records from the bridge into the users' hubs, then the checkpoint.

use std::time::Duration;

use causeway_protocol::{
    deliver::{DeliverRequest, DeliverResponse},
    signature::{Direction, SIGNATURE_HEADER, SignatureError},
};
use futures_util::{StreamExt as _, stream};
use http::{HeaderName, StatusCode};

use super::context::{Context, read_body};
use crate::{
    error::Error,
    http::web::{Request, Response},
    runtime::{clock::within, platform::Platform, telemetry::Event},
};

/// How long one hub may take; all of a delivery's hubs together must stay below the bridge's own patience.
const HUB_TIMEOUT: Duration = Duration::from_secs(5);
/// How many hubs are written to at once; workerd allows six accounts to wait for headers.
const PARALLEL_HUBS: usize = 6;

/// Takes a delivery. The checkpoint moves only after everything before it is durable.
pub(super) async fn deliver<P: Platform>(
    context: &Context<'_, P>,
    request: Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let platform = context.platform;
    let unsigned = Error::Unauthenticated { reason: "delivery signature missing" };
    let signature = request.header(&HeaderName::from_static(SIGNATURE_HEADER)).ok_or(unsigned)?.to_owned();
    let target = match &request.query {
        Some(query) => format!("{}?{query}", request.path),
        None => request.path.clone(),
    };
    let now_seconds = platform.now_ms() / 1000;
    let head =
        context.config.bridge_keys.verify_head(&signature, Direction::BridgeToEdge, "POST", &target, now_seconds);
    let refused = |error: SignatureError| Error::Unauthenticated {
        reason: match error {
            SignatureError::Malformed => "delivery signature malformed",
            SignatureError::UnknownKey => "delivery signed with an unknown key",
            SignatureError::Stale => "delivery signed too long ago or too far ahead",
            SignatureError::Mismatch => "delivery signature does not match",
        },
    };
    // Nothing of a body is held for somebody who is not the bridge.
    let digest = head.map_err(refused)?;
    let body = read_body(context.platform, context.row, request).await?;
    digest.check(&body).map_err(refused)?;
    let delivery: DeliverRequest =
        serde_json::from_slice(&body).map_err(|_| Error::BadRequest { reason: "not a delivery" })?;
    let failed: Vec<_> = stream::iter(&delivery.deliveries)
        .map(|one| async move {
            // A hub that hangs must not hold up the others: it counts as failed and is delivered to again.
            let append = platform.append(&one.subject, &one.records);
            let appended = within(platform, HUB_TIMEOUT, "hub", append).await;
            appended.err().map(|error| (one.subject.clone(), error))
        })
        .buffer_unordered(PARALLEL_HUBS)
        .filter_map(std::future::ready)
        .collect()
        .await;
    for (_, error) in &failed {
        Event::warn("deliver.hub").with("detail", error).write(platform);
    }
    let advance_to = if failed.is_empty() { delivery.advance_to } else { None };
    let checkpoint = platform.checkpoint(&delivery.topic, delivery.partition, advance_to).await?;
    let answer = DeliverResponse { checkpoint, failed: failed.into_iter().map(|(subject, _)| subject).collect() };
    Ok(Response::json(StatusCode::OK, "application/json", &answer))
}
