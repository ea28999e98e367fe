//! Causeway on Spin: bindings and conversions, no decisions.
//!
//! - [`platform`]: the traits of `causeway_core::runtime::platform` on a component's imports
//! - [`convert`]: requests, responses, headers and bodies between the SDK's types and core's
//! - [`redis`]: one connection an instance, every command with a deadline
//! - [`variable`]: the component's variables, read once an instance
#![cfg(target_family = "wasm")]

mod convert;
mod platform;
mod redis;
mod variable;

use std::{cell::RefCell, rc::Rc};

use causeway_core::{
    config::{Coordination, Source as _},
    edge::{Edge, unanswerable},
};
use http::StatusCode;
use spin_sdk::{
    http::Request,
    http_service,
    wasip3::{http::types, spawn},
};

use crate::variable::Variables;

/// What an instance keeps between the requests it serves.
struct Instance {
    edge: Edge,
    variables: Variables,
}

thread_local! {
    static INSTANCE: RefCell<Option<Rc<Instance>>> = const { RefCell::new(None) };
}

/// Answers a request. Returns the raw response: an error or a panic would be an empty 500 that also ends the streams of
/// the requests which share the instance.
#[http_service]
async fn handle(request: Request) -> types::Response {
    let instance = instance().await;
    let platform = platform::Spin::new(&instance.variables);
    let (answer, left) = instance.edge.answer(&platform, convert::request(request)).await;
    if let Some(left) = left {
        // The instance stays until this is done, too.
        let instance = Rc::clone(&instance);
        spawn(async move { instance.edge.finish(&platform::Spin::new(&instance.variables), left).await });
    }
    convert::response(answer)
        .or_else(|refusal| convert::response(unanswerable(&platform, refusal)))
        .unwrap_or_else(|_| convert::nothing(StatusCode::INTERNAL_SERVER_ERROR))
}

async fn instance() -> Rc<Instance> {
    if let Some(instance) = INSTANCE.with_borrow(Clone::clone) {
        return instance;
    }
    let variables = Variables::read().await;
    let edge = Edge::new(&variables, Coordination::Redis);
    let instance = Rc::new(Instance { edge, variables });
    // Requests that began together may all get here; whoever is last is kept, and all are alike. What a provider's
    // outage left incomplete is asked for again by the next request.
    if instance.variables.unreadable().is_empty() {
        INSTANCE.set(Some(Rc::clone(&instance)));
    }
    instance
}
