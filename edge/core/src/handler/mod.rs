//! One file a journey. A handler gets a request that the guard let through, and the session if its row asks for one.

mod asset;
mod backchannel_logout;
mod bearer;
mod bff;
mod bridge;
mod connect;
mod deadline;
mod deliver;
mod doorstep;
mod event;
mod frontchannel_logout;
mod handoff;
mod health;
mod installation;
#[cfg(test)]
mod journey;
mod login;
mod logout;
mod own_sessions;
mod payload;
mod query;
mod rate;
mod session;
mod stream;
mod time;
mod webhook;

use causeway_protocol::trace::Traceparent;
use std::{cell::RefCell, pin::pin, time::Duration};

use futures_util::future::{Either, select};
use http::header;

use crate::{
    config::Config,
    edge::Memory,
    error::Error,
    platform::{Platform, ReadBody as _},
    route::{Handler, Parameters, Row},
    session::store::Session,
    web::{Request, Response},
};

/// What a handler works with.
#[derive(Debug)]
pub struct Context<'a, P> {
    /// The runtime.
    pub platform: &'a P,
    /// The deployment.
    pub config: &'a Config,
    /// What the isolate remembers.
    pub memory: &'a Memory,
    /// Names the request.
    pub request_id: &'a str,
    /// What the request is part of.
    pub trace: &'a Traceparent,
    /// The row of the table.
    pub row: &'static Row,
    /// What the row's placeholders stand for.
    pub parameters: Parameters,
    /// The session whose own account is looked after once its client has the answer.
    pub afterwards: &'a RefCell<Option<Session>>,
}

impl<P> Context<'_, P> {
    /// What a placeholder stands for; empty if the row has fewer.
    fn parameter(&self, index: usize) -> &str {
        self.parameters.get(index).map_or("", String::as_str)
    }
}

/// Runs the handler of a row.
///
/// # Errors
/// [`Error`], turned into an answer by the caller.
pub async fn run<P: Platform>(
    context: Context<'_, P>,
    request: Request<P::Body>,
    session: Option<Session>,
) -> Result<Response<P::Body>, Error> {
    match (context.row.handler, session) {
        (Handler::Login, _) => login::login(&context, &request).await,
        (Handler::Callback, _) => login::callback(&context, &request).await,
        (Handler::Disconnect, Some(session)) => connect::disconnect(&context, session).await,
        (Handler::Session, session) => Ok(session::describe(&context, &request, session.as_ref()).await),
        (Handler::Handoff, _) => handoff::redeem(&context, request).await,
        (Handler::Logout, _) => logout::logout(&context, &request).await,
        (Handler::Proxy, Some(session)) => bff::proxy(&context, request, &session).await,
        (Handler::Events, Some(session)) => event::post(&context, request, &session).await,
        (Handler::Stream, Some(session)) => stream::open(&context, &request, &session).await,
        (Handler::OwnSessions, Some(session)) => own_sessions::list(&context, &session).await,
        (Handler::EndOwnSession, Some(session)) => own_sessions::end_one(&context, &request, &session).await,
        (Handler::EndOtherSessions, Some(session)) => own_sessions::end_others(&context, &session).await,
        (
            Handler::Disconnect
            | Handler::Proxy
            | Handler::Events
            | Handler::Stream
            | Handler::OwnSessions
            | Handler::EndOwnSession
            | Handler::EndOtherSessions,
            None,
        ) => Err(Error::Unauthenticated { reason: "no session" }),
        (Handler::EndSession, _) => logout::leave(&context, &request).await,
        (Handler::LoggedOut, _) => logout::come_back(&context, &request),
        (Handler::BackchannelLogout, _) => backchannel_logout::receive(&context, request).await,
        (Handler::FrontchannelLogout, _) => frontchannel_logout::receive(&context, &request).await,
        (Handler::GitHubWebhook, _) => webhook::deliver(&context, request).await,
        (Handler::Deliver, _) => deliver::deliver(&context, request).await,
        (Handler::Asset, _) => asset::asset(context.parameter(0)),
        (Handler::Page, _) => asset::page(context.config),
        (Handler::Healthz, _) => Ok(health::healthz()),
        (Handler::Readyz, _) => health::readyz(&context).await,
    }
}

/// How long a body may take to arrive: whoever sends it was let in before, and may not be let in any more.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a body within its row's limit and in time; one that says it is longer is refused unread.
async fn read_body<P: Platform>(platform: &P, row: &Row, request: Request<P::Body>) -> Result<Vec<u8>, Error> {
    let says = request.header(&header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if says.is_some_and(|length| length > row.body_limit_bytes) {
        return Err(Error::TooLarge);
    }
    match select(pin!(request.body.read(row.body_limit_bytes)), platform.sleep(BODY_TIMEOUT)).await {
        Either::Left((read, _)) => Ok(read?),
        Either::Right(_) => Err(Error::TooSlow),
    }
}
