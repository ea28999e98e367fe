//! The entry: one [`Edge`] per isolate answers all requests. Table → guard → session → handler → headers.

use std::{cell::RefCell, rc::Rc};

use causeway_protocol::trace::{NEW_TRACE_BYTES, Traceparent};
use http::header;

use crate::{
    config::{Config, ConfigError, Coordination, Source},
    error::{self, Error},
    guard,
    handler::{context::Context, dispatch},
    http::{
        client_address::client_address,
        cookie,
        web::{Request, Response, TRACEPARENT, single},
    },
    memory::Memory,
    oauth::{cache::DiscoveryCache, installation_cache::InstallationCache},
    route::{self, Auth, Csrf},
    runtime::{
        clock::Clock, platform::Platform, random::Random, readiness::Readiness, telemetry::Event, traced::Traced,
        unavailable::Unavailable,
    },
    session::{cache::SessionCache, store::Session},
    sign_in::refresh::Refresher,
};

/// The edge of one deployment, kept as long as its isolate lives.
#[derive(Debug)]
pub struct Edge {
    deployment: Result<(Config, Memory), Vec<ConfigError>>,
}

/// What is left to do after an answer: to renew the token of a listener's account.
#[derive(Debug)]
pub struct DeferredRefresh {
    session: Session,
    request_id: String,
    trace: Traceparent,
    route: &'static str,
}

impl Edge {
    /// Reads the configuration. A wrong one is not an error here: it closes every route instead.
    #[must_use]
    pub fn new(source: &impl Source, coordination: Coordination) -> Self {
        let with_memory = |config: Config| {
            let memory = Memory {
                discovery: DiscoveryCache::new(Rc::clone(&config.sessions.keys)),
                installations: InstallationCache::default(),
                sessions: SessionCache::default(),
                readiness: Readiness::default(),
            };
            (config, memory)
        };
        Self { deployment: Config::load(source, coordination).map(with_memory) }
    }

    /// Answers a request, and does what is left to do then.
    pub async fn handle<P: Platform>(&self, platform: &P, request: Request<P::Body>) -> Response<P::Body> {
        let (response, left) = self.answer(platform, request).await;
        if let Some(left) = left {
            self.finish(platform, left).await;
        }
        response
    }

    /// Does what is left to do after an answer. Whatever comes of it is in the log.
    pub async fn finish<P: Platform>(&self, platform: &P, left: DeferredRefresh) {
        let DeferredRefresh { session, request_id, trace, route } = left;
        let platform = &Traced { platform, request_id: &request_id, trace: &trace, route };
        if let Ok((config, memory)) = &self.deployment {
            let provider = session.record.provider.clone();
            // If the provider ended the account's grant, the session ends.
            drop(Refresher { platform, config, memory }.account(&session, &provider, None, false).await);
        }
    }

    /// Answers a request. Never fails: what goes wrong is an answer, too. What is left to do then, which no client waits
    /// for, is for [`Edge::finish`]: the runtime must let it come to its end.
    pub async fn answer<P: Platform>(
        &self,
        platform: &P,
        request: Request<P::Body>,
    ) -> (Response<P::Body>, Option<DeferredRefresh>) {
        let (request_id, trace, names) = match name(platform, &request.headers) {
            Ok((request_id, trace)) => (request_id, trace, Ok(())),
            Err(error) => ("none".to_owned(), Traceparent::begin([0; NEW_TRACE_BYTES]), Err(Error::from(error))),
        };
        let (method, headers) = (request.method.clone(), request.headers.clone());
        let wanted = guard::is_preflight(&method, &headers).then(|| route::find_any_method(&request.path, P::AT_EDGE));
        let matched = route::find(&method, &request.path, P::AT_EDGE);
        let row = matched.as_ref().ok().map(|(row, _)| *row);
        let route = row.map_or("-", |row| row.pattern);
        let platform = &Traced { platform, request_id: &request_id, trace: &trace, route };
        let (config, memory) = match (&self.deployment, names) {
            (Ok((config, memory)), Ok(())) => (config, memory),
            (Err(problems), _) => {
                Event::error("config").with("problems", problems.iter().collect::<Vec<_>>()).write(platform);
                return (closed(platform, &Error::Misconfigured, Some(&method)), None);
            }
            (Ok(_), Err(error)) => return (closed(platform, &error, Some(&method)), None),
        };
        let client_address = match &config.client_address_header {
            Some(header) => client_address(&headers, header),
            None => request.client_address,
        };
        let request = Request { client_address, ..request };
        let deferred_refresh = RefCell::new(None);
        let result = match guard::check_size(&headers).and(matched) {
            Ok((row, parameters)) => {
                let (request_id, trace) = (request_id.as_str(), &trace);
                let deferred_refresh = &deferred_refresh;
                let context =
                    Context { platform, config, memory, request_id, trace, row, parameters, deferred_refresh };
                answer(context, request).await
            }
            Err(error) => match wanted.filter(|_| error != Error::HeadersTooLarge) {
                Some(wanted) => guard::preflight(config, wanted, &headers),
                None => Err(error),
            },
        };
        let mut response = result.unwrap_or_else(|error| {
            error::reject(platform, &error, Some(&method));
            let is_too_large = error == Error::HeadersTooLarge;
            let has_page = is_too_large || row.is_some_and(|row| row.csrf == Csrf::Navigation);
            let mut response = if has_page && guard::accepts_html(&headers) {
                error.page(&request_id)
            } else {
                error.response(&request_id)
            };
            if is_too_large {
                // Or whoever is at this limit stays there.
                for cookie in cookie::clear_own(&headers, config.sessions.embed) {
                    response.add(header::SET_COOKIE, &cookie);
                }
            }
            response
        });
        guard::finish(config, row, &headers, &request_id, &mut response);
        let left = deferred_refresh.take().map(|session| DeferredRefresh { session, request_id, trace, route });
        (response, left)
    }
}

async fn answer<P: Platform>(context: Context<'_, P>, request: Request<P::Body>) -> Result<Response<P::Body>, Error> {
    guard::check(context.config, context.row, &request.method, &request.headers)?;
    let session = match context.row.auth {
        Auth::None => None,
        Auth::Session => Some(context.sessions().load(&request.headers).await?),
        Auth::Optional => match context.sessions().load(&request.headers).await {
            Ok(session) => Some(session),
            Err(Error::Unauthenticated { .. }) => None,
            Err(error) => return Err(error),
        },
    };
    dispatch::run(context, request, session).await
}

/// What a runtime answers when it cannot turn the answer of [`Edge::handle`] into one of its own: a problem document in
/// which there is nothing to refuse.
pub fn unanswerable<P: Platform>(platform: &P, detail: impl ToString) -> Response<P::Body> {
    let nameless = || ("none".to_owned(), Traceparent::begin([0; NEW_TRACE_BYTES]));
    let (request_id, trace) = name(platform, &http::HeaderMap::new()).unwrap_or_else(|_| nameless());
    let platform = Traced { platform, request_id: &request_id, trace: &trace, route: "-" };
    closed(&platform, &Error::Unanswerable { detail: detail.to_string() }, None)
}

/// Answers without a configuration, or without what nothing is safe without.
fn closed<P: Platform>(platform: &Traced<'_, P>, error: &Error, method: Option<&http::Method>) -> Response<P::Body> {
    error::reject(platform, error, method);
    let mut response = error.response(platform.request_id);
    guard::finish_closed(platform.request_id, &mut response);
    response
}

/// Before this time (2025-01-01) there was no edge: a clock that says so is none, and nothing would ever expire by it.
const EARLIEST_MS: u64 = 1_735_689_600_000;

/// Names a request, and what it is part of. A runtime that has no randomness or no time cannot serve (S144).
fn name(platform: &(impl Random + Clock), headers: &http::HeaderMap) -> Result<(String, Traceparent), Unavailable> {
    if platform.now_ms() < EARLIEST_MS {
        return Err(Unavailable::new("clock", "is not set"));
    }
    let mut id = [0; 8];
    platform.fill(&mut id)?;
    let id = hex::encode(id);
    let given = single(headers, &TRACEPARENT).and_then(Traceparent::parse);
    let trace = match given {
        Some(trace) => trace,
        None => {
            let mut random = [0; NEW_TRACE_BYTES];
            platform.fill(&mut random)?;
            Traceparent::begin(random)
        }
    };
    Ok((id, trace))
}
