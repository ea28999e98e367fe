//! Causeway on Spin: bindings and conversions, no decisions.
//!
//! - [`platform`]: the traits of `causeway_core::runtime::platform` on a component's imports
//! - [`convert`]: requests, responses, headers and bodies between the SDK's types and core's
//! - [`redis`]: one connection per instance, and a deadline for every command
//! - [`variable`]: the component's variables, read once per instance
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

/// The state that an instance keeps between requests.
struct Instance {
    edge: Edge,
    variables: Variables,
}

thread_local! {
    static INSTANCE: RefCell<Option<Rc<Instance>>> = const { RefCell::new(None) };
}

/// Answers a request. Returns the raw response: an error or a panic would become an empty 500, and would also end the
/// streams of other requests at this instance.
#[http_service]
async fn handle(request: Request) -> types::Response {
    let instance = instance().await;
    let platform = platform::Spin::new(&instance.variables);
    let (answer, deferred) = instance.edge.answer(&platform, convert::request(request)).await;
    if let Some(deferred) = deferred {
        // The instance stays until this has finished.
        let instance = Rc::clone(&instance);
        spawn(async move { instance.edge.run_deferred(&platform::Spin::new(&instance.variables), deferred).await });
    }
    convert::response(answer)
        .or_else(|refusal| convert::response(unanswerable(&platform, refusal)))
        .unwrap_or_else(|_| convert::empty(StatusCode::INTERNAL_SERVER_ERROR))
}

async fn instance() -> Rc<Instance> {
    if let Some(instance) = INSTANCE.with_borrow(Clone::clone) {
        return instance;
    }
    let variables = Variables::read().await;
    let edge = Edge::new(&variables, Coordination::Redis);
    let instance = Rc::new(Instance { edge, variables });
    // Concurrent requests may each create an instance. They are all equal, and the last one is kept. If variables could not
    // be read, the next request tries again.
    if instance.variables.unreadable().is_empty() {
        INSTANCE.set(Some(Rc::clone(&instance)));
    }
    instance
}
