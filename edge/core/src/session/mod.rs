//! Sessions: the browser has a sealed id, the key-value store a copy of the sealed record, and the coordinator decides
//! where they disagree.
//!
//! - [`id`]: the id, which no store has, and the handle that stores are keyed by
//! - [`record`]: the user, the linked accounts and their tokens
//! - [`summary`]: what that says beside the tokens, which is all that most requests need
//! - [`principal`]: who a request acts for
//! - [`state`]: the state machine of one session: generation, revocation and the write lease
//! - [`index`]: the state machine of an index of sessions
//! - [`replay_guard`]: the state machine of a value that may be used once
//! - [`label`]: by what a user recognises a session
//! - [`cache`]: sealed records that an isolate remembers
//! - [`settings`]: the operator's settings for sessions
//! - `cookie`: the session cookie
//!
//! [`store::Sessions`] is one type whose methods are spread over several files. Each file calls only those before it:
//!
//! 1. [`store`]: reads and writes sealed records
//! 2. `loading`: loads the session of a request, or only who it acts for
//! 3. [`ending`]: ends one session, or all of an index
//! 4. `creation`: creates a session and adds it to its indexes
//! 5. [`writer`]: writes a session's record, one writer at a time
//!
//! On top of them: [`rotation`] reseals what an older key sealed, and [`handoff`] hands a session over to a page of
//! another site.

pub mod cache;
mod cookie;
mod creation;
pub mod ending;
pub mod handoff;
pub mod id;
pub mod index;
pub mod label;
mod loading;
pub mod principal;
pub mod record;
pub mod replay_guard;
pub mod rotation;
pub mod settings;
pub mod state;
pub mod store;
pub mod summary;
pub mod writer;
