//! The error document of RFC 9457, `application/problem+json`, as edge and bridge answer it.

use serde::{Deserialize, Serialize};

/// Its media type.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A problem as the client sees it: enough to act on, nothing about the inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A URN naming the kind of problem, `urn:causeway:problem:{code}`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status.
    pub status: u16,
    /// One sentence for people.
    pub title: String,
    /// One word for programs; stable.
    pub code: String,
    /// What to quote to the operator; the log has the same.
    pub request_id: String,
}

impl Problem {
    /// Builds the document of a code.
    #[must_use]
    pub fn new(status: u16, code: &str, title: &str, request_id: &str) -> Self {
        Self {
            kind: format!("urn:causeway:problem:{code}"),
            status,
            title: title.to_owned(),
            code: code.to_owned(),
            request_id: request_id.to_owned(),
        }
    }
}
