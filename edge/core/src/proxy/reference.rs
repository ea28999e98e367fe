//! Addresses in an upstream's answer, mapped to the edge's own.
//!
//! An address below the service's URL becomes `/bff/{service}/…`; any other is removed (S163). So the browser, which cannot
//! reach the upstream with its token, comes back through all checks.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::Url;

use super::{path::AllowedPath, service::Service};
use crate::http::web::single;

/// The link relations by which some browser fetches, runs or shows something, or connects to a server. A link with one of
/// them is removed, wherever it leads. All other relations only describe something, such as `next` and `describedby`.
const FETCHED: [&str; 25] = [
    "amphtml",
    "apple-touch-icon",
    "apple-touch-icon-precomposed",
    "apple-touch-startup-image",
    "compression-dictionary",
    "dns-prefetch",
    "expect",
    "fluid-icon",
    "icon",
    "import",
    "manifest",
    "mask-icon",
    "modulepreload",
    "monetization",
    "pingback",
    "preconnect",
    "prefetch",
    "prefetch-src",
    "preload",
    "prerender",
    "serviceworker",
    "shortcut",
    "speculationrules",
    "stylesheet",
    "subresource",
];
/// How much of the `Link` headers of one answer is passed on. A short reference can stand for the whole address of the
/// request.
const MAX_LINKS: usize = 100;
const MAX_LINK_BYTES: usize = 32 * 1024;
/// Parameters that give a link another context or more relations.
const REFUSED_PARAMETERS: [&str; 5] = ["anchor", "anchor*", "rel*", "rev", "rev*"];

/// The request that was answered: references are relative to its URL.
pub(super) struct Answered<'a> {
    pub(super) service: &'a Service,
    pub(super) method: &'a Method,
    pub(super) url: &'a Url,
    /// Whether a link or an image asked, which follows a redirect without `X-CSRF`.
    pub(super) is_by_link: bool,
}

impl Answered<'_> {
    /// The address at the edge for a reference (RFC 3986 §4.1) of the upstream.
    pub(super) fn address(&self, reference: &str) -> Option<String> {
        self.resolve(reference).map(|(address, _)| address)
    }

    /// Where a redirect leads at the edge, if a rule allows the request that follows it. The browser sends that request by
    /// itself, and the edge checks it like any other: after a link's request, only a navigable rule allows it.
    pub(super) fn redirect(&self, status: StatusCode, headers: &HeaderMap) -> Option<String> {
        let method = method_after(status, self.method)?;
        let (address, path) = self.resolve(single(headers, &header::LOCATION)?)?;
        let is_followed = self.service.allows(&method, &path)
            && (!self.is_by_link || method == Method::GET && self.service.is_path_navigable(&path));
        is_followed.then_some(address)
    }

    /// The links of a header's value that describe something below the service, mapped, as far as there is room. A value in
    /// any other notation than that of RFC 8288 holds none.
    pub(super) fn links(&self, value: &HeaderValue, room: &mut LinkRoom) -> Option<HeaderValue> {
        let descriptions =
            parse_links(value.to_str().ok()?)?.into_iter().filter(|(_, parameters)| is_description(parameters));
        let mut links = Vec::new();
        for (reference, parameters) in descriptions {
            let Some(links_left) = room.links.checked_sub(1) else { break };
            room.links = links_left;
            let Some(address) = self.address(reference) else { continue };
            let link = format!("<{address}>; {}", parameters.join("; "));
            let Some(bytes_left) = room.bytes.checked_sub(link.len()) else { break };
            room.bytes = bytes_left;
            links.push(link);
        }
        HeaderValue::try_from(links.join(", ")).ok().filter(|links| !links.is_empty())
    }

    fn resolve(&self, reference: &str) -> Option<(String, AllowedPath)> {
        // A runtime joins two headers of one name with a comma and a space, which would read as one odd address.
        if !reference.bytes().all(is_of_uri) {
            return None;
        }
        let url = self.url.join(reference).ok()?;
        let path = self.service.path_below(&url)?;
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        Some((format!("/bff/{}{}{query}", self.service.name, path.as_str()), path))
    }
}

/// The room that is left for the links of an answer.
pub(super) struct LinkRoom {
    links: usize,
    bytes: usize,
}

impl Default for LinkRoom {
    fn default() -> Self {
        Self { links: MAX_LINKS, bytes: MAX_LINK_BYTES }
    }
}

/// Whether a byte can be part of a URI (RFC 3986).
fn is_of_uri(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)
}

/// The method of the request with which a browser follows a redirect (Fetch, HTTP-redirect fetch). `None`: it follows none
/// of this status.
fn method_after(status: StatusCode, method: &Method) -> Option<Method> {
    match status {
        StatusCode::SEE_OTHER => Some(Method::GET),
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND if *method == Method::POST => Some(Method::GET),
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => Some(method.clone()),
        _ => None,
    }
}

/// A link: its reference, and its parameters as they are written.
type Link<'a> = (&'a str, Vec<&'a str>);

fn parse_links(text: &str) -> Option<Vec<Link<'_>>> {
    let mut links = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (reference, after) = rest.strip_prefix('<')?.split_once('>')?;
        let (parameters, following) = cut(after, ',')?;
        links.push((reference, parse_parameters(parameters)?));
        rest = following.trim();
    }
    Some(links)
}

fn parse_parameters(text: &str) -> Option<Vec<&str>> {
    let (before, mut rest) = cut(text, ';')?;
    let mut parameters = Vec::new();
    while !rest.is_empty() {
        let (parameter, following) = cut(rest, ';')?;
        parameters.push(parameter.trim());
        rest = following;
    }
    before.trim().is_empty().then_some(parameters)
}

/// The text before and after the first separator that is not quoted. `None`: a quote is not closed.
fn cut(text: &str, separator: char) -> Option<(&str, &str)> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if c == separator && !is_quoted => {
                return Some((text.get(..at)?, text.get(at..)?.strip_prefix(separator)?));
            }
            _ => {}
        }
    }
    (!is_quoted).then_some((text, ""))
}

/// Whether a link has relations, and a browser acts on none of them.
fn is_description(parameters: &[&str]) -> bool {
    let named = || {
        parameters.iter().map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (name.trim().to_ascii_lowercase(), value.trim())
        })
    };
    let mut values = named().filter(|(name, _)| name == "rel").map(|(_, value)| value.trim_matches('"'));
    // Of two `rel`, readers disagree which one counts.
    let (Some(relations), None) = (values.next(), values.next()) else { return false };
    // An escape in a quoted value could disguise a name.
    let is_relation = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+=%".contains(&byte))
            && !FETCHED.iter().any(|fetched| fetched.eq_ignore_ascii_case(name))
    };
    let mut relations = relations.split_ascii_whitespace().peekable();
    relations.peek().is_some()
        && relations.all(is_relation)
        && !named().any(|(name, _)| REFUSED_PARAMETERS.contains(&name.as_str()))
}

#[cfg(test)]
mod tests;
