//! `/healthz`: the edge runs. `/readyz`: everything that a session needs is there, too.

use std::time::Duration;

use futures_util::join;
use http::StatusCode;
use serde_json::json;

use super::context::Context;
use crate::{
    error::Error,
    http::web::Response,
    runtime::{
        clock::within, dependency::Dependency, platform::Platform, single_flight::Joined, unavailable::Unavailable,
    },
    session::state::{Command, SessionMachine},
};

/// How long a store may take to answer.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);
const BRIDGE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one request may lead.
const LEADER_LIMIT: Duration = Duration::from_secs(4);
/// The key that the stores are asked for. It never exists: session handles are longer, and other keys contain a colon.
const ABSENT_KEY: &str = "readyz";

/// Answers that the edge runs.
pub(super) fn healthz<B>() -> Response<B> {
    Response::json(StatusCode::OK, "application/json", &json!({"status": "ok"}))
}

/// Checks whether the edge is ready, unless that was done less than a second ago.
pub(super) async fn readyz<P: Platform>(context: &Context<'_, P>) -> Result<Response<P::Body>, Error> {
    let (platform, readiness) = (context.platform, &context.memory.readiness);
    let latest = |now_ms| readiness.latest(now_ms);
    let result = match readiness.single_flight.join(platform, Dependency::Readiness, "", LEADER_LIMIT, latest).await? {
        Joined::Follower(result) => result,
        Joined::Leader(_leader) => {
            let result = check(context).await;
            readiness.remember(platform.now_ms(), result.clone());
            result
        }
    };
    result?;
    Ok(Response::json(StatusCode::OK, "application/json", &json!({"status": "ready"})))
}

/// Checks coordinator, key-value store and bridge. It only reads.
async fn check<P: Platform>(context: &Context<'_, P>) -> Result<(), Unavailable> {
    let platform = context.platform;
    let coordinator = platform.run::<SessionMachine>(ABSENT_KEY, Command::Peek);
    let (coordinator, kv, bridge) = join!(
        within(platform, STORE_TIMEOUT, Dependency::Coordinator, coordinator),
        within(platform, STORE_TIMEOUT, Dependency::KeyValue, platform.get(ABSENT_KEY)),
        check_bridge(context),
    );
    let failures = [
        failure(Dependency::Coordinator, coordinator.map(drop)),
        failure(Dependency::KeyValue, kv.map(drop)),
        failure(Dependency::Bridge, bridge),
    ];
    // The log names the first failure as the reason, and lists them all.
    let failures = failures
        .into_iter()
        .flatten()
        .reduce(|first, next| Unavailable::new(first.dependency, format_args!("{}; {next}", first.detail)));
    failures.map_or(Ok(()), Err)
}

/// The failure of a dependency, under the edge's name for it: a runtime may use another name.
fn failure(dependency: Dependency, checked: Result<(), Unavailable>) -> Option<Unavailable> {
    checked.err().map(|error| if error.dependency == dependency { error } else { Unavailable::new(dependency, error) })
}

async fn check_bridge<P: Platform>(context: &Context<'_, P>) -> Result<(), Unavailable> {
    let request = context.bridge().unsigned_get("/readyz", BRIDGE_TIMEOUT)?;
    let response = context.platform.send(request).await?;
    if !response.status.is_success() {
        return Err(Unavailable::new(Dependency::Bridge, format_args!("is not ready: {}", response.status)));
    }
    Ok(())
}
