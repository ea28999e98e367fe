//! `/healthz`: the edge runs. `/readyz`: it can also do its work, with all that a session needs.

use std::time::Duration;

use futures_util::join;
use http::{Method, StatusCode};
use serde_json::json;

use super::{bridge, context::Context};
use crate::{
    error::Error,
    guard::REQUEST_ID,
    http::web::{Outgoing, Response},
    runtime::{clock::within, platform::Platform, single_flight::Joined, unavailable::Unavailable},
    session::state::{Command, SessionMachine},
};

/// How long a store may take to be ready.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);
const BRIDGE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one request may have the turn to ask.
const LEADER_LIMIT: Duration = Duration::from_secs(4);
/// What is asked for at the stores. Never there: no session's handle is as short, no key without a colon.
const NOTHING: &str = "readyz";

pub(super) fn healthz<B>() -> Response<B> {
    Response::json(StatusCode::OK, "application/json", &json!({"status": "ok"}))
}

/// Asks, or tells what was found out less than a second ago.
pub(super) async fn readyz<P: Platform>(context: &Context<'_, P>) -> Result<Response<P::Body>, Error> {
    let (platform, readiness) = (context.platform, &context.memory.readiness);
    let look = |now_ms| readiness.verdict(now_ms);
    let verdict = match readiness.single_flight.join(platform, "readiness", "", LEADER_LIMIT, look).await? {
        Joined::Follower(verdict) => verdict,
        Joined::Leader(_leader) => {
            let verdict = ask(context).await;
            readiness.remember(platform.now_ms(), verdict.clone());
            verdict
        }
    };
    verdict?;
    Ok(Response::json(StatusCode::OK, "application/json", &json!({"status": "ready"})))
}

/// Asks for all that a session needs.
async fn ask<P: Platform>(context: &Context<'_, P>) -> Result<(), Unavailable> {
    let platform = context.platform;
    // Reads, and nothing is written by them.
    let coordinator = platform.run::<SessionMachine>(NOTHING, Command::Peek);
    let (coordinator, kv, bridge) = join!(
        within(platform, STORE_TIMEOUT, "coordinator", coordinator),
        within(platform, STORE_TIMEOUT, "kv", platform.get(NOTHING)),
        bridge_ready(context),
    );
    let missing =
        [missing("coordinator", coordinator.map(drop)), missing("kv", kv.map(drop)), missing("bridge", bridge)];
    // The log names the first one as the reason, and all of them.
    let missing = missing
        .into_iter()
        .flatten()
        .reduce(|first, next| Unavailable::new(first.part, format_args!("{}; {next}", first.detail)));
    missing.map_or(Ok(()), Err)
}

/// What a part of ours is missing for, by the part's own name: a runtime may know it by another.
fn missing(part: &'static str, asked: Result<(), Unavailable>) -> Option<Unavailable> {
    asked.err().map(|error| if error.part == part { error } else { Unavailable::new(part, error) })
}

async fn bridge_ready<P: Platform>(context: &Context<'_, P>) -> Result<(), Unavailable> {
    let url = bridge::url(context, "/readyz")?;
    let request = Outgoing::new(Method::GET, url, BRIDGE_TIMEOUT).to("bridge").with(REQUEST_ID, context.request_id);
    let response = context.platform.send(request).await?;
    if !response.status.is_success() {
        return Err(Unavailable::new("bridge", format_args!("is not ready: {}", response.status)));
    }
    Ok(())
}
