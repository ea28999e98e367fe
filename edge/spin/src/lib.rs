//! Causeway on Spin: bindings and conversions, no decisions.
//!
//! - [`platform`]: the traits of `causeway_core::runtime::platform` on a component's imports
//! - [`convert`]: requests, responses, headers and bodies between the SDK's types and core's
//! - [`document`]: an upstream's HTML, changed while it streams
//! - [`redis`]: one connection per instance and address, and a deadline for every command
//! - [`variable`]: the component's variables
#![cfg(target_family = "wasm")]

mod convert;
mod document;
mod platform;
mod redis;
mod variable;

use std::rc::Rc;

use causeway_core::{
    config::{Coordination, Source as _},
    edge::{
        Edge,
        current::{CurrentEdge, Deployed, Reading},
        unanswerable, unreadable,
    },
};
use http::{Method, StatusCode};
use spin_sdk::wasip3::{exports::http::handler::Guest, http::types, spawn};

use crate::variable::Variables;

thread_local! {
    static EDGE: CurrentEdge<Variables> = const { CurrentEdge::new() };
}

/// The component. It exports the handler itself: the SDK's macro would convert requests and responses first.
struct Component;

spin_sdk::wasip3::http::service::export!(Component);

impl Guest for Component {
    /// Answers a request. An error or a panic would become an empty 500, and a panic would also end the streams of other
    /// requests at this instance.
    async fn handle(request: types::Request) -> Result<types::Response, types::ErrorCode> {
        let deployed = deployed().await;
        let platform = platform::Spin::new(Rc::clone(&deployed));
        let request = convert::request(request);
        let is_head = request.as_ref().is_ok_and(|request| request.method == Method::HEAD);
        let (answer, deferred) = match request {
            Ok(request) => deployed.edge.answer(&platform, request).await,
            Err(_) => (unreadable(&platform), None),
        };
        let response = convert::response(answer, is_head)
            .or_else(|refusal| convert::response(unanswerable(&platform, refusal), is_head))
            .unwrap_or_else(|_| convert::empty(StatusCode::INTERNAL_SERVER_ERROR));
        if let Some(deferred) = deferred {
            // The instance stays until this has finished.
            spawn(async move { deployed.edge.run_deferred(&platform, deferred).await });
        }
        Ok(response)
    }
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
