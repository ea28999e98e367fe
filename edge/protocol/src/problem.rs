//! The error document of RFC 9457, `application/problem+json`, as edge and bridge send it.

use serde::{Deserialize, Serialize};

/// The media type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A problem as the client sees it. It says enough to act on and nothing about internals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The URN of the kind of problem, `urn:causeway:problem:{code}`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status.
    pub status: u16,
    /// A sentence for people.
    pub title: String,
    /// A stable word for programs.
    pub code: String,
    /// The id to quote to the operator. The log contains it as well.
    pub request_id: String,
}

impl Problem {
    /// The document of a code.
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
