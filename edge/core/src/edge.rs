//! The entry: one [`Edge`] per isolate and configuration answers all requests. Table → guard → session → handler → headers.
//! [`current`] has the one of the configuration in force; `sign_in_link`: how the reader of an error page goes on.

pub mod current;
mod sign_in_link;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use causeway_protocol::trace::{NEW_TRACE_BYTES, Traceparent};
use futures_util::join;
use http::{HeaderMap, Method, header};

use crate::{
    config::{Config, ConfigError, Coordination, Source},
    error::{self, Error},
    guard,
    handler::{
        context::{Afterwards, Context},
        dispatch,
        stream::tell_hole,
    },
    http::{
        client_address::client_address,
        cookie::{self, Embed},
        origin::ReturnTo,
        web::{Request, Response, TRACEPARENT, single},
    },
    memory::Memory,
    oauth::{cache::DiscoveryCache, installation_cache::InstallationCache},
    route::{self, Auth, Csrf, Handler, Row},
    runtime::{
        clock::Clock, copy, copy_queue::CopyQueue, dependency::Dependency, event_name::EventName, platform::Platform,
        random::Random, readiness::Readiness, reason::Reason, telemetry::Event, traced::Traced,
        unavailable::Unavailable,
    },
    session::cache::SessionCache,
    sign_in::refresh::Refresher,
    stream::{bridge::Bridge, hole::Holes},
};

/// No edge ran before this time (2025-01-01). A clock that shows an earlier time is not set, and by it nothing would ever
/// expire.
const EARLIEST_MS: u64 = 1_735_689_600_000;

/// The edge of one configuration. It lives as long as its isolate, or until the configuration changes.
#[derive(Debug)]
pub struct Edge {
    deployment: Result<(Config, Memory), Vec<ConfigError>>,
    /// Whether the log is still to say that the configuration changed.
    replaces_another: Cell<bool>,
}

/// Work to do after an answer.
#[derive(Debug)]
pub struct Deferred {
    /// What to change in the key-value store.
    copies: CopyQueue,
    /// What the handler left.
    afterwards: Afterwards,
    request_id: String,
    trace: Traceparent,
    route: &'static str,
}

impl Edge {
    /// Reads the configuration. An invalid one is not an error here: it closes every route instead.
    #[must_use]
    pub fn new(source: &impl Source, coordination: Coordination) -> Self {
        let with_memory = |config: Config| {
            let memory = Memory {
                discovery: DiscoveryCache::new(Rc::clone(&config.sessions.keys)),
                installations: InstallationCache::default(),
                sessions: SessionCache::default(),
                readiness: Readiness::default(),
                holes: Holes::default(),
            };
            (config, memory)
        };
        let deployment = Config::load(source, coordination).map(with_memory);
        Self { deployment, replaces_another: Cell::new(false) }
    }

    /// Answers a request, and does its deferred work before returning.
    pub async fn handle<P: Platform>(&self, platform: &P, request: Request<P::Body>) -> Response<P::Body> {
        let (response, deferred) = self.answer(platform, request).await;
        if let Some(deferred) = deferred {
            self.run_deferred(platform, deferred).await;
        }
        response
    }

    /// Does deferred work. The log has its outcome.
    pub async fn run_deferred<P: Platform>(&self, platform: &P, deferred: Deferred) {
        let Deferred { copies, afterwards: Afterwards { refresh, returned }, request_id, trace, route } = deferred;
        let platform = &Traced { platform, request_id: &request_id, trace: &trace, route, copies: &copies };
        let refresh = async {
            if let (Some(principal), Ok((config, memory))) = (refresh, &self.deployment) {
                let refresher = Refresher { platform, config, memory };
                let Ok(session) = refresher.sessions().session_of(principal).await else { return };
                let provider = session.record.provider.clone();
                // If the provider has ended the account's grant, this ends the session.
                drop(refresher.account(&session, &provider, None, false).await);
            }
        };
        let hole = async {
            if let (Some(returned), Ok((config, memory))) = (returned, &self.deployment) {
                let (url, keys) = (&config.bridge_url, &config.bridge_keys);
                let bridge = Bridge { platform, url, keys, request_id: &request_id };
                tell_hole(&bridge, &memory.holes, &returned).await;
            }
        };
        join!(copy::make_all(platform, &copies), refresh, hole);
        // What the refresh has added.
        copy::make_all(platform, &copies).await;
    }

    /// Answers a request. Never fails: a failure is an answer, too. The caller must have deferred work done to its end by
    /// [`Edge::run_deferred`], and need not hold the answer back for it.
    pub async fn answer<P: Platform>(
        &self,
        platform: &P,
        request: Request<P::Body>,
    ) -> (Response<P::Body>, Option<Deferred>) {
        let (request_id, trace, identified) = match identify(platform, &request.headers) {
            Ok((request_id, trace)) => (request_id, trace, Ok(())),
            Err(error) => (UNIDENTIFIED.to_owned(), unidentified_trace(), Err(Error::from(error))),
        };
        let has_site = self.deployment.as_ref().is_ok_and(|(config, _)| config.host_upstream.is_some());
        let matched = match has_site && route::is_host_page(&request.method, &request.path) {
            true => Ok((&route::HOST_PAGE, route::Parameters::new())),
            false => route::find(&request.method, &request.path, P::HUB_AT_EDGE),
        };
        let row = matched.as_ref().ok().map(|(row, _)| *row);
        let route = row.map_or("-", |row| row.pattern);
        let copies = CopyQueue::default();
        let platform = &Traced { platform, request_id: &request_id, trace: &trace, route, copies: &copies };
        if self.replaces_another.take() {
            Event::info(EventName::ConfigChanged).write(platform);
        }
        // The handler takes the request.
        let method = request.method.clone();
        let origin = single(&request.headers, &header::ORIGIN).map(str::to_owned);
        let deployment = self.deployment(platform).and_then(|deployment| identified.map(|()| deployment));
        let (config, memory) = match deployment {
            Ok(deployment) => deployment,
            Err(error) => return (closed(platform, &error, Some(&method)), None),
        };
        let afterwards = RefCell::new(Afterwards::default());
        let mut wants_page = has_page(row, &request.headers);
        let return_to = wants_page.then(|| sign_in_link::return_to(config, row, &request));
        let mut too_large = Vec::new();
        let result = match guard::check_size(&request.headers).and(matched) {
            Ok((row, parameters)) => {
                let (request_id, trace, afterwards) = (request_id.as_str(), &trace, &afterwards);
                let context = Context { platform, config, memory, request_id, trace, row, parameters, afterwards };
                respond(context, with_client_address(config, request)).await
            }
            Err(Error::HeadersTooLarge) => {
                wants_page = guard::accepts_html(&request.headers);
                // Otherwise the browser would send the same cookies again, and be refused again.
                too_large = cookie::clear_own(&request.headers, config.sessions.embed);
                Err(Error::HeadersTooLarge)
            }
            Err(_) if guard::is_preflight(&method, &request.headers) => {
                let route = route::find_any_method(&request.path, P::HUB_AT_EDGE);
                guard::preflight(config, route, &request.headers)
            }
            Err(error) => Err(error),
        };
        let mut response = result.unwrap_or_else(|error| {
            error::reject(platform, &error, Some(&method));
            failure(config, wants_page.then(|| return_to.unwrap_or_else(ReturnTo::home)), &request_id, &error)
        });
        for cookie in too_large {
            response.add(header::SET_COOKIE, &cookie);
        }
        guard::finish(config, row, origin.as_deref(), &request_id, &mut response);
        let afterwards = afterwards.take();
        let has_work = afterwards.refresh.is_some() || afterwards.returned.is_some() || !copies.is_empty();
        (response, has_work.then(|| Deferred { copies, afterwards, request_id, trace, route }))
    }

    /// Configuration and memory, if the configuration is valid.
    fn deployment<P: Platform>(&self, platform: &Traced<'_, P>) -> Result<&(Config, Memory), Error> {
        self.deployment.as_ref().map_err(|problems| {
            Event::error(EventName::Config).with("problems", problems.iter().collect::<Vec<_>>()).write(platform);
            Error::Misconfigured
        })
    }
}

/// Takes the client's address from the configured header instead of the runtime, if one is configured.
fn with_client_address<B>(config: &Config, request: Request<B>) -> Request<B> {
    match &config.client_address_header {
        Some(header) => Request { client_address: client_address(&request.headers, header), ..request },
        None => request,
    }
}

/// Checks where a request comes from, finds the session that its row asks for, and runs its handler.
async fn respond<P: Platform>(context: Context<'_, P>, request: Request<P::Body>) -> Result<Response<P::Body>, Error> {
    guard::check(context.config, context.row, &context.parameters, &request.method, &request.headers)?;
    let principal = match context.row.auth {
        Auth::None => None,
        Auth::Session => Some(context.sessions().principal(&request.headers).await?),
        Auth::Optional => match context.sessions().principal(&request.headers).await {
            Ok(principal) => Some(principal),
            Err(error @ Error::Unauthenticated { .. }) => {
                let embed = context.config.sessions.embed;
                let mut response = dispatch::run(context, request, None).await?;
                remove_refused_cookie(embed, &error, &mut response);
                return Ok(response);
            }
            Err(error) => return Err(error),
        },
    };
    dispatch::run(context, request, principal).await
}

/// Removes the session cookie of a request if it does not open: it never will, and would be sent and refused until its end
/// (S159). One that opens stays, whatever became of its session. So do several of the name: one of them may open, and no
/// answer can remove the others alone.
fn remove_refused_cookie<B>(embed: Embed, error: &Error, response: &mut Response<B>) {
    if matches!(error, Error::Unauthenticated { reason: Reason::SessionCookieNotOpened }) {
        for cookie in cookie::clear_session(embed) {
            response.add(header::SET_COOKIE, &cookie);
        }
    }
}

/// Whether a person reads the answer to a request that fails, rather than a program.
fn has_page(row: Option<&Row>, headers: &HeaderMap) -> bool {
    let has_page = row.is_some_and(|row| match row.csrf {
        Csrf::Navigation => true,
        Csrf::HeaderUnlessNavigable => guard::is_navigation(headers),
        _ => row.handler == Handler::HostPage,
    });
    has_page && guard::accepts_html(headers)
}

/// The answer to a request that failed: a page for a person, who returns there after signing in; a problem document for a
/// program.
fn failure<B>(config: &Config, page: Option<ReturnTo>, request_id: &str, error: &Error) -> Response<B> {
    let mut response = match page {
        Some(return_to) => {
            error.page_with(&error.title(), &sign_in_link::sign_in_links(config, &return_to, error), request_id)
        }
        None => error.response(request_id),
    };
    remove_refused_cookie(config.sessions.embed, error, &mut response);
    response
}

/// What a runtime answers if it cannot convert the answer of [`Edge::handle`]: a problem document that no runtime refuses.
pub fn unanswerable<P: Platform>(platform: &P, detail: impl ToString) -> Response<P::Body> {
    unroutable(platform, &Error::Unanswerable { detail: detail.to_string() })
}

/// What a runtime answers if it cannot convert a request, because its method or one of its headers is not valid.
pub fn unreadable<P: Platform>(platform: &P) -> Response<P::Body> {
    unroutable(platform, &Error::BadRequest { reason: Reason::RequestHead })
}

/// The answer to a request of no known route.
fn unroutable<P: Platform>(platform: &P, error: &Error) -> Response<P::Body> {
    let identity = identify(platform, &HeaderMap::new());
    let (request_id, trace) = identity.unwrap_or_else(|_| (UNIDENTIFIED.to_owned(), unidentified_trace()));
    let copies = CopyQueue::default();
    let platform = Traced { platform, request_id: &request_id, trace: &trace, route: "-", copies: &copies };
    closed(&platform, error, None)
}

/// The answer of an edge that cannot serve, with only the headers that need no configuration.
fn closed<P: Platform>(platform: &Traced<'_, P>, error: &Error, method: Option<&Method>) -> Response<P::Body> {
    error::reject(platform, error, method);
    let mut response = error.response(platform.request_id);
    guard::finish_closed(platform.request_id, &mut response);
    response
}

/// Length of a request's id before it is written in hexadecimal.
const ID_BYTES: usize = 8;

/// The id of a request that could not be given one.
const UNIDENTIFIED: &str = "none";

fn unidentified_trace() -> Traceparent {
    Traceparent::begin([0; NEW_TRACE_BYTES])
}

/// Gives a request an id, and a trace unless it belongs to one. A runtime without randomness or time cannot serve (S144).
fn identify(platform: &(impl Random + Clock), headers: &HeaderMap) -> Result<(String, Traceparent), Unavailable> {
    if platform.now_ms() < EARLIEST_MS {
        return Err(Unavailable::new(Dependency::Clock, "is not set"));
    }
    // One call for both: each is a crossing out of Wasm.
    let mut random = [0; ID_BYTES + NEW_TRACE_BYTES];
    platform.fill(&mut random)?;
    let (id, for_trace) = random.split_at(ID_BYTES);
    let mut new_trace = [0; NEW_TRACE_BYTES];
    new_trace.copy_from_slice(for_trace);
    let trace = single(headers, &TRACEPARENT).and_then(Traceparent::parse);
    Ok((hex::encode(id), trace.unwrap_or_else(|| Traceparent::begin(new_trace))))
}
