//! Causeway on Cloudflare Workers: bindings and conversions, no decisions.
//!
//! - [`platform`]: the traits of `causeway_core::runtime::platform` on a Worker's bindings
//! - [`convert`]: requests, responses, headers and bodies between the runtime's types and core's
//! - [`object`]: calls to a Durable Object
//! - [`coordinator`], [`user_hub`], [`checkpoints`]: the Durable Objects

#![allow(
    missing_docs,
    reason = "`#[durable_object]` generates undocumented methods; everything written by hand is documented"
)]

mod checkpoints;
mod convert;
mod coordinator;
mod object;
mod platform;
mod user_hub;

use causeway_core::{
    config::Coordination,
    edge::{Edge, current::CurrentEdge, unanswerable},
};
use futures_channel::oneshot;
use worker::{Context, Env, Error, Request, Response, Result, event};

pub use checkpoints::Checkpoints;
pub use coordinator::Coordinator;
pub use user_hub::UserHub;

thread_local! {
    static EDGE: CurrentEdge<platform::Bindings> = const { CurrentEdge::new() };
}

/// Answers a request.
///
/// # Errors
/// Only if the runtime rejects even a problem document.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    let variables = platform::Variables(&env);
    let deployed = EDGE.with(|current| current.of(variables.read(), |_| Edge::new(&variables, Coordination::Objects)));
    let platform = platform::Workers::new(env, request.inner().signal());
    let request = match convert::request(&request) {
        Ok(request) => request,
        Err(refusal) => return convert::response(unanswerable(&platform, refusal)),
    };
    let (answer, answered) = oneshot::channel();
    // Work that has started finishes even if the client disconnects; the runtime allows half a minute. A refresh that was
    // cut off would leave a used token behind, and a session that waits for it.
    context.wait_until(async move {
        let edge = &deployed.edge;
        let (response, deferred) = edge.answer(&platform, request).await;
        let response = convert::response(response);
        // Fails if the client has disconnected.
        let _ = answer.send(response.or_else(|refusal| convert::response(unanswerable(&platform, refusal))));
        if let Some(deferred) = deferred {
            edge.run_deferred(&platform, deferred).await;
        }
    });
    answered.await.map_err(|_| Error::RustError("gave no answer".to_owned()))?
}
