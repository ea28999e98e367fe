//! The handlers, one file a route. A handler gets a request that the guard let through, and the session if its row asks
//! for one.

mod asset;
mod backchannel_logout;
mod bff;
mod callback;
mod checkpoint;
pub mod context;
mod deliver;
mod disconnect;
pub(crate) mod dispatch;
mod end_session;
mod event;
mod frontchannel_logout;
mod handoff;
mod health;
mod history;
mod host_page;
mod login;
mod login_confirmation;
mod logout;
mod own_sessions;
mod session;
mod shell;
mod signed;
pub(crate) mod stream;
mod webhook;
