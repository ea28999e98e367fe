//! Causeway on Spin: bindings and conversions, no decisions.
//!
//! - [`platform`]: the traits of `causeway_core::runtime::platform` on a component's imports
//! - [`convert`]: requests, responses, headers and bodies between the SDK's types and core's
//! - [`redis`]: one connection per instance and address, and a deadline for every command
//! - [`variable`]: the component's variables
#![cfg(target_family = "wasm")]

mod convert;
mod platform;
mod redis;
mod variable;

use std::rc::Rc;

use causeway_core::{
    config::{Coordination, Source as _},
    edge::{
        Edge,
        current::{CurrentEdge, Deployed, Reading},
        unanswerable,
    },
};
use http::StatusCode;
use spin_sdk::{
    http::Request,
    http_service,
    wasip3::{http::types, spawn},
};

use crate::variable::Variables;

thread_local! {
    static EDGE: CurrentEdge<Variables> = const { CurrentEdge::new() };
}

/// Answers a request. Returns the raw response: an error or a panic would become an empty 500, and would also end the
/// streams of other requests at this instance.
#[http_service]
async fn handle(request: Request) -> types::Response {
    let deployed = deployed().await;
    let platform = platform::Spin::new(&deployed.values);
    let (answer, deferred) = deployed.edge.answer(&platform, convert::request(request)).await;
    if let Some(deferred) = deferred {
        // The instance stays until this has finished.
        let deployed = Rc::clone(&deployed);
        spawn(async move { deployed.edge.run_deferred(&platform::Spin::new(&deployed.values), deferred).await });
    }
    convert::response(answer)
        .or_else(|refusal| convert::response(unanswerable(&platform, refusal)))
        .unwrap_or_else(|_| convert::empty(StatusCode::INTERNAL_SERVER_ERROR))
}

/// The edge of the variables in force. Concurrent requests may each read them. Unless these change meanwhile they are equal,
/// and one edge is kept.
async fn deployed() -> Rc<Deployed<Variables>> {
    if let Some(deployed) = EDGE.with(|current| current.recent(platform::now_ms())) {
        return deployed;
    }
    let read_at_ms = platform::now_ms();
    let values = Variables::read().await;
    let reading = Reading { is_complete: values.unreadable().is_empty(), values, read_at_ms };
    EDGE.with(|current| current.of(reading, |variables| Edge::new(variables, Coordination::Redis)))
}
