//! The proxy of `/bff/{service}/*`: which upstream requests are allowed, what they carry, and how they are sent.
//!
//! The destination's host comes from configuration alone, the path and method must match a rule, and headers are rebuilt.
//!
//! - [`path`]: paths that every server reads alike
//! - [`rule`]: allowed methods and paths
//! - `query`: queries that name another method
//! - [`service`]: an upstream, and the URL of a request to it
//! - `reference`: addresses in an answer, mapped to the edge
//! - `header`: the headers of requests and responses
//! - `payload`: the body of a request, in memory or streamed
//! - `deadline`: the time left for a task of several steps
//! - `authorization`: the access token of a request, with its DPoP proof
//! - `installation_token`: tokens of GitHub App installations, shared by all users
//! - `forward`: sends a request, again if need be, and passes the answer on

pub(crate) mod authorization;
pub(crate) mod deadline;
pub(crate) mod forward;
pub(crate) mod header;
pub(crate) mod installation_token;
pub mod path;
pub(crate) mod payload;
mod query;
mod reference;
pub mod rule;
pub mod service;
