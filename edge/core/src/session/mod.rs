//! The session: what the browser holds (a sealed id), what the store holds (a sealed record), and who is right when
//! they disagree (the coordinator).
//!
//! - [`id`]: the id, known to the browser and to nobody's disk, and the handle that stores are keyed by
//! - [`record`]: who the user is and with which tokens
//! - [`state`]: the state machine that owns generation, revocation and the right to write
//! - [`index`]: the state machine that knows which sessions there are
//! - [`label`]: what a user recognises a session by
//! - [`replay_guard`]: the state machine that knows which single-use values were used
//! - [`cache`]: sealed records that an isolate remembers; [`settings`]: what an operator decides about sessions
//! - [`store`]: create and load a session on a platform
//! - [`writer`]: write a session's record, one writer at a time
//! - [`rotation`]: seal anew what an older key sealed
//! - [`handoff`]: give a session to a page of another site, once
//! - `creation`: begin a session
//! - [`ending`]: end sessions: one, or all of an index

pub mod cache;
mod creation;
pub mod ending;
pub mod handoff;
pub mod id;
pub mod index;
pub mod label;
pub mod record;
pub mod replay_guard;
pub mod rotation;
pub mod settings;
pub mod state;
pub mod store;
pub mod writer;
