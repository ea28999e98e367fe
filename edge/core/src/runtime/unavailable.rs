//! The failure of something outside: it did not answer, or not as it should.

use super::dependency::Dependency;

/// Something outside did not answer, or not as it should. The detail is for the log and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{dependency} is unavailable: {detail}")]
pub struct Unavailable {
    /// What did not answer.
    pub dependency: Dependency,
    /// What it said.
    pub detail: String,
}

impl Unavailable {
    /// An outage of a dependency.
    #[must_use]
    pub fn new(dependency: Dependency, detail: impl std::fmt::Display) -> Self {
        Self { dependency, detail: detail.to_string() }
    }
}
