//! The failure of something outside: it did not answer, or not as it should.

/// Something outside did not answer, or not as it should. The detail is for the log and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part} is unavailable: {detail}")]
pub struct Unavailable {
    /// Which part: `kv`, `session coordinator`, `hub`, `bridge` …
    pub part: &'static str,
    /// What it said.
    pub detail: String,
}

impl Unavailable {
    /// An outage of a part.
    #[must_use]
    pub fn new(part: &'static str, detail: impl std::fmt::Display) -> Self {
        Self { part, detail: detail.to_string() }
    }
}
