//! The toolbox of the handlers.

use std::{cell::RefCell, pin::pin, time::Duration};

use causeway_protocol::trace::Traceparent;
use futures_util::future::{Either, select};
use http::header;

use crate::{
    config::Config,
    error::Error,
    http::{body::ReadBody as _, web::Request},
    memory::Memory,
    oauth::{discovery::Endpoints, provider::Provider, token_endpoint::Client},
    route::{Parameters, Row},
    runtime::platform::Platform,
    session::store::{Session, Sessions},
    sign_in::refresh::Refresher,
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
    pub deferred_refresh: &'a RefCell<Option<Session>>,
}

impl<P> Context<'_, P> {
    /// What a placeholder stands for; empty if the row has fewer.
    pub(super) fn parameter(&self, index: usize) -> &str {
        self.parameters.get(index).map_or("", String::as_str)
    }
}

/// How long a body may take to arrive: whoever sends it was let in before, and may not be let in any more.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a body within its row's limit and in time; one that says it is longer is refused unread.
pub(super) async fn read_body<P: Platform>(
    platform: &P,
    row: &Row,
    request: Request<P::Body>,
) -> Result<Vec<u8>, Error> {
    let says = request.header(&header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if says.is_some_and(|length| length > row.body_limit_bytes) {
        return Err(Error::TooLarge);
    }
    match select(pin!(request.body.read(row.body_limit_bytes)), platform.sleep(BODY_TIMEOUT)).await {
        Either::Left((read, _)) => Ok(read?),
        Either::Right(_) => Err(Error::TooSlow),
    }
}

impl<'a, P: Platform> Context<'a, P> {
    /// The sessions of this deployment.
    #[must_use]
    pub fn sessions(&self) -> Sessions<'a, P> {
        Sessions { platform: self.platform, settings: &self.config.sessions, cache: &self.memory.sessions }
    }

    /// What renews their tokens.
    #[must_use]
    pub fn refresher(&self) -> Refresher<'a, P> {
        let Self { platform, config, memory, .. } = self;
        Refresher { platform, config, memory }
    }
}

pub(super) fn client<'a, P>(
    context: &Context<'a, P>,
    provider: &'a Provider,
    endpoints: &'a Endpoints,
) -> Client<'a, P> {
    Client { platform: context.platform, cache: &context.memory.discovery, provider, endpoints, send_by_ms: None }
}

pub(super) fn provider<'a, P>(context: &Context<'a, P>) -> Result<&'a Provider, Error> {
    context.config.provider(context.parameter(0)).ok_or(Error::NotFound)
}
