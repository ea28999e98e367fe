//! `GET /shell/{widget}?lang=&heading=&channel=&return_to=`: the widget's first state as HTML, for a page or a proxy that
//! includes it. The widget's script takes it over.
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

    /// The shadow root, in the language and with the title that the element has.
    pub(super) fn render(&self, language: Option<&str>, heading: Option<&str>) -> String {
        let Self { template, origin, is_signed_in, ways } = self;
        let language = language.unwrap_or_default();
        template.render(&FirstState { origin, is_signed_in: *is_signed_in, language, heading, ways })
    }
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
    let (language, heading, channel) = (parameter("lang"), parameter("heading"), parameter("channel"));
    let mut html = format!("<{WIDGET} edge=\"{}\"", Escaped(context.config.public_origin.as_str()));
    for (name, value) in [("lang", &language), ("heading", &heading), ("channel", &channel)] {
        if let Some(value) = value {
            html += &format!(" {name}=\"{}\"", Escaped(value));
        }
    }
    html += &format!(">{}</{WIDGET}>\n", shell.render(language.as_deref(), heading.as_deref()));
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
