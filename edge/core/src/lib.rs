//! Causeway's Backend-for-Frontend: every decision of the edge, without a runtime.
//!
//! Read it from the top: a request meets the table, the guard, then one handler a journey.
//!
//! - [`edge`]: the entry: one [`edge::Edge`] per isolate answers all requests
//! - [`route`]: the table of everything the edge answers, each row with its policies
//! - [`guard`]: where a request may come from, and what every answer carries
//! - [`handler`]: sign in, session, events, stream, proxy, delivery, assets
//! - [`oauth`]: providers, discovery, the code exchange, ID tokens
//! - [`address`]: where on the network an address leads
//! - [`flight`]: one fetch within an isolate for all who wait
//! - [`readiness`]: whether the isolate could do its work a moment ago
//! - [`session`]: the cookie, the sealed record, the coordinator's state machine
//! - [`proxy`]: which upstream requests are allowed and what they carry
//! - [`stream`]: drives one client's SSE stream from its hub
//! - [`hub`]: the buffer of a user's records and who reads it
//! - [`machine`]: small state machines at the coordinator, the only truth there is
//! - [`refresh`]: where sessions and providers meet: a session's tokens, renewed once for all who wait
//! - [`cookie`]: reading ours out of a request, and writing them
//! - [`seal`]: authenticated encryption of everything that leaves the edge's memory
//! - [`rate`], [`expiry`]: what a runtime's own counter or store leaves open
//! - [`config`]: typed configuration; wrong means closed
//! - [`error`]: everything a request can fail with, and what the client sees of it
//! - [`page`]: the pages that the edge writes itself
//! - [`web`]: requests and responses without a runtime
//! - [`telemetry`]: the log, of values that are safe to print; [`observed`]: a runtime that logs what a request does
//! - [`platform`]: what a runtime must provide

pub mod address;
pub mod client_address;
pub mod config;
pub mod cookie;
pub mod edge;
pub mod error;
pub mod expiry;
pub mod flight;
pub mod guard;
pub mod handler;
pub mod hub;
pub mod machine;
pub mod oauth;
mod object;
pub mod observed;
pub mod page;
pub mod platform;
pub mod proxy;
pub mod rate;
pub mod readiness;
pub mod refresh;
pub mod route;
pub mod seal;
pub mod session;
pub mod stream;
pub mod telemetry;
pub mod web;

pub mod origin;

#[cfg(test)]
mod simulated;
