//! A whole deployment on one thread, with every fault that can happen to it drawn from a seed.
//!
//! Several isolates share the rest of the deployment. Each is an [`Edge`](causeway_core::edge::Edge) with its own cache
//! and its own wrong clock. The coordinator is always right but does not always answer. The key-value store returns
//! stale values and reorders writes. The authorization servers' refresh tokens work once. The upstream APIs accept or
//! reject access tokens. Virtual time advances only when no task can run. At each call of the platform another task may
//! run, the caller may crash, and the answer may be lost, late or wrong.
//!
//! - [`world`]: a deployment
//! - [`scheduler`]: tasks, events and virtual time; [`oneshot`]: a value that one task waits for
//! - [`faults`]: what goes wrong, and how often
//! - [`isolate`]: an isolate and the platform that its edge sees
//! - [`coordinator`], [`key_value`], [`network`], [`upstream`]: the services outside
//! - [`authorization_server`]: issues tokens; [`provider_profile`]: how each provider treats them
//! - [`token`]: the text of tokens
//! - [`browser`]: a user agent and its cookies; [`user_action`]: what its user does; [`linked_account`]: how users
//!   connect and disconnect accounts; [`intent`]: which sessions an action may end
//! - [`invariant`]: what must always hold
//! - [`workload`]: one seed's run of a deployment, with faults and then without; [`setting`]: its configuration
//! - [`random_run`]: many seeds; [`scenario`]: single cases, by number

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code: a failed expectation is a failed test"
)]

mod authorization_server;
mod browser;
mod coordinator;
mod faults;
mod intent;
mod invariant;
mod isolate;
mod key_value;
mod linked_account;
mod network;
mod oneshot;
mod provider_profile;
mod random_run;
mod scenario;
mod scheduler;
mod setting;
mod token;
mod upstream;
mod user_action;
mod workload;
mod world;
