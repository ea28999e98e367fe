//! Where OAuth and sessions meet.
//!
//! - [`account`]: connecting accounts to a session and disconnecting them
//! - [`transaction`]: a sign-in in progress, in a sealed cookie
//! - [`refresh`]: a session's tokens, refreshed once for all who wait
//! - [`end_session`]: ending the provider's own session at sign-out

pub mod account;
pub mod end_session;
pub mod refresh;
pub mod transaction;
