//! One file a journey. A handler gets a request that the guard let through, and the session if its row asks for one.

mod asset;
mod backchannel_logout;
mod bearer;
mod bff;
mod bridge;
mod connect;
pub mod context;
mod deadline;
mod deliver;
pub(crate) mod dispatch;
mod event;
mod frontchannel_logout;
mod handoff;
mod health;
mod installation;
mod login;
mod login_confirmation;
mod logout;
mod own_sessions;
mod payload;
mod query;
pub mod rate;
mod session;
mod stream;
mod time;
mod webhook;
