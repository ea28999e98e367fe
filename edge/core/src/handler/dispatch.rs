//! Chooses the handler of a route.

use super::{
    asset, backchannel_logout, bff, callback, context::Context, deliver, disconnect, end_session, event,
    frontchannel_logout, handoff, health, login, logout, own_sessions, session, stream, webhook,
};
use crate::{
    error::Error,
    http::web::{Request, Response},
    route::Handler,
    runtime::{platform::Platform, reason::Reason},
    session::store::Session,
};

/// Runs the handler of a row.
///
/// # Errors
/// [`Error`], which the caller turns into an answer.
pub(crate) async fn run<P: Platform>(
    context: Context<'_, P>,
    request: Request<P::Body>,
    session: Option<Session>,
) -> Result<Response<P::Body>, Error> {
    match (context.row.handler, session) {
        (Handler::Login, _) => login::login(&context, &request).await,
        (Handler::Callback, _) => callback::callback(&context, &request).await,
        (Handler::Disconnect, Some(session)) => disconnect::disconnect(&context, session).await,
        (Handler::Session, session) => Ok(session::describe(&context, &request, session.as_ref()).await),
        (Handler::Handoff, _) => handoff::redeem(&context, request).await,
        (Handler::Logout, _) => logout::logout(&context, &request).await,
        (Handler::Proxy, Some(session)) => bff::proxy(&context, request, &session).await,
        (Handler::Events, Some(session)) => event::post(&context, request, &session).await,
        (Handler::Stream, Some(session)) => stream::open(&context, &request, &session).await,
        (Handler::OwnSessions, Some(session)) => own_sessions::list(&context, &session).await,
        (Handler::EndOwnSession, Some(session)) => own_sessions::end_one(&context, &request, &session).await,
        (Handler::EndOtherSessions, Some(session)) => own_sessions::end_others(&context, &session).await,
        (Handler::EndSession, _) => end_session::end_session(&context, &request).await,
        (Handler::LoggedOut, _) => end_session::logged_out(&context, &request),
        (Handler::BackchannelLogout, _) => backchannel_logout::receive(&context, request).await,
        (Handler::FrontchannelLogout, _) => frontchannel_logout::receive(&context, &request).await,
        (Handler::GitHubWebhook, _) => webhook::receive(&context, request).await,
        (Handler::Deliver, _) => deliver::deliver(&context, request).await,
        (Handler::Asset, _) => asset::asset(context.parameter(0)),
        (Handler::Page, _) => asset::page(context.config),
        (Handler::Healthz, _) => Ok(health::healthz()),
        (Handler::Readyz, _) => health::readyz(&context).await,
        // Their rows require a session, which is checked before; refused again here.
        (
            Handler::Disconnect
            | Handler::Proxy
            | Handler::Events
            | Handler::Stream
            | Handler::OwnSessions
            | Handler::EndOwnSession
            | Handler::EndOtherSessions,
            None,
        ) => Err(Error::Unauthenticated { reason: Reason::NoSession }),
    }
}
