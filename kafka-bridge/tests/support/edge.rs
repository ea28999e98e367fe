//! An edge of a few lines: it verifies signatures, keeps records and checkpoints as the contract says, and fails as told.

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
use kafka_bridge::http::unix_seconds;
use tokio::net::TcpListener;

use super::keys;

/// What the edge keeps, and how it is to fail.
#[derive(Default)]
pub struct Kept {
    /// By user and cursor: the data, once each however often it came.
    pub records: BTreeMap<(String, String), String>,
    /// Every record that came, in order, repeats included.
    pub arrivals: Vec<(String, String)>,
    pub checkpoints: BTreeMap<i32, Checkpoint>,
    /// Users whose hub fails.
    pub failing_users: BTreeSet<String>,
    /// Answers 500 after it stored the records and before it moved the checkpoint.
    pub die_before_checkpoint: bool,
    /// Answers 503 to everything.
    pub unavailable: bool,
    /// Answers 400 to requests with this in them.
    pub refused_text: Option<String>,
    pub requests: usize,
}

impl Kept {
    /// What a user got, in the order of arrival, repeats included.
    pub fn arrived(&self, user: &str) -> Vec<String> {
        self.arrivals.iter().filter(|(of, _)| of == user).map(|(_, cursor)| cursor.clone()).collect()
    }

    pub fn next_offset(&self, partition: i32) -> Option<i64> {
        self.checkpoints.get(&partition).map(|at| at.next_offset)
    }
}

/// See the module's text.
pub struct Edge {
    pub url: String,
    kept: Arc<Mutex<Kept>>,
}

impl Edge {
    pub async fn start() -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let router = Router::new().route(DELIVER_PATH, post(deliver)).with_state(Arc::clone(&kept));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, kept }
    }

    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }
}

async fn deliver(State(kept): State<Arc<Mutex<Kept>>>, headers: HeaderMap, body: Bytes) -> Response {
    let signature = headers.get(SIGNATURE_HEADER).map(|value| value.to_str().unwrap()).unwrap_or_default();
    let signed = Signed { direction: Direction::BridgeToEdge, method: "POST", target: DELIVER_PATH, body: &body };
    if KeyRing::parse(&keys()).unwrap().verify(signature, signed, unix_seconds()).is_err() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    assert!(body.len() <= MAX_DELIVER_BYTES);
    let mut kept = kept.lock().unwrap();
    kept.requests += 1;
    if kept.unavailable {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if kept.refused_text.as_ref().is_some_and(|text| String::from_utf8_lossy(&body).contains(text)) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let request: DeliverRequest = serde_json::from_slice(&body).unwrap();
    let mut failed = Vec::new();
    let any = !request.deliveries.is_empty();
    for delivery in request.deliveries {
        let user = delivery.subject.to_string();
        if kept.failing_users.contains(&user) {
            failed.push(delivery.subject);
            continue;
        }
        for record in delivery.records {
            let cursor = record.cursor.to_string();
            kept.arrivals.push((user.clone(), cursor.clone()));
            kept.records.entry((user.clone(), cursor)).or_insert_with(|| record.event.data.get().to_owned());
        }
    }
    if let (Some(to), true) = (request.advance_to, failed.is_empty()) {
        if any && kept.die_before_checkpoint {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        let rests = kept.checkpoints.entry(request.partition).or_insert(to);
        *rests = (*rests).max(to);
    }
    let checkpoint = kept.checkpoints.get(&request.partition).copied();
    serde_json::to_string(&DeliverResponse { checkpoint, failed }).unwrap().into_response()
}
