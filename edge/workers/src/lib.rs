//! Causeway on Cloudflare Workers: bindings and conversions, no decisions.
//!
//! - [`platform`]: the traits of `causeway_core::runtime::platform` on a Worker's bindings
//! - [`convert`]: requests, responses, headers and bodies between the runtime's types and core's
//! - [`object`]: calling a Durable Object
//! - [`coordinator`], [`user_hub`], [`checkpoints`]: the Durable Objects

#![allow(
    missing_docs,
    reason = "`#[durable_object]` generates undocumented methods; what is written by hand is documented"
)]

mod checkpoints;
mod convert;
mod coordinator;
mod object;
mod platform;
mod user_hub;

use std::{cell::OnceCell, rc::Rc};

use causeway_core::{
    config::Coordination,
    edge::{Edge, unanswerable},
};
use futures_channel::oneshot;
use worker::{Context, Env, Error, Request, Response, Result, event};

pub use checkpoints::Checkpoints;
pub use coordinator::Coordinator;
pub use user_hub::UserHub;

thread_local! {
    static EDGE: OnceCell<Rc<Edge>> = const { OnceCell::new() };
}

/// Answers a request.
///
/// # Errors
/// Only if the runtime refuses even the problem document that says so.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    let edge = EDGE.with(|cell| {
        Rc::clone(cell.get_or_init(|| Rc::new(Edge::new(&platform::Variables(&env), Coordination::Objects))))
    });
    let platform = platform::Workers::new(env, request.inner().signal());
    let request = convert::request(&request);
    let (answer, answered) = oneshot::channel();
    // What is done halfway is done to its end, for half a minute at most, even if the client does not wait for it: a
    // refresh that was cut off would leave a token that was used and a session that waits for nobody.
    context.wait_until(async move {
        let (response, left) = edge.answer(&platform, request).await;
        let response = convert::response(response);
        // The client may be gone; then it is nobody's.
        let _ = answer.send(response.or_else(|refusal| convert::response(unanswerable(&platform, refusal))));
        if let Some(left) = left {
            edge.finish(&platform, left).await;
        }
    });
    answered.await.map_err(|_| Error::RustError("gave no answer".to_owned()))?
}
