//! A sink without sockets, for tests with paused time. It has the edge's deadlines: what a hub that hangs gets is
//! answered with `later`, after a second if the request has several users, after five if it has one.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use causeway_protocol::{
    checkpoint::{CheckpointRequest, CheckpointResponse},
    deliver::{Outcome, Slice},
    subject::Subject,
};
use kafka_bridge::outbound::{Sink, SinkError, UserSlices};
use tokio::time::Instant;

use super::edge::EdgeState;

/// How long a hub takes to store items.
const HUB_TIME: Duration = Duration::from_millis(2);

#[derive(Default)]
pub struct SinkState {
    pub edge: EdgeState,
    pub hanging_users: BTreeSet<String>,
    /// Every request fails.
    pub is_down: bool,
    /// When each item was stored: user, offset, time.
    pub stored_at: Vec<(String, i64, Instant)>,
    /// What streams of this process were shown: user, partition, offset.
    pub pushed: Vec<(String, i32, i64)>,
    pub in_flight: usize,
    pub most_in_flight: usize,
    /// The number of users of each request.
    pub request_users: Vec<usize>,
}

/// A sink in memory.
#[derive(Default)]
pub struct MemorySink(Mutex<SinkState>);

impl MemorySink {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn state(&self) -> MutexGuard<'_, SinkState> {
        self.0.lock().unwrap()
    }
}

#[async_trait]
impl Sink for MemorySink {
    fn push(&self, subject: &Subject, slice: &Slice) {
        let pushed = slice.items.iter().map(|item| (subject.to_string(), slice.source.partition, item.offset));
        self.state().pushed.extend(pushed);
    }

    async fn deliver(&self, users: &[UserSlices]) -> Result<Vec<Outcome>, SinkError> {
        let hangs = {
            let mut state = self.state();
            state.in_flight += 1;
            state.most_in_flight = state.most_in_flight.max(state.in_flight);
            state.request_users.push(users.len());
            users.iter().any(|user| state.hanging_users.contains(&user.subject.to_string()))
        };
        let deadline = if users.len() > 1 { Duration::from_secs(1) } else { Duration::from_secs(5) };
        tokio::time::sleep(if hangs { deadline } else { HUB_TIME }).await;
        let mut state = self.state();
        state.in_flight -= 1;
        if state.is_down {
            return Err(SinkError::Failed { label: "down", message: "down".to_owned() });
        }
        let mut outcomes = Vec::new();
        for user in users {
            let name = user.subject.to_string();
            if state.hanging_users.contains(&name) {
                outcomes.push(Outcome::Later);
                continue;
            }
            let outcome = state.edge.store(&name, &user.slices);
            if outcome == Outcome::Stored {
                let items = user.slices.iter().flat_map(|slice| &slice.items);
                // The others are stored before the deadline that a hanging user uses up.
                let now = if hangs { Instant::now() - deadline + HUB_TIME } else { Instant::now() };
                let stored: Vec<_> = items.map(|item| (name.clone(), item.offset, now)).collect();
                state.stored_at.extend(stored);
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    async fn checkpoint(&self, request: &CheckpointRequest) -> Result<CheckpointResponse, SinkError> {
        let mut state = self.state();
        if state.is_down {
            return Err(SinkError::Failed { label: "down", message: "down".to_owned() });
        }
        Ok(state.edge.respond(request))
    }
}
