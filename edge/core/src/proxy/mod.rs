//! The proxy's rules: which upstream requests are allowed and what they carry. No I/O in here: the handler sends what
//! these modules built.
//!
//! The destination's host comes from configuration alone; path and method must match a rule; headers are rebuilt.
//!
//! - [`path`]: paths that everyone reads alike
//! - [`rule`]: allowed methods and paths
//! - [`service`]: an upstream and the URL of a request to it
//! - [`header`]: what crosses, in both directions

pub mod header;
pub mod path;
pub mod rule;
pub mod service;
