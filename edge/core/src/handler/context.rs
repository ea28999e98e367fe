//! What the handlers share.

use std::{cell::RefCell, pin::pin, time::Duration};

use causeway_protocol::{cursor::Cursor, subject::Subject, trace::Traceparent};
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
    session::{principal::Principal, store::Sessions},
    sign_in::{account::Accounts, refresh::Refresher},
    stream::bridge::Bridge,
};

/// How long a body may take to arrive. Its sender was admitted before, and may no longer be.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a handler works with.
#[derive(Debug)]
pub struct Context<'a, P> {
    /// The runtime.
    pub platform: &'a P,
    /// The deployment's configuration.
    pub config: &'a Config,
    /// What the isolate remembers between requests.
    pub memory: &'a Memory,
    /// Names the request.
    pub request_id: &'a str,
    /// The trace that the request belongs to.
    pub trace: &'a Traceparent,
    /// The request's row of the route table.
    pub row: &'static Row,
    /// The values of the row's placeholders.
    pub parameters: Parameters,
    /// What is to be done after the answer.
    pub afterwards: &'a RefCell<Afterwards>,
}

/// What a handler leaves to be done after the answer.
#[derive(Debug, Default)]
pub struct Afterwards {
    /// A session whose own account is to be refreshed.
    pub refresh: Option<Principal>,
    /// A client that came back, and may have missed a hole.
    pub returned: Option<Returned>,
}

/// A client that came back with a position.
#[derive(Debug)]
pub struct Returned {
    /// The user.
    pub subject: Subject,
    /// The position.
    pub cursor: Cursor,
}

impl<P> Context<'_, P> {
    /// The value of a placeholder; empty if the row has no such placeholder.
    pub(super) fn parameter(&self, index: usize) -> &str {
        self.parameters.get(index).map_or("", String::as_str)
    }
}

impl<'a, P: Platform> Context<'a, P> {
    /// The sessions of this deployment.
    #[must_use]
    pub fn sessions(&self) -> Sessions<'a, P> {
        Sessions { platform: self.platform, settings: &self.config.sessions, cache: &self.memory.sessions }
    }

    /// Addresses the bridge.
    pub(super) fn bridge(&self) -> Bridge<'a, P> {
        let Self { platform, config, request_id, .. } = self;
        Bridge { platform, url: &config.bridge_url, keys: &config.bridge_keys, request_id }
    }

    /// Changes which accounts a session has.
    #[must_use]
    pub fn accounts(&self) -> Accounts<'a, P> {
        Accounts { sessions: self.sessions(), discovery: &self.memory.discovery }
    }

    /// Refreshes the tokens of sessions.
    #[must_use]
    pub fn refresher(&self) -> Refresher<'a, P> {
        let Self { platform, config, memory, .. } = self;
        Refresher { platform, config, memory }
    }
}

/// Reads a body within its row's limit and in time. A body that declares a larger length is refused unread.
pub(super) async fn read_body<P: Platform>(
    platform: &P,
    row: &Row,
    request: Request<P::Body>,
) -> Result<Vec<u8>, Error> {
    let declared = request.header(&header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if declared.is_some_and(|length| length > row.body_limit_bytes) {
        return Err(Error::TooLarge);
    }
    match select(pin!(request.body.read(row.body_limit_bytes)), platform.sleep(BODY_TIMEOUT)).await {
        Either::Left((read, _)) => Ok(read?),
        Either::Right(_) => Err(Error::TooSlow),
    }
}

/// The edge as a provider's client.
pub(super) fn client<'a, P>(
    context: &Context<'a, P>,
    provider: &'a Provider,
    endpoints: &'a Endpoints,
) -> Client<'a, P> {
    Client { platform: context.platform, cache: &context.memory.discovery, provider, endpoints, send_by_ms: None }
}

/// The provider that the route's first placeholder names.
pub(super) fn provider<'a, P>(context: &Context<'a, P>) -> Result<&'a Provider, Error> {
    context.config.provider(context.parameter(0)).ok_or(Error::NotFound)
}
