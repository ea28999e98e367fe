//! The table of routes. Policies have no defaults: a row without one does not compile.

use http::Method;

use crate::error::Error;

/// How a row is protected from requests that other sites make in the user's name (M6, M7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Csrf {
    /// Needs `X-CSRF: 1`. Origin and Sec-Fetch-Site are checked if the browser sends them.
    Header,
    /// The same. But a GET that a service's rule marks as navigable needs no header: the browser must report by Fetch
    /// Metadata that the edge's own page or a host page follows a link or shows a picture, sound or film.
    HeaderUnlessNavigable,
    /// For EventSource, which cannot send a header: Origin and Sec-Fetch-Site are checked.
    FetchMetadata,
    /// A top-level navigation. Its `state` and the sign-in's cookie limit what it can do.
    Navigation,
    /// Signed by the bridge. Cookies are not read.
    Signature,
    /// Sent by an identity provider: proven by a signed token, a keyed digest or the provider's own session id. Cookies are
    /// not read.
    Token,
    /// Uses no credentials.
    Public,
}

/// Whether a row needs a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Without a session the answer is 401.
    Session,
    /// The handler gets the session if there is one.
    Optional,
    /// The handler gets no session.
    None,
}

/// Who may cache the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// No one.
    NoStore,
    /// The handler sets `Cache-Control`.
    ByHandler,
}

/// Which other origins' scripts may read the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cors {
    /// No other origin's.
    None,
    /// Those of the configured host pages, with credentials.
    Hosts,
    /// All scripts, without credentials.
    Anyone,
}

/// The handler of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named after its function in `handler`")]
pub enum Handler {
    Login,
    Callback,
    Disconnect,
    Session,
    Logout,
    Handoff,
    OwnSessions,
    EndOwnSession,
    EndOtherSessions,
    EndSession,
    LoggedOut,
    BackchannelLogout,
    FrontchannelLogout,
    GitHubWebhook,
    Events,
    History,
    Stream,
    Proxy,
    Deliver,
    Checkpoint,
    Asset,
    Shell,
    Page,
    HostPage,
    Healthz,
    Readyz,
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// `None` means any method.
    pub method: Option<Method>,
    /// Literal segments, `{name}` for one segment, and `{*name}` for the rest.
    pub pattern: &'static str,
    /// See [`Csrf`].
    pub csrf: Csrf,
    /// See [`Auth`].
    pub auth: Auth,
    /// Largest body that is accepted, in bytes. A service may have a lower limit.
    pub body_limit_bytes: usize,
    /// See [`Cache`].
    pub cache: Cache,
    /// See [`Cors`].
    pub cors: Cors,
    /// See [`Handler`].
    pub handler: Handler,
}

impl Row {
    /// Whether runtimes of this kind have the row; see [`crate::runtime::platform::StreamHub::HUB_AT_EDGE`].
    fn exists(&self, hubs_at_edge: bool) -> bool {
        hubs_at_edge || !matches!(self.handler, Handler::Deliver | Handler::Checkpoint)
    }
}

const KIB: usize = 1024;

macro_rules! table {
    ($($method:tt $pattern:literal $csrf:ident $auth:ident $limit:tt $cache:ident $cors:ident $handler:ident;)*) => {
        &[$(Row {
            method: table!(@method $method),
            pattern: $pattern,
            csrf: Csrf::$csrf,
            auth: Auth::$auth,
            body_limit_bytes: $limit,
            cache: Cache::$cache,
            cors: Cors::$cors,
            handler: Handler::$handler,
        }),*]
    };
    (@method ANY) => { None };
    (@method $method:ident) => { Some(Method::$method) };
}

const PROXY_LIMIT: usize = crate::proxy::service::MAX_BODY_LIMIT_BYTES;
const DELIVER_LIMIT: usize = causeway_protocol::deliver::MAX_DELIVER_BYTES;

/// The table.
#[rustfmt::skip]
pub static TABLE: &[Row] = table![
    // method path                         CSRF          session  body            cache     CORS    handler
    GET  "/auth/{provider}/login"          Navigation    None     0               NoStore   None    Login;
    GET  "/auth/{provider}/callback"       Navigation    None     0               NoStore   None    Callback;
    GET  "/auth/session"                   Header        Optional 0               NoStore   Hosts   Session;
    POST "/auth/handoff"                   Header        None     KIB             NoStore   Hosts   Handoff;
    POST "/auth/logout"                    Header        None     0               NoStore   Hosts   Logout;
    POST "/auth/{provider}/disconnect"     Header        Session  0               NoStore   Hosts   Disconnect;
    GET  "/auth/sessions"                  Header        Session  0               NoStore   Hosts   OwnSessions;
    DELETE "/auth/sessions"                Header        Session  0               NoStore   Hosts   EndOtherSessions;
    DELETE "/auth/sessions/{id}"           Header        Session  0               NoStore   Hosts   EndOwnSession;
    GET  "/auth/{provider}/end-session"    Navigation    None     0               NoStore   None    EndSession;
    GET  "/auth/{provider}/logged-out"     Navigation    None     0               NoStore   None    LoggedOut;
    POST "/auth/{provider}/backchannel-logout" Token     None     (64 * KIB)      NoStore   None    BackchannelLogout;
    GET  "/auth/{provider}/frontchannel-logout" Token    None     0               NoStore   None    FrontchannelLogout;
    POST "/auth/github/webhook"            Token         None     (64 * KIB)      NoStore   None    GitHubWebhook;
    ANY  "/bff/{service}/{*path}"          HeaderUnlessNavigable Session  PROXY_LIMIT     NoStore   Hosts   Proxy;
    POST "/events/{channel}"               Header        Session  (64 * KIB)      NoStore   Hosts   Events;
    GET  "/events/{channel}/history"       FetchMetadata Session  0               NoStore   Hosts   History;
    GET  "/stream"                         FetchMetadata Session  0               ByHandler Hosts   Stream;
    POST "/internal/deliver"               Signature     None     DELIVER_LIMIT   NoStore   None    Deliver;
    POST "/internal/checkpoint"            Signature     None     (4 * KIB)       NoStore   None    Checkpoint;
    GET  "/assets/{name}"                  Public        None     0               ByHandler Anyone  Asset;
    GET  "/shell/{widget}"                 Public        None     0               ByHandler Anyone  Shell;
    GET  "/"                               Public        None     0               ByHandler None    Page;
    GET  "/healthz"                        Public        None     0               NoStore   None    Healthz;
    GET  "/readyz"                         Public        None     0               NoStore   None    Readyz;
];

/// Paths that no row of the table has, where `HOST_UPSTREAM` names a site. `/` is one of them then.
pub static HOST_PAGE: Row = Row {
    method: Some(Method::GET),
    pattern: "/{*path}",
    csrf: Csrf::Public,
    auth: Auth::None,
    body_limit_bytes: 0,
    cache: Cache::ByHandler,
    cors: Cors::None,
    handler: Handler::HostPage,
};

/// Whether a request is one for [`HOST_PAGE`]. All that begins as a path of the table does is the edge's own, also what is no
/// route, and what only another runtime has.
#[must_use]
pub fn is_host_page(method: &Method, path: &str) -> bool {
    let first = |path: &str| path.strip_prefix('/').and_then(|rest| rest.split('/').next()).map(str::to_owned);
    let own = |row: &Row| row.handler != Handler::Page && first(row.pattern) == first(path);
    matches!(*method, Method::GET | Method::HEAD) && path.starts_with('/') && !TABLE.iter().any(own)
}

/// The values of a pattern's placeholders, in order, percent-encoded as on the request line.
pub type Parameters = Vec<String>;

/// Finds the row of a request. `hubs_at_edge` says whether the runtime has the users' hubs at the edge.
///
/// # Errors
/// [`Error::NotFound`], or [`Error::MethodNotAllowed`] with the allowed methods.
pub fn find(method: &Method, path: &str, hubs_at_edge: bool) -> Result<(&'static Row, Parameters), Error> {
    let mut allowed: Vec<&str> = Vec::new();
    for row in TABLE.iter().filter(|row| row.exists(hubs_at_edge)) {
        let Some(parameters) = matches(row.pattern, path) else { continue };
        match &row.method {
            None if method != Method::OPTIONS => return Ok((row, parameters)),
            Some(wanted) if wanted == method => return Ok((row, parameters)),
            // Rows without credentials also answer HEAD; the runtimes drop the body.
            Some(wanted) if wanted == Method::GET && method == Method::HEAD && row.csrf == Csrf::Public => {
                return Ok((row, parameters));
            }
            Some(wanted) => allowed.push(wanted.as_str()),
            None => {}
        }
    }
    if allowed.is_empty() { Err(Error::NotFound) } else { Err(Error::MethodNotAllowed { allow: allowed.join(", ") }) }
}

/// The row that a preflight asks about, whatever its method.
#[must_use]
pub fn find_any_method(path: &str, hubs_at_edge: bool) -> Option<(&'static Row, Parameters)> {
    TABLE.iter().filter(|row| row.exists(hubs_at_edge)).find_map(|row| Some((row, matches(row.pattern, path)?)))
}

fn matches(pattern: &str, path: &str) -> Option<Parameters> {
    // Most rows do not match, and then no value is copied.
    walk(pattern, path, |_| {})?;
    let mut parameters = Parameters::new();
    walk(pattern, path, |value| parameters.push(value.to_owned()))?;
    Some(parameters)
}

/// Compares a path with a pattern, and visits the values of its placeholders.
fn walk(pattern: &str, path: &str, mut visit: impl FnMut(&str)) -> Option<()> {
    let mut rest = path.strip_prefix('/')?;
    let mut segments = pattern.strip_prefix('/')?.split('/').peekable();
    while let Some(segment) = segments.next() {
        if segment.starts_with("{*") {
            visit(rest);
            return Some(());
        }
        let (head, tail) = match rest.split_once('/') {
            Some((head, tail)) if segments.peek().is_some() => (head, tail),
            None if segments.peek().is_none() => (rest, ""),
            _ => return None,
        };
        if segment.starts_with('{') {
            if head.is_empty() {
                return None;
            }
            visit(head);
        } else if segment != head {
            return None;
        }
        rest = tail;
    }
    Some(())
}

#[cfg(test)]
mod tests;
