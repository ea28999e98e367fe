//! A small edge: it verifies signatures, keeps records and checkpoints as the protocol says, and fails on request.

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
    deliver::{Checkpoint, DELIVER_PATH, DeliverRequest, DeliverResponse, MAX_DELIVER_BYTES},
    signature::{Direction, KeyRing, SIGNATURE_HEADER, Signed},
};
use kafka_bridge::clock::unix_seconds;
use tokio::net::TcpListener;

use super::keys;

/// What the edge has stored, and how it is to fail.
#[derive(Default)]
pub struct EdgeState {
    /// The data by user and cursor, once each however often it was delivered.
    pub records: BTreeMap<(String, String), String>,
    /// Every delivered record in order, including repeats.
    pub deliveries: Vec<(String, String)>,
    pub checkpoints: BTreeMap<i32, Checkpoint>,
    /// Users whose hub fails.
    pub failing_users: BTreeSet<String>,
    /// Answers 500 after it stored the records and before it moved the checkpoint.
    pub die_before_checkpoint: bool,
    /// Answers 503 to everything.
    pub unavailable: bool,
    /// Answers 400 to requests that contain this text.
    pub rejected_text: Option<String>,
    pub requests: usize,
}

impl EdgeState {
    /// The cursors delivered to a user, in order and including repeats.
    pub fn delivered(&self, user: &str) -> Vec<String> {
        self.deliveries.iter().filter(|(of, _)| of == user).map(|(_, cursor)| cursor.clone()).collect()
    }

    pub fn next_offset(&self, partition: i32) -> Option<i64> {
        self.checkpoints.get(&partition).map(|at| at.next_offset)
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
        let router = Router::new().route(DELIVER_PATH, post(deliver)).with_state(Arc::clone(&state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    pub fn state(&self) -> MutexGuard<'_, EdgeState> {
        self.state.lock().unwrap()
    }
}

async fn deliver(State(state): State<Arc<Mutex<EdgeState>>>, headers: HeaderMap, body: Bytes) -> Response {
    let signature = headers.get(SIGNATURE_HEADER).map(|value| value.to_str().unwrap()).unwrap_or_default();
    let signed = Signed { direction: Direction::BridgeToEdge, method: "POST", target: DELIVER_PATH, body: &body };
    if KeyRing::parse(&keys()).unwrap().verify(signature, signed, unix_seconds()).is_err() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    assert!(body.len() <= MAX_DELIVER_BYTES);
    let mut state = state.lock().unwrap();
    state.requests += 1;
    if state.unavailable {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if state.rejected_text.as_ref().is_some_and(|text| String::from_utf8_lossy(&body).contains(text)) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let request: DeliverRequest = serde_json::from_slice(&body).unwrap();
    let mut failed = Vec::new();
    let any = !request.deliveries.is_empty();
    for delivery in request.deliveries {
        let user = delivery.subject.to_string();
        if state.failing_users.contains(&user) {
            failed.push(delivery.subject);
            continue;
        }
        for record in delivery.records {
            let cursor = record.cursor.to_string();
            state.deliveries.push((user.clone(), cursor.clone()));
            state.records.entry((user.clone(), cursor)).or_insert_with(|| record.event.data.get().to_owned());
        }
    }
    if let (Some(to), true) = (request.advance_to, failed.is_empty()) {
        if any && state.die_before_checkpoint {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        let stored = state.checkpoints.entry(request.partition).or_insert(to);
        *stored = (*stored).max(to);
    }
    let checkpoint = state.checkpoints.get(&request.partition).copied();
    serde_json::to_string(&DeliverResponse { checkpoint, failed }).unwrap().into_response()
}
