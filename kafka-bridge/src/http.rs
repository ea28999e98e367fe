//! The routes: signed ones for the edge, and `/healthz`, `/readyz` and `/metrics` for operators.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, HeaderName, Request, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use causeway_protocol::{
    cursor::{Cursor, CursorError},
    deliver::{Versioned, WIRE_VERSION},
    event::{Accepted, EVENTS_PATH, InboundEvent, MAX_EVENT_BYTES},
    replay::{HOLE_PATH, HoleAnswer, REPLAY_PATH, ReplayRequest},
    signature::{BodyDigest, Direction, KeyRing, SIGNATURE_HEADER, SignatureError},
    stream::{STREAM_PATH, StreamRequest},
};
use futures_util::StreamExt as _;
use http_body_util::LengthLimitError;
use tokio::sync::Semaphore;

use crate::{
    clock::unix_seconds,
    health::Health,
    inbound::Inbound,
    metrics::Metrics,
    rejection::Rejection,
    replay::Replays,
    stream::{LiveStream, Streams},
};

/// The largest body: the widget's data and the envelope that the edge adds.
const MAX_BODY_BYTES: usize = MAX_EVENT_BYTES + 8 * 1024;

/// The maximum number of requests whose bodies are in memory at a time.
const MAX_REQUESTS: usize = 1024;

/// The longest time for a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What the handlers need.
pub struct Context {
    /// Accepts events.
    pub inbound: Arc<Inbound>,
    /// Verifies the edge's signatures.
    pub keys: Arc<KeyRing>,
    /// Answers `/readyz`.
    pub health: Arc<Health>,
    /// Counts responses.
    pub metrics: Arc<Metrics>,
    /// Serves streams, if the users' buffers are in Redis.
    pub streams: Option<Arc<Streams>>,
    /// Reads records again.
    pub replays: Arc<Replays>,
}

struct Shared {
    context: Context,
    requests: Semaphore,
}

/// The routes for the edge. They include `/readyz`, which the edge's own `/readyz` calls.
pub fn router(context: Context) -> Router {
    let shared = Arc::new(Shared { context, requests: Semaphore::new(MAX_REQUESTS) });
    Router::new()
        .route(EVENTS_PATH, post(events))
        .route(STREAM_PATH, get(stream))
        .route(REPLAY_PATH, get(replay))
        .route(HOLE_PATH, get(hole))
        .merge(health(Arc::clone(&shared.context.health)))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(shared)
}

/// The routes for operators. Metrics are not public, because they reveal the load.
pub fn admin_router(health_state: Arc<Health>, metrics_state: Arc<Metrics>) -> Router {
    let observed = (metrics_state, Arc::clone(&health_state));
    Router::new()
        .route("/metrics", get(metrics).with_state(observed))
        .merge(health(health_state))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
}

fn health<S: Clone + Send + Sync + 'static>(health: Arc<Health>) -> Router<S> {
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(readyz)).with_state(health)
}

async fn not_found(headers: HeaderMap) -> Response {
    Rejection::NotFound.into_response(&request_id(&headers))
}

async fn method_not_allowed(headers: HeaderMap) -> Response {
    Rejection::MethodNotAllowed.into_response(&request_id(&headers))
}

async fn events(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let request_id = request_id(request.headers());
    let response = match accept(&shared, request).await {
        Ok(accepted) => {
            let body = serde_json::to_string(&accepted).unwrap_or_default();
            (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(rejection) => rejection.into_response(&request_id),
    };
    shared.context.metrics.inbound.events.with_label_values(&[response.status().as_str()]).inc();
    response
}

/// Verifies the signed head first, so that unsigned requests can't exhaust the permits or the memory that the edge's
/// requests need.
async fn accept(shared: &Shared, request: Request<Body>) -> Result<Accepted, Rejection> {
    let (head, body) = request.into_parts();
    let digest = verify_head(&shared.context.keys, &head)?;
    let pending = {
        let _permit = shared.requests.try_acquire().map_err(|_| Rejection::Busy)?;
        let body = read(body).await?;
        digest.check(&body).map_err(unauthorized)?;
        let event = event(&body)?;
        shared.context.inbound.begin(event).await?
    };
    // Without a permit: those who wait for a partition whose leader is gone must not use up the others'. The queues
    // bound them.
    pending.outcome().await
}

/// Reads an event. One of another version may be unreadable for that reason.
fn event(body: &[u8]) -> Result<InboundEvent, Rejection> {
    let event = serde_json::from_slice(body);
    let version = match &event {
        Ok(InboundEvent { version, .. }) => Some(*version),
        Err(_) => serde_json::from_slice(body).ok().map(|Versioned { version }| version),
    };
    match version {
        Some(theirs) if theirs != WIRE_VERSION => Err(Rejection::Version { theirs, ours: WIRE_VERSION }),
        _ => event.map_err(|error| Rejection::Malformed(error.to_string())),
    }
}

/// The stream lives as long as the connection: when the client disconnects, hyper drops the body, and the body holds
/// all of the stream's state.
async fn stream(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let request_id = request_id(request.headers());
    let response = match open(&shared.context, &request.into_parts().0).await {
        Ok(stream) => {
            let headers = [
                (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
                // A proxy that buffers or compresses would hold events back.
                (header::CACHE_CONTROL, "no-store, no-transform"),
                (HeaderName::from_static("x-accel-buffering"), "no"),
            ];
            (headers, Body::from_stream(stream.into_chunks().map(Ok::<_, Infallible>))).into_response()
        }
        Err(rejection) => rejection.into_response(&request_id),
    };
    shared.context.metrics.stream.stream_requests.with_label_values(&[response.status().as_str()]).inc();
    response
}

async fn open(context: &Context, head: &Parts) -> Result<LiveStream, Rejection> {
    let streams = context.streams.as_ref().ok_or(Rejection::NotFound)?;
    verify_head(&context.keys, head)?.check(&[]).map_err(unauthorized)?;
    let query = head.uri.query().unwrap_or_default();
    let request = StreamRequest::from_query(query).map_err(|error| match StreamRequest::version_of_query(query) {
        Some(theirs) if theirs != WIRE_VERSION => Rejection::Version { theirs, ours: WIRE_VERSION },
        _ => Rejection::Malformed(error.to_string()),
    })?;
    streams.open(request).await
}

async fn replay(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let request_id = request_id(request.headers());
    let response = match read_again(&shared.context, &request.into_parts().0).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response(),
        Err(rejection) => rejection.into_response(&request_id),
    };
    shared.context.metrics.stream.replay_requests.with_label_values(&[response.status().as_str()]).inc();
    response
}

async fn read_again(context: &Context, head: &Parts) -> Result<Vec<u8>, Rejection> {
    verify_head(&context.keys, head)?.check(&[]).map_err(unauthorized)?;
    let query = head.uri.query().unwrap_or_default();
    let request = ReplayRequest::from_query(query).map_err(|error| match ReplayRequest::version_of_query(query) {
        Some(theirs) if theirs != WIRE_VERSION => Rejection::Version { theirs, ours: WIRE_VERSION },
        _ => Rejection::Malformed(error.to_string()),
    })?;
    let answer = context.replays.answer(&request).await?;
    let mut text = answer.head.to_text("").into_bytes();
    text.extend_from_slice(&answer.frames);
    Ok(text)
}

async fn hole(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let request_id = request_id(request.headers());
    match last_hole(&shared.context, &request.into_parts().0).await {
        Ok(answer) => {
            let body = serde_json::to_string(&answer).unwrap_or_default();
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(rejection) => rejection.into_response(&request_id),
    }
}

async fn last_hole(context: &Context, head: &Parts) -> Result<HoleAnswer, Rejection> {
    verify_head(&context.keys, head)?.check(&[]).map_err(unauthorized)?;
    let cursor = head.uri.query().and_then(|query| query.strip_prefix("of=")).unwrap_or_default().parse();
    let cursor: Cursor = cursor.map_err(|error: CursorError| Rejection::Malformed(error.to_string()))?;
    Ok(HoleAnswer { version: WIRE_VERSION, slice: context.replays.hole(&cursor).await? })
}

fn verify_head(keys: &KeyRing, head: &Parts) -> Result<BodyDigest, Rejection> {
    let signature = head.headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    keys.verify_head(signature, Direction::EdgeToBridge, head.method.as_str(), target, unix_seconds())
        .map_err(unauthorized)
}

fn unauthorized(error: SignatureError) -> Rejection {
    Rejection::Unauthorized(error.to_string())
}

async fn read(body: Body) -> Result<Bytes, Rejection> {
    let read = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY_BYTES));
    read.await.map_err(|_| Rejection::TooSlow)?.map_err(|error| {
        let error = error.into_inner();
        if error.is::<LengthLimitError>() { Rejection::TooLarge } else { Rejection::Malformed(error.to_string()) }
    })
}

async fn readyz(State(health): State<Arc<Health>>) -> Response {
    let report = health.report();
    let status = if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::to_string(&report).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn metrics(State((metrics, health)): State<(Arc<Metrics>, Arc<Health>)>) -> Response {
    metrics.observe(&health.report());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render()).into_response()
}

/// The edge's request id, so that both logs have the same one, or a new id.
fn request_id(headers: &HeaderMap) -> String {
    let edges_id = headers.get("x-request-id").and_then(|value| value.to_str().ok());
    edges_id
        .filter(|id| (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
        .map_or_else(|| format!("{:032x}", fastrand::u128(..)), str::to_owned)
}
