//! Causeway's Backend-for-Frontend: all decisions of the edge, without a runtime.
//!
//! The modules form layers. Imports run downwards only, and modules of one layer do not name each other;
//! `tests/layout` checks that. From the top:
//!
//! - [`edge`]: the entry: one [`edge::Edge`] per isolate answers all requests
//! - [`handler`]: one file per route; `handler::dispatch` chooses
//! - [`guard`]: where a request may come from and how often, and the headers of every answer
//! - [`sign_in`]: where OAuth and sessions meet: transactions, accounts, refresh, the provider's logout
//! - [`testing`] (feature `testing`): the in-memory platform of tests, simulation and fuzz targets
//! - [`route`]: the table of routes, each row with its policies
//! - [`config`]: typed configuration; an invalid one closes every route
//! - [`coordinator`]: dispatches a command to its state machine
//! - [`memory`]: what an isolate remembers between requests
//! - [`proxy`]: which upstream requests are allowed, what they carry, and how they are sent
//! - [`session`]: the cookie, the sealed record, the session's state machine
//! - [`oauth`]: providers, discovery, the code exchange, ID tokens
//! - [`error`]: everything a request can fail with, and what the client sees of it
//! - [`seal`]: authenticated encryption of everything that leaves the edge's memory
//! - [`stream`]: the buffer of a user's records, and the driver of one client's SSE stream
//! - [`runtime`]: what a runtime must provide, and what builds on that alone
//! - [`http`]: requests, responses, cookies, origins, addresses
//! - [`token_set`]: a user and their tokens as plain data

pub mod config;
pub mod coordinator;
pub mod edge;
pub mod error;
pub mod guard;
pub mod handler;
pub mod http;
pub mod memory;
pub mod oauth;
pub mod proxy;
pub mod route;
pub mod runtime;
pub mod seal;
pub mod session;
pub mod sign_in;
pub mod stream;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod token_set;
