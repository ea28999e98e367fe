//! What `/readyz` answers from: the last word of each neighbour.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// The bridge's neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// The brokers.
    Kafka,
    /// The edge.
    Edge,
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

/// Both neighbours' states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The brokers, and that all inbound topics are there.
    pub kafka: State,
    /// The edge.
    pub edge: State,
}

/// Kept by those who talk to the neighbours.
#[derive(Debug, Default)]
pub struct Health(Mutex<Report>);

impl Health {
    /// Notes how a neighbour did, and logs when that changed.
    pub fn set(&self, neighbour: Neighbour, ok: bool) {
        let now = if ok { State::Ok } else { State::Failing };
        let mut report = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = match neighbour {
            Neighbour::Kafka => &mut report.kafka,
            Neighbour::Edge => &mut report.edge,
        };
        if *state != now {
            tracing::info!(?neighbour, before = ?*state, ?now, "a neighbour's state changed");
            *state = now;
        }
    }

    /// Both as they are.
    #[must_use]
    pub fn report(&self) -> Report {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
