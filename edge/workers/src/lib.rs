//! Causeway on Cloudflare Workers: bindings and conversions, no decisions.
//!
//! - [`platform`]: the traits of `causeway_core::runtime::platform` on a Worker's bindings
//! - [`variables`]: a Worker's variables and secrets
//! - [`hub_connection`]: a stream's connection to its user's hub
//! - [`client_signal`]: tells that a client has disconnected
//! - [`message`]: what crosses between JavaScript and Wasm
//! - [`convert`]: requests, responses, headers and bodies between the runtime's types and core's
//! - [`started`]: work that began before its task
//! - [`object`]: calls to a Durable Object
//! - [`coordinator`], [`user_hub`], [`checkpoints`]: the Durable Objects

#![allow(
    missing_docs,
    reason = "`#[durable_object]` generates undocumented methods; everything written by hand is documented"
)]

mod checkpoints;
mod client_signal;
mod convert;
mod coordinator;
mod hub_connection;
mod message;
mod object;
mod platform;
mod started;
mod user_hub;
mod variables;

use std::pin::Pin;

use causeway_core::{
    config::Coordination,
    edge::{Edge, current::CurrentEdge, unanswerable, unreadable},
};
use futures_channel::oneshot;
use js_sys::futures::future_to_promise;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use web_sys::Response;
use worker::{Env, Error, Result, worker_sys};

use self::{
    started::Started,
    variables::{Bindings, Variables},
};

pub use checkpoints::Checkpoints;
pub use coordinator::Coordinator;
pub use user_hub::UserHub;

thread_local! {
    static EDGE: CurrentEdge<Bindings> = const { CurrentEdge::new() };
}

/// Answers a request, with a response or the promise of one. Most requests wait for nothing and get the response, which
/// spares the runtime two promises and their turns.
///
/// # Errors
/// Only if the runtime rejects even an empty answer.
#[wasm_bindgen]
pub fn fetch(
    request: web_sys::Request,
    env: Env,
    context: worker_sys::Context,
) -> std::result::Result<JsValue, JsValue> {
    let (answer, mut answered) = oneshot::channel();
    let work = Started::new(async move {
        let (response, deferred) = respond(request, env).await;
        // Fails if the client has disconnected.
        let _ = answer.send(response);
        if let Some(deferred) = deferred {
            deferred.await;
        }
    });
    if let Some(work) = work {
        // Work that has started finishes even if the client disconnects; the runtime allows half a minute. A refresh that was
        // cut off would leave a used token behind, and a session that waits for it.
        context.wait_until(&future_to_promise(async move {
            work.await;
            Ok(JsValue::UNDEFINED)
        }))?;
    }
    let no_answer = || JsValue::from(Error::from("gave no answer"));
    match answered.try_recv() {
        Ok(Some(response)) => Ok(response?.into()),
        Ok(None) => Ok(future_to_promise(async move { Ok(answered.await.map_err(|_| no_answer())??.into()) }).into()),
        Err(_) => Err(no_answer()),
    }
}

/// Work to do after an answer.
type Deferred = Pin<Box<dyn Future<Output = ()>>>;

async fn respond(request: web_sys::Request, env: Env) -> (Result<Response>, Option<Deferred>) {
    let variables = Variables(&env);
    let deployed = EDGE.with(|current| current.of(variables.read(), |_| Edge::new(&variables, Coordination::Objects)));
    let converted = convert::request(&request);
    let platform = platform::Workers::new(env, request);
    let request = match converted {
        Ok(request) => request,
        Err(_) => return (convert::response(unreadable(&platform)), None),
    };
    let (response, deferred) = deployed.edge.answer(&platform, request).await;
    let response = convert::response(response).or_else(|refusal| convert::response(unanswerable(&platform, refusal)));
    let deferred = deferred
        .map(|deferred| Box::pin(async move { deployed.edge.run_deferred(&platform, deferred).await }) as Deferred);
    (response, deferred)
}

/// The time in Unix milliseconds. (`worker::Date` would make an object of JavaScript first, which takes thirty times as long.)
fn now_ms() -> u64 {
    js_sys::Date::now() as u64
}
