//! The session: what the browser holds (a sealed id), what the store holds (a sealed record), and who is right when
//! they disagree (the coordinator).
//!
//! - [`id`]: the id, known to the browser and to nobody's disk, and the handle that stores are keyed by
//! - [`record`]: who the user is and with which tokens
//! - [`coordinator`]: the state machine that owns generation and revocation
//! - [`store`]: create, load and end a session on a platform

pub mod coordinator;
pub mod id;
pub mod record;
pub mod store;
