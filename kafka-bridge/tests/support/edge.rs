//! A small edge: it verifies signatures, keeps items and checkpoints as the protocol says, and fails on request.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use causeway_protocol::{
    buffer::cases::{Received, received_in},
    checkpoint::{CHECKPOINT_PATH, Checkpoint, CheckpointRequest, CheckpointResponse, PartitionState},
    cursor::{Cursor, Position},
    deliver::{
        DELIVER_PATH, DeliverRequest, DeliverResponse, MAX_DELIVER_BYTES, MAX_DELIVER_USERS, Outcome, Slice, Versioned,
        WIRE_VERSION,
    },
    signature::{Direction, KeyRing, SIGNATURE_HEADER, Signed},
};
use kafka_bridge::clock::unix_seconds;
use tokio::net::TcpListener;

use super::keys;

/// What the edge has stored, and how it is to fail.
pub struct EdgeState {
    /// The frames by user and cursor, once each however often they were delivered.
    pub records: BTreeMap<(String, String), String>,
    /// Every delivered item in order, including repeats: user and cursor. A gap's cursor is followed by its reason.
    pub deliveries: Vec<(String, String)>,
    /// By channel and partition.
    pub partitions: BTreeMap<(String, i32), PartitionState>,
    /// The last position of each user in each partition.
    marks: BTreeMap<(String, String, i32), Position>,
    /// Users whose hub fails.
    pub failing_users: BTreeSet<String>,
    /// Answers 500 to everything about checkpoints but claims and reads.
    pub fail_checkpoints: bool,
    /// How many times it did.
    pub failed_checkpoints: usize,
    /// Answers 503 to everything.
    pub unavailable: bool,
    /// The version that it speaks.
    pub version: u32,
    /// Refuses items that contain this text.
    pub refused_text: Option<String>,
    /// Answers 400 to requests that contain this text.
    pub rejected_text: Option<String>,
    pub requests: usize,
}

impl Default for EdgeState {
    fn default() -> Self {
        Self {
            records: BTreeMap::new(),
            deliveries: Vec::new(),
            partitions: BTreeMap::new(),
            marks: BTreeMap::new(),
            failing_users: BTreeSet::new(),
            fail_checkpoints: false,
            failed_checkpoints: 0,
            unavailable: false,
            version: WIRE_VERSION,
            refused_text: None,
            rejected_text: None,
            requests: 0,
        }
    }
}

impl EdgeState {
    /// The cursors delivered to a user, in order and including repeats.
    pub fn delivered(&self, user: &str) -> Vec<String> {
        self.deliveries.iter().filter(|(of, _)| of == user).map(|(_, cursor)| cursor.clone()).collect()
    }

    /// The frame of a stored item.
    pub fn frame(&self, user: &str, cursor: &str) -> &str {
        &self.records[&(user.to_owned(), cursor.to_owned())]
    }

    /// Of the channel `chat`.
    pub fn next_offset(&self, partition: i32) -> Option<i64> {
        self.checkpoint(partition).map(|at| at.next_offset)
    }

    /// Of the channel `chat`.
    pub fn checkpoint(&self, partition: i32) -> Option<Checkpoint> {
        self.partitions.get(&("chat".to_owned(), partition)).and_then(|state| state.checkpoint)
    }

    /// Takes a partition of the channel `chat` over, as another bridge would.
    pub fn claim(&mut self, partition: i32) {
        self.partitions.entry(("chat".to_owned(), partition)).or_default().generation += 1;
    }

    /// Stores a user's items as a hub does.
    pub fn store(&mut self, user: &str, slices: &[Slice]) -> Outcome {
        if self.failing_users.contains(user) {
            return Outcome::Later;
        }
        let contains =
            |text: &String| slices.iter().flat_map(|slice| &slice.items).any(|item| item.frame.contains(text));
        if self.refused_text.as_ref().is_some_and(contains) {
            return Outcome::Refused;
        }
        let is_stale = |slice: &Slice| {
            let known = self.partitions.get(&(slice.source.channel.to_string(), slice.source.partition));
            known.is_some_and(|state| slice.source.generation < state.generation)
        };
        if slices.iter().any(is_stale) {
            return Outcome::Stale;
        }
        for Slice { source, items, .. } in slices {
            for item in items {
                let at = source.at(item.offset);
                let cursor = Cursor::of_record(&source.channel, source.partition, at).to_string();
                let received = received_in(&item.frame);
                let told = match received.last() {
                    Some(Received::Record(id)) if *id == cursor => cursor.clone(),
                    Some(Received::Reset(reason)) => format!("{cursor} {}", reason.as_str()),
                    other => panic!("{other:?} instead of {cursor}"),
                };
                self.deliveries.push((user.to_owned(), told));
                let key = (user.to_owned(), source.channel.to_string(), source.partition);
                if self.marks.get(&key).is_none_or(|mark| at > *mark) {
                    self.marks.insert(key, at);
                    self.records.insert((user.to_owned(), cursor), item.frame.clone());
                }
            }
        }
        Outcome::Stored
    }

    /// Answers a request about a checkpoint.
    pub fn respond(&mut self, request: &CheckpointRequest) -> CheckpointResponse {
        let state = self.partitions.entry((request.channel.to_string(), request.partition)).or_default();
        let response = state.respond(request.operation);
        *state = response.state;
        response
    }
}

/// A running edge.
pub struct Edge {
    pub url: String,
    state: Arc<Mutex<EdgeState>>,
}

impl Edge {
    pub async fn start() -> Self {
        let state = Arc::new(Mutex::new(EdgeState::default()));
        let router = Router::new()
            .route(DELIVER_PATH, post(deliver))
            .route(CHECKPOINT_PATH, post(checkpoint))
            .layer(axum::extract::DefaultBodyLimit::max(2 * MAX_DELIVER_BYTES))
            .with_state(Arc::clone(&state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    pub fn state(&self) -> MutexGuard<'_, EdgeState> {
        self.state.lock().unwrap()
    }
}

/// What every request must pass.
fn check(state: &mut EdgeState, target: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), Box<Response>> {
    let signature = headers.get(SIGNATURE_HEADER).map(|value| value.to_str().unwrap()).unwrap_or_default();
    let signed = Signed { direction: Direction::BridgeToEdge, method: "POST", target, body };
    if KeyRing::parse(&keys()).unwrap().verify(signature, signed, unix_seconds()).is_err() {
        return Err(StatusCode::UNAUTHORIZED.into_response().into());
    }
    state.requests += 1;
    if state.unavailable {
        return Err(StatusCode::SERVICE_UNAVAILABLE.into_response().into());
    }
    let theirs = serde_json::from_slice::<Versioned>(body).unwrap().version;
    if theirs != state.version {
        let detail = format!("the edge speaks version {} of the contract, the request version {theirs}", state.version);
        let problem = serde_json::json!({ "code": "wire-version", "detail": detail, "version": state.version });
        return Err((StatusCode::CONFLICT, problem.to_string()).into_response().into());
    }
    if state.rejected_text.as_ref().is_some_and(|text| String::from_utf8_lossy(body).contains(text)) {
        return Err(StatusCode::BAD_REQUEST.into_response().into());
    }
    Ok(())
}

async fn deliver(State(state): State<Arc<Mutex<EdgeState>>>, headers: HeaderMap, body: Bytes) -> Response {
    assert!(body.len() <= MAX_DELIVER_BYTES);
    let mut state = state.lock().unwrap();
    if let Err(refused) = check(&mut state, DELIVER_PATH, &headers, &body) {
        return *refused;
    }
    let request: DeliverRequest = serde_json::from_slice(&body).unwrap();
    assert!((1..=MAX_DELIVER_USERS).contains(&request.users.len()));
    let users: BTreeSet<_> = request.users.iter().map(|user| &user.subject).collect();
    assert_eq!(users.len(), request.users.len(), "a user appears once");
    let store = |user: &causeway_protocol::deliver::UserDelivery| {
        let slices: Vec<Slice> = serde_json::from_str(user.slices.get()).unwrap();
        state.store(&user.subject.to_string(), &slices)
    };
    let outcomes = request.users.iter().map(store).collect();
    serde_json::to_string(&DeliverResponse { outcomes }).unwrap().into_response()
}

async fn checkpoint(State(state): State<Arc<Mutex<EdgeState>>>, headers: HeaderMap, body: Bytes) -> Response {
    use causeway_protocol::checkpoint::Operation;
    let mut state = state.lock().unwrap();
    if let Err(refused) = check(&mut state, CHECKPOINT_PATH, &headers, &body) {
        return *refused;
    }
    let request: CheckpointRequest = serde_json::from_slice(&body).unwrap();
    if state.fail_checkpoints && matches!(request.operation, Operation::Advance { .. }) {
        state.failed_checkpoints += 1;
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    serde_json::to_string(&state.respond(&request)).unwrap().into_response()
}
