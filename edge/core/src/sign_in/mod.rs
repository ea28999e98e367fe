//! Where OAuth and sessions meet.
//!
//! - [`account`]: connecting accounts to a session and disconnecting them
//! - [`transaction`]: a sign-in in progress, in a sealed cookie
//! - [`step_up`]: an upstream's demand that the user authenticates again
//! - [`refresh`]: a session's tokens, refreshed once for all who wait
//! - [`end_session`]: ending the provider's own session at sign-out

pub mod account;
pub mod end_session;
pub mod refresh;
pub mod step_up;
pub mod transaction;
