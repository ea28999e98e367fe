//! `GET /shell/{widget}`: the widget's first state as HTML, for a page or a proxy that includes it. The widget's script
//! takes it over.
//!
//! It says nothing of any user, and no store is read for it. Only whether the request has a session cookie chooses the
//! layout. So a shared cache may keep the answer to a request without one, and an answer that a cache gives to the wrong
//! user reveals nothing. The script corrects it.

mod template;

use http::{HeaderMap, StatusCode, header};
use url::{Url, form_urlencoded};

use self::template::{FirstState, Template, Way};
use super::context::Context;
use crate::{
    config::Config,
    error::Error,
    http::{
        cookie::{self, Embed, Found, SESSION_COOKIE},
        origin::ReturnTo,
        page::Escaped,
        query::Query,
        web::{Request, Response},
    },
    runtime::platform::Platform,
};

include!(concat!(env!("OUT_DIR"), "/shell.rs"));

/// The only widget there is: the name of its element, and of its script.
pub(super) const WIDGET: &str = "chat-widget";
/// Not for longer, because the style sheet's name is that of one build.
const SHARED: &str = "public, max-age=60";
/// For answers to requests with a session cookie.
pub(super) const NOT_SHARED: &str = "private, no-store";

/// Query parameters that become attributes of the element with their values.
const VALUES: [&str; 3] = ["lang", "heading", "channel"];
/// Those that become attributes without a value.
const SWITCHES: [&str; 4] = ["compact", "open", "popup", "deletable"];

/// What the element says of its first state.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// The language, as the page names it.
    pub(super) language: Option<String>,
    /// The title, if it is not the widget's own.
    pub(super) heading: Option<String>,
    /// Whether the widget is a button, which opens the chat.
    pub(super) is_compact: bool,
    /// Whether a sign-in opens a window of its own.
    pub(super) is_popup: bool,
}

/// The first state for the sender of a request.
pub(super) struct Shell {
    template: Template,
    origin: String,
    is_signed_in: bool,
    ways: Vec<Way>,
}

impl Shell {
    /// `page` is the address of the page that has the widget, if it is known. `None` without a built widget.
    pub(super) fn new<P: Platform>(context: &Context<'_, P>, headers: &HeaderMap, page: Option<&str>) -> Option<Self> {
        Some(Self {
            template: SHELL?,
            origin: context.config.public_origin.to_string(),
            // An opened cookie is enough. Whether its session still lives is not looked up.
            is_signed_in: context.sessions().id(headers).is_ok(),
            ways: ways(context.config, page),
        })
    }

    /// Whether an element whose attribute `edge` has this value belongs to this edge. Relative to any page of it, the script
    /// takes the same origin.
    pub(super) fn is_of(&self, edge: &str) -> bool {
        let url = Url::parse(&self.origin).and_then(|base| base.join(edge));
        edge.is_empty() || url.is_ok_and(|url| url.origin().ascii_serialization() == self.origin)
    }

    /// The shadow root of an element.
    pub(super) fn render(&self, options: &Options) -> String {
        let Self { template, origin, is_signed_in, ways } = self;
        template.render(&FirstState {
            origin,
            is_signed_in: *is_signed_in,
            language: options.language.as_deref().unwrap_or_default(),
            heading: options.heading.as_deref(),
            is_compact: options.is_compact,
            is_popup: options.is_popup,
            ways,
        })
    }
}

/// Whether a switch is on, such as an attribute. Frameworks write what they have: nothing, `true`, or `false`.
pub(super) fn is_on(value: Option<&str>) -> bool {
    value.is_some_and(|value| value != "false")
}

/// Whether an answer may depend on who is signed in, so that no cache may keep it.
pub(super) fn has_session_cookie(headers: &HeaderMap) -> bool {
    cookie::find(headers, SESSION_COOKIE) != Found::None
}

/// Renders the first state. Parameters that are malformed count as left out.
pub(super) fn shell<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    if context.parameter(0) != WIDGET {
        return Err(Error::NotFound);
    }
    let query = Query::parse(request.query.as_deref());
    let parameter = |name| query.one(name).ok().flatten();
    let page = parameter("return_to");
    let shell = Shell::new(context, &request.headers, page.as_deref()).ok_or(Error::NotFound)?;
    let mut html = format!("<{WIDGET} edge=\"{}\"", Escaped(context.config.public_origin.as_str()));
    for name in VALUES {
        if let Some(value) = parameter(name) {
            html += &format!(" {name}=\"{}\"", Escaped(&value));
        }
    }
    let is_set = |name| is_on(parameter(name).as_deref());
    for name in SWITCHES {
        if is_set(name) {
            html += &format!(" {name}");
        }
    }
    let options = Options {
        language: parameter("lang"),
        heading: parameter("heading"),
        is_compact: is_set("compact"),
        is_popup: is_set("popup"),
    };
    html += &format!(">{}</{WIDGET}>\n", shell.render(&options));
    let mut response = Response::bytes(StatusCode::OK, "text/html; charset=utf-8", html);
    response.set(header::CACHE_CONTROL, if has_session_cookie(&request.headers) { NOT_SHARED } else { SHARED });
    response.set(header::VARY, "Cookie");
    Ok(response)
}

/// The ways to sign in. They are links that work without a script only if it is known where the page is, and if the page gets
/// its session from a cookie alone.
fn ways(config: &Config, page: Option<&str>) -> Vec<Way> {
    let page = page.filter(|_| config.sessions.embed == Embed::SameSite);
    let page = page.map(|page| ReturnTo::parse(page, &config.public_origin, &config.host_origins));
    let address = |id: &str, page: &ReturnTo| {
        let page: String = form_urlencoded::byte_serialize(page.as_str().as_bytes()).collect();
        format!("{}/auth/{id}/login?return_to={page}", config.public_origin)
    };
    let providers = config.providers.iter();
    providers
        .map(|provider| Way {
            name: provider.name.clone(),
            address: page.as_ref().map(|page| address(&provider.id, page)),
        })
        .collect()
}
