//! `POST /internal/deliver`: appends records from the bridge to the users' hubs, then advances the checkpoint.

use std::time::Duration;

use causeway_protocol::{
    deliver::{DeliverRequest, DeliverResponse, Delivery},
    signature::{Direction, SIGNATURE_HEADER, SignatureError},
    subject::Subject,
};
use futures_util::{StreamExt as _, stream};
use http::{HeaderName, StatusCode};

use super::context::{Context, read_body};
use crate::{
    error::Error,
    http::web::{Request, Response},
    runtime::{
        clock::within, dependency::Dependency, event_name::EventName, platform::Platform, reason::Reason,
        telemetry::Event,
    },
};

/// How long one hub may take. All hubs of a delivery together must stay below the bridge's own time limit.
const HUB_TIMEOUT: Duration = Duration::from_secs(5);
/// How many hubs are written to at once. In workerd at most six connections may wait for headers.
const PARALLEL_HUBS: usize = 6;

/// Receives a delivery. The checkpoint advances only after all records before it are durable.
pub(super) async fn deliver<P: Platform>(
    context: &Context<'_, P>,
    request: Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let platform = context.platform;
    let body = read_signed_body(context, request).await?;
    let delivery: DeliverRequest =
        serde_json::from_slice(&body).map_err(|_| Error::BadRequest { reason: Reason::DeliveryMalformed })?;
    let failed = append(platform, &delivery.deliveries).await;
    let advance_to = if failed.is_empty() { delivery.advance_to } else { None };
    let checkpoint = platform.checkpoint(&delivery.topic, delivery.partition, advance_to).await?;
    Ok(Response::json(StatusCode::OK, "application/json", &DeliverResponse { checkpoint, failed }))
}

/// Reads a body that the bridge has signed. Nothing of a body is held before its head is known to be the bridge's.
async fn read_signed_body<P: Platform>(context: &Context<'_, P>, request: Request<P::Body>) -> Result<Vec<u8>, Error> {
    let refused = |error: SignatureError| Error::Unauthenticated {
        reason: match error {
            SignatureError::Malformed => Reason::DeliverySignatureMalformed,
            SignatureError::UnknownKey => Reason::DeliveryKeyUnknown,
            SignatureError::Stale => Reason::DeliverySignatureTime,
            SignatureError::Mismatch => Reason::DeliverySignatureMismatch,
        },
    };
    let missing = Error::Unauthenticated { reason: Reason::DeliverySignatureMissing };
    let signature = request.header(&HeaderName::from_static(SIGNATURE_HEADER)).ok_or(missing)?.to_owned();
    let target = match &request.query {
        Some(query) => format!("{}?{query}", request.path),
        None => request.path.clone(),
    };
    let (keys, now_seconds) = (&context.config.bridge_keys, context.platform.now_ms() / 1000);
    let head = keys.verify_head(&signature, Direction::BridgeToEdge, "POST", &target, now_seconds);
    let digest = head.map_err(refused)?;
    let body = read_body(context.platform, context.row, request).await?;
    digest.check(&body).map_err(refused)?;
    Ok(body)
}

/// Appends records to the users' hubs. Returns the users whose hub failed.
async fn append<P: Platform>(platform: &P, deliveries: &[Delivery]) -> Vec<Subject> {
    let failed: Vec<_> = stream::iter(deliveries)
        .map(|delivery| async move {
            // A hub that hangs must not hold up the others. It counts as failed, and the bridge delivers to it again.
            let append = platform.append(&delivery.subject, &delivery.records);
            let appended = within(platform, HUB_TIMEOUT, Dependency::Hub, append).await;
            appended.err().map(|error| (delivery.subject.clone(), error))
        })
        .buffer_unordered(PARALLEL_HUBS)
        .filter_map(std::future::ready)
        .collect()
        .await;
    for (_, error) in &failed {
        Event::warn(EventName::DeliverHub).with("detail", error).write(platform);
    }
    failed.into_iter().map(|(subject, _)| subject).collect()
}
