//! What `/readyz` answers from: the last word of each neighbour.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

/// The bridge's neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// The brokers.
    Kafka,
    /// The edge, where it keeps the buffers.
    Edge,
    /// Redis, where it does.
    Redis,
}

/// How a neighbour was when it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not asked yet.
    #[default]
    Unknown,
    /// It answered.
    Ok,
    /// It did not, or not usefully.
    Failing,
}

/// The neighbours' states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The brokers, and that all inbound topics are there.
    pub kafka: State,
    /// The edge, if it is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edge: Option<State>,
    /// Redis, if it is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<State>,
    /// What somebody must look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
}

/// The edge refuses records, but not the bridge.
const REFUSING: &str =
    "the edge refuses one record after another: edge and bridge are probably of different versions; delivery waits";

impl Report {
    /// Ready means able to take events, and to serve streams where the bridge does. The edge's state is told but does
    /// not decide: a bridge taken out of service for it could not take events either.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.kafka == State::Ok && self.redis.is_none_or(|redis| redis == State::Ok)
    }
}

/// Kept by those who talk to the neighbours.
#[derive(Debug)]
pub struct Health(Mutex<Known>);

#[derive(Debug)]
struct Known {
    report: Report,
    /// Partitions whose records the edge refuses.
    refusing: BTreeSet<i32>,
}

impl Health {
    /// Knows nothing yet but which neighbour keeps the buffers.
    #[must_use]
    pub fn new(keeper: Neighbour) -> Self {
        let used = |neighbour| (keeper == neighbour).then_some(State::Unknown);
        let (edge, redis) = (used(Neighbour::Edge), used(Neighbour::Redis));
        let report = Report { edge, redis, ..Report::default() };
        Self(Mutex::new(Known { report, refusing: BTreeSet::new() }))
    }

    /// Notes how a neighbour did, and logs when that changed.
    pub fn set(&self, neighbour: Neighbour, ok: bool) {
        let now = if ok { State::Ok } else { State::Failing };
        let report = &mut self.known().report;
        let state = match neighbour {
            Neighbour::Kafka => &mut report.kafka,
            Neighbour::Edge => report.edge.get_or_insert_default(),
            Neighbour::Redis => report.redis.get_or_insert_default(),
        };
        if *state != now {
            tracing::info!(?neighbour, before = ?*state, ?now, "a neighbour's state changed");
            *state = now;
        }
    }

    /// All as they are.
    #[must_use]
    pub fn report(&self) -> Report {
        self.known().report
    }

    /// Notes whether the edge refuses a partition's records one after another.
    pub fn set_refusing(&self, partition: i32, refusing: bool) {
        let mut known = self.known();
        if refusing {
            known.refusing.insert(partition);
        } else {
            known.refusing.remove(&partition);
        }
        known.report.fault = (!known.refusing.is_empty()).then_some(REFUSING);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
