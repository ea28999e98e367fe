//! `POST /internal/deliver`: appends items from the bridge to the users' hubs, and says what became of each user's.

use std::{collections::HashSet, pin::pin, time::Duration};

use causeway_protocol::deliver::{DeliverRequest, DeliverResponse, MAX_DELIVER_USERS, Outcome, UserDelivery};
use futures_util::{
    StreamExt as _,
    future::{Either, select},
    stream,
};
use http::StatusCode;

use super::{context::Context, signed};
use crate::{
    error::Error,
    http::web::{Request, Response},
    runtime::{
        dependency::Dependency, event_name::EventName, platform::Platform, reason::Reason, telemetry::Event,
        unavailable::Unavailable,
    },
};

/// How long the hubs of a request for several users may take. Their users wait for the answer together, so it is short:
/// the bridge repeats what is left, each user alone.
const SEVERAL_HUBS_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the hub of a request for one user may take. Nobody else waits for it.
const ONE_HUB_TIMEOUT: Duration = Duration::from_secs(5);
/// How many hubs are called at once.
const PARALLEL_HUBS: usize = 16;

/// Receives a delivery. The answer holds what is done by its deadline.
pub(super) async fn deliver<P: Platform>(
    context: &Context<'_, P>,
    request: Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let DeliverRequest { users, .. } = signed::read(context, request, Reason::DeliveryMalformed).await?;
    let distinct: HashSet<_> = users.iter().map(|user| &user.subject).collect();
    if users.len() > MAX_DELIVER_USERS || distinct.len() != users.len() {
        return Err(Error::BadRequest { reason: Reason::DeliveryUsers });
    }
    let outcomes = append(context.platform, &users).await;
    Ok(Response::json(StatusCode::OK, "application/json", &DeliverResponse { outcomes }))
}

/// Appends each user's items to the user's hub, all side by side. A hub that fails, or has not answered in time, holds up
/// its own user only: the bridge delivers to that user again.
async fn append<P: Platform>(platform: &P, users: &[UserDelivery]) -> Vec<Outcome> {
    let timeout = if users.len() > 1 { SEVERAL_HUBS_TIMEOUT } else { ONE_HUB_TIMEOUT };
    let mut deadline = platform.sleep(timeout);
    let appends = stream::iter(users.iter().enumerate())
        .map(|(at, user)| async move { (at, platform.append(&user.subject, user.slices.get()).await) });
    let mut appended = pin!(appends.buffer_unordered(PARALLEL_HUBS));
    let mut outcomes = vec![Outcome::Later; users.len()];
    let mut failure: Option<Unavailable> = None;
    while let Either::Left((Some((at, answer)), _)) = select(appended.next(), &mut deadline).await {
        match (answer, outcomes.get_mut(at)) {
            (Ok(outcome), Some(slot)) => *slot = outcome,
            (Ok(_), None) => {}
            (Err(error), _) => failure = failure.or(Some(error)),
        }
    }
    let later = outcomes.iter().filter(|outcome| **outcome == Outcome::Later).count();
    if later > 0 {
        let no_answer = || Unavailable::new(Dependency::Hub, "no answer in time");
        let failure = failure.unwrap_or_else(no_answer);
        Event::warn(EventName::DeliverHub).with("users", later).with("detail", &failure).write(platform);
    }
    outcomes
}
