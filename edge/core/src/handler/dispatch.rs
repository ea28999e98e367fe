//! Chooses the handler of a route.

use super::{
    asset, backchannel_logout, bff, callback, checkpoint, context::Context, deliver, disconnect, end_session, event,
    frontchannel_logout, handoff, health, history, host_page, login, logout, own_sessions, session, shell, stream,
    webhook,
};
use crate::{
    error::Error,
    http::web::{Request, Response},
    route::Handler,
    runtime::{platform::Platform, reason::Reason},
    session::principal::Principal,
};

/// Runs the handler of a row. Each has a box of its own: otherwise every request would carry, and move, the space that the
/// largest handler needs.
///
/// # Errors
/// [`Error`], which the caller turns into an answer.
pub(crate) async fn run<P: Platform>(
    context: Context<'_, P>,
    request: Request<P::Body>,
    principal: Option<Principal>,
) -> Result<Response<P::Body>, Error> {
    match (context.row.handler, principal) {
        (Handler::Login, _) => Box::pin(login::login(&context, &request)).await,
        (Handler::Callback, _) => Box::pin(callback::callback(&context, &request)).await,
        (Handler::Disconnect, Some(principal)) => Box::pin(disconnect::disconnect(&context, principal)).await,
        (Handler::Session, principal) => Ok(session::describe(&context, principal.as_ref()).await),
        (Handler::Handoff, _) => Box::pin(handoff::redeem(&context, request)).await,
        (Handler::Logout, _) => Box::pin(logout::logout(&context, &request)).await,
        (Handler::Proxy, Some(principal)) => Box::pin(bff::proxy(&context, request, principal)).await,
        (Handler::Events, Some(principal)) => Box::pin(event::post(&context, request, &principal)).await,
        (Handler::History, Some(principal)) => Box::pin(history::page(&context, &request, &principal)).await,
        (Handler::Stream, Some(principal)) => Box::pin(stream::open(&context, &request, &principal)).await,
        (Handler::OwnSessions, Some(principal)) => Box::pin(own_sessions::list(&context, &principal)).await,
        (Handler::EndOwnSession, Some(principal)) => {
            Box::pin(own_sessions::end_one(&context, &request, &principal)).await
        }
        (Handler::EndOtherSessions, Some(principal)) => Box::pin(own_sessions::end_others(&context, &principal)).await,
        (Handler::EndSession, _) => Box::pin(end_session::end_session(&context, &request)).await,
        (Handler::LoggedOut, _) => end_session::logged_out(&context, &request),
        (Handler::BackchannelLogout, _) => Box::pin(backchannel_logout::receive(&context, request)).await,
        (Handler::FrontchannelLogout, _) => Box::pin(frontchannel_logout::receive(&context, &request)).await,
        (Handler::GitHubWebhook, _) => Box::pin(webhook::receive(&context, request)).await,
        (Handler::Deliver, _) => Box::pin(deliver::deliver(&context, request)).await,
        (Handler::Checkpoint, _) => Box::pin(checkpoint::checkpoint(&context, request)).await,
        (Handler::Asset, _) => asset::asset(&request, context.parameter(0)),
        (Handler::Shell, _) => shell::shell(&context, &request),
        (Handler::Page, _) => asset::page(context.config),
        (Handler::HostPage, _) => Box::pin(host_page::pass(&context, &request)).await,
        (Handler::Healthz, _) => Ok(health::healthz()),
        (Handler::Readyz, _) => Box::pin(health::readyz(&context)).await,
        // Their rows require a session, which is checked before; refused again here.
        (
            Handler::Disconnect
            | Handler::Proxy
            | Handler::Events
            | Handler::History
            | Handler::Stream
            | Handler::OwnSessions
            | Handler::EndOwnSession
            | Handler::EndOtherSessions,
            None,
        ) => Err(Error::Unauthenticated { reason: Reason::NoSession }),
    }
}
