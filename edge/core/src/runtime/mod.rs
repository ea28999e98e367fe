//! What a runtime must provide, and what builds on that alone.
//!
//! - [`platform`]: the traits of a runtime; [`clock`], [`random`]: two of them that much else needs
//! - [`dependency`], [`unavailable`]: what the edge depends on, and its failure
//! - [`machine`]: a state machine at the coordinator, and how its state is stored
//! - [`telemetry`]: the log, of values that are safe to print; [`event_name`]: its lines; `redact`: text from outside, made
//!   safe; `closed_list`: enums of fixed texts
//! - [`traced`]: a runtime that logs what a request does
//! - `copy`, [`copy_queue`]: what a request changes in the key-value store after its answer
//! - [`single_flight`]: one fetch within an isolate for all who wait
//! - [`readiness`]: whether the isolate could do its work a moment ago
//! - [`rate`], [`expiry`]: rate windows and expiry for stores that have neither

pub mod clock;
pub(crate) mod closed_list;
pub(crate) mod copy;
pub mod copy_queue;
pub mod dependency;
pub mod event_name;
pub mod expiry;
pub mod machine;
pub mod platform;
pub mod random;
pub mod rate;
pub mod readiness;
pub mod reason;
pub(crate) mod redact;
pub mod single_flight;
pub mod telemetry;
pub mod traced;
pub mod unavailable;
