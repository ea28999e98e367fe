//! The last known state of each dependency, from which `/readyz` is answered.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// A service that the bridge depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependency {
    /// The brokers.
    Kafka,
    /// The edge, if the users' buffers are there.
    Edge,
    /// Redis, if the users' buffers are there.
    Redis,
}

/// The outcome of the last call to a dependency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not called yet.
    #[default]
    Unknown,
    /// It answered.
    Ok,
    /// It did not answer, or its answer was unusable.
    Failing,
}

/// The body of `/readyz`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether the brokers answer and all inbound topics exist.
    pub kafka: State,
    /// The edge, if it is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edge: Option<State>,
    /// Redis, if it is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<State>,
    /// A fault that needs an operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
    /// Whether the edge speaks another version of the contract.
    #[serde(skip)]
    pub is_other_version: bool,
}

/// The fault while the edge refuses records although it accepts the bridge's signature.
const REFUSING: &str = "the edge refuses one record after another; they wait";

/// The fault while edge and bridge can't understand each other.
const OTHER_VERSION: &str = "edge and bridge speak different versions of their contract; delivery waits";

impl Report {
    /// Whether the bridge can accept events, and serve streams if the buffers are in Redis.
    ///
    /// The edge's state is reported but does not count. A bridge taken out of service because of the edge could not
    /// accept events either. But if they speak different versions, they don't understand each other's requests at all.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.kafka == State::Ok && self.redis.is_none_or(|redis| redis == State::Ok) && !self.is_other_version
    }
}

/// The states of all dependencies. The modules that call a dependency report its state here.
#[derive(Debug)]
pub struct Health(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    report: Report,
    is_refusing: bool,
}

impl Inner {
    fn update_fault(&mut self) {
        self.report.fault = match (self.report.is_other_version, self.is_refusing) {
            (true, _) => Some(OTHER_VERSION),
            (false, true) => Some(REFUSING),
            (false, false) => None,
        };
    }
}

impl Health {
    /// Starts with every state unknown. `buffer_store` is the dependency that keeps the users' buffers.
    #[must_use]
    pub fn new(buffer_store: Dependency) -> Self {
        let used = |dependency| (buffer_store == dependency).then_some(State::Unknown);
        let (edge, redis) = (used(Dependency::Edge), used(Dependency::Redis));
        let report = Report { edge, redis, ..Report::default() };
        Self(Mutex::new(Inner { report, is_refusing: false }))
    }

    /// Records whether a call to a dependency succeeded. Logs a change.
    pub fn set(&self, dependency: Dependency, ok: bool) {
        let now = if ok { State::Ok } else { State::Failing };
        let report = &mut self.inner().report;
        let state = match dependency {
            Dependency::Kafka => &mut report.kafka,
            Dependency::Edge => report.edge.get_or_insert_default(),
            Dependency::Redis => report.redis.get_or_insert_default(),
        };
        if *state != now {
            tracing::info!(?dependency, before = ?*state, ?now, "a dependency's state changed");
            *state = now;
        }
    }

    /// The current states.
    #[must_use]
    pub fn report(&self) -> Report {
        self.inner().report
    }

    /// Records whether the edge refuses one record after another.
    pub fn set_refusing(&self, is_refusing: bool) {
        let mut inner = self.inner();
        inner.is_refusing = is_refusing;
        inner.update_fault();
    }

    /// Records whether the edge speaks another version of the contract.
    pub fn set_other_version(&self, is_other: bool) {
        let mut inner = self.inner();
        if inner.report.is_other_version != is_other {
            inner.report.is_other_version = is_other;
            inner.update_fault();
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
