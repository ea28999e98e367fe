//! The entry: one [`Edge`] per isolate answers all requests. Table → guard → session → handler → headers.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    fmt::Write as _,
    time::Duration,
};

use serde_json::json;

use crate::{
    config::{Config, ConfigError, Coordination, Source},
    error::Error,
    guard,
    handler::{self, Context},
    oauth::discovery::DiscoveryCache,
    platform::{Platform, Random},
    route::{self, Auth, Csrf},
    session::{id::SessionHandle, store::Sessions},
    web::{Request, Response},
};

/// Most sessions an isolate remembers.
const MAX_CACHED_SESSIONS: usize = 1000;

/// The edge of one deployment, kept as long as its isolate lives.
#[derive(Debug)]
pub struct Edge {
    config: Result<Config, Vec<ConfigError>>,
    memory: Memory,
}

/// What an isolate remembers. All of it can be forgotten at any time.
#[derive(Debug, Default)]
pub struct Memory {
    /// Providers' metadata and keys.
    pub discovery: DiscoveryCache,
    /// Sessions the coordinator vouched for a moment ago.
    pub sessions: SessionCache,
}

/// Sealed session records and when the coordinator last vouched for them. Without the browser's cookie they stay sealed.
#[derive(Debug, Default)]
pub struct SessionCache {
    entries: RefCell<HashMap<SessionHandle, Vouched>>,
    /// Handles by age of their entry, the oldest first.
    order: RefCell<VecDeque<SessionHandle>>,
}

#[derive(Debug)]
struct Vouched {
    at_ms: u64,
    generation: u64,
    sealed: Vec<u8>,
}

impl SessionCache {
    /// A record the coordinator vouched for less than `bound` ago, and its generation.
    #[must_use]
    pub fn fresh(&self, handle: &SessionHandle, now_ms: u64, bound: Duration) -> Option<(u64, Vec<u8>)> {
        let entries = self.entries.borrow();
        let entry = entries.get(handle)?;
        (u128::from(now_ms.checked_sub(entry.at_ms)?) < bound.as_millis())
            .then(|| (entry.generation, entry.sealed.clone()))
    }

    /// Remembers a record just vouched for.
    pub fn put(&self, handle: &SessionHandle, now_ms: u64, generation: u64, sealed: Vec<u8>) {
        let (mut entries, mut order) = (self.entries.borrow_mut(), self.order.borrow_mut());
        // An answer that was long under way must not hide what was written meanwhile.
        if entries.get(handle).is_some_and(|known| known.generation > generation) {
            return;
        }
        if entries.insert(handle.clone(), Vouched { at_ms: now_ms, generation, sealed }).is_none() {
            order.push_back(handle.clone());
        }
        while order.len() > MAX_CACHED_SESSIONS {
            if let Some(oldest) = order.pop_front() {
                entries.remove(&oldest);
            }
        }
    }

    /// Forgets a session that ended here.
    pub fn forget(&self, handle: &SessionHandle) {
        if self.entries.borrow_mut().remove(handle).is_some() {
            self.order.borrow_mut().retain(|known| known != handle);
        }
    }
}

impl Edge {
    /// Reads the configuration. A wrong one is not an error here: it closes every route instead.
    #[must_use]
    pub fn new(source: &impl Source, coordination: Coordination) -> Self {
        Self { config: Config::load(source, coordination), memory: Memory::default() }
    }

    /// Answers a request. Never fails: what goes wrong is an answer, too.
    pub async fn handle<P: Platform>(&self, platform: &P, request: Request<P::Body>) -> Response<P::Body> {
        let request_id = draw_request_id(platform);
        let config = match &self.config {
            Ok(config) => config,
            Err(problems) => return closed(platform, problems, &request_id),
        };
        let (method, headers) = (request.method.clone(), request.headers.clone());
        let wanted = guard::is_preflight(&method, &headers).then(|| route::find_any_method(&request.path, P::AT_EDGE));
        let matched = route::find(&method, &request.path, P::AT_EDGE);
        let row = matched.as_ref().ok().map(|(row, _)| *row);
        let result = match matched {
            Ok((row, parameters)) => {
                let context =
                    Context { platform, config, memory: &self.memory, request_id: &request_id, row, parameters };
                answer(context, request).await
            }
            Err(error) => match wanted {
                Some(wanted) => guard::preflight(config, wanted, &headers),
                None => Err(error),
            },
        };
        let mut response = result.unwrap_or_else(|error| {
            report(platform, &error, row.map_or("-", |row| row.pattern), Some(&method), &request_id);
            let wants_page = row.is_some_and(|row| row.csrf == Csrf::Navigation) && guard::accepts_html(&headers);
            if wants_page { error.page(&request_id) } else { error.response(&request_id) }
        });
        guard::finish(config, row, &headers, &request_id, &mut response);
        response
    }
}

async fn answer<P: Platform>(context: Context<'_, P>, request: Request<P::Body>) -> Result<Response<P::Body>, Error> {
    guard::check(context.config, context.row, &request.headers)?;
    let session = match context.row.auth {
        Auth::None => None,
        Auth::Session => Some(context.sessions().load(&request.headers).await?),
        Auth::Optional => match context.sessions().load(&request.headers).await {
            Ok(session) => Some(session),
            Err(Error::Unauthenticated { .. }) => None,
            Err(error) => return Err(error),
        },
    };
    handler::run(context, request, session).await
}

impl<'a, P: Platform> Context<'a, P> {
    /// The sessions of this deployment.
    #[must_use]
    pub fn sessions(&self) -> Sessions<'a, P> {
        Sessions { platform: self.platform, config: self.config, cache: &self.memory.sessions }
    }
}

/// What a runtime answers when it cannot turn the answer of [`Edge::handle`] into one of its own: a problem document in
/// which there is nothing to refuse.
pub fn unanswerable<P: Platform>(platform: &P, detail: impl ToString) -> Response<P::Body> {
    let request_id = draw_request_id(platform);
    let error = Error::Unanswerable { detail: detail.to_string() };
    report(platform, &error, "-", None, &request_id);
    let mut response = error.response(&request_id);
    guard::finish_closed(&request_id, &mut response);
    response
}

fn closed<P: Platform>(platform: &P, problems: &[ConfigError], request_id: &str) -> Response<P::Body> {
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    platform.log(&json!({"level": "error", "event": "config.invalid", "problems": problems, "request_id": request_id}));
    let mut response = Error::Misconfigured.response(request_id);
    guard::finish_closed(request_id, &mut response);
    response
}

fn report(platform: &impl Platform, error: &Error, pattern: &str, method: Option<&http::Method>, request_id: &str) {
    let level = if error.status().is_server_error() { "error" } else { "info" };
    platform.log(&json!({
        "level": level,
        "event": "request.refused",
        "route": pattern,
        "method": method.map(http::Method::as_str),
        "status": error.status().as_u16(),
        "code": error.code(),
        "detail": error.to_string(),
        "request_id": request_id,
    }));
}

fn draw_request_id(random: &impl Random) -> String {
    let mut bytes = [0; 8];
    if random.fill(&mut bytes).is_err() {
        return "none".to_owned();
    }
    bytes.iter().fold(String::with_capacity(16), |mut text, byte| {
        // Writing into a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
