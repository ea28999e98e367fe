//! `HOST_UPSTREAM`: a page of a site, with the widget's first state in each of its elements.
//!
//! The site is asked as any visitor would ask it: without a cookie, and without the user's address. Its answer sets nothing
//! for the edge's origin, and streams through.

use std::{cell::RefCell, pin::pin, time::Duration};

use futures_util::future::{Either, select};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use url::Url;

use super::{
    context::Context,
    shell::{NOT_SHARED, Options, Shell, WIDGET, has_session_cookie, is_on},
};
use crate::{
    config::Config,
    error::Error,
    guard,
    http::{
        cookie::Embed,
        media_type,
        origin::Origin,
        web::{Body, Incoming, Outgoing, Request, Response, single},
    },
    runtime::{
        platform::{Insertion, Platform},
        reason::Reason,
    },
};

/// How long the site may take to begin its answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What the site learns of the browser, and of the answer that the browser has.
const ASKED: [HeaderName; 5] =
    [header::ACCEPT, header::ACCEPT_LANGUAGE, header::USER_AGENT, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];
/// What the browser gets of every answer.
const PASSED: [HeaderName; 11] = [
    header::CONTENT_TYPE,
    header::CONTENT_LANGUAGE,
    // A file of a visitor that is saved, not shown, must not run on the edge's origin.
    header::CONTENT_DISPOSITION,
    header::CONTENT_SECURITY_POLICY,
    HeaderName::from_static("cross-origin-opener-policy"),
    HeaderName::from_static("permissions-policy"),
    header::CACHE_CONTROL,
    // What the site chose by these headers is not for everybody.
    header::VARY,
    header::RETRY_AFTER,
    header::LINK,
    HeaderName::from_static("x-robots-tag"),
];
/// What it gets of an answer that is as the site sent it. The first state in a changed one has no version.
static PASSED_UNCHANGED: [HeaderName; 2] = [header::ETAG, header::LAST_MODIFIED];
/// Sent with the script of a service worker, which would see every later request of the edge's origin.
const SERVICE_WORKER: HeaderName = HeaderName::from_static("service-worker");
/// What no page of the edge's origin may do, whatever the site's own policy allows.
const POLICY: &str = "object-src 'none'; base-uri 'self'; frame-ancestors ";
/// The page as an element: the widget is in its language if it has none of its own.
const PAGE: &str = "html";
/// The attributes that the first state depends on.
const ATTRIBUTES: [&str; 5] = ["lang", "heading", "edge", "compact", "popup"];

/// Passes an answer of the site on.
pub(super) async fn pass<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let site = context.config.host_upstream.as_ref().ok_or(Error::NotFound)?;
    guard::check_no_upgrade(&request.headers)?;
    if request.headers.contains_key(SERVICE_WORKER) {
        return Err(Error::Forbidden { reason: Reason::ServiceWorker });
    }
    let mut url = site.clone();
    url.set_path(&request.path);
    url.set_query(request.query.as_deref());
    let mut outgoing = Outgoing::new(request.method.clone(), url.clone(), TIMEOUT).to("host page");
    for name in ASKED {
        if let Some(value) = single(&request.headers, &name) {
            outgoing = outgoing.with(name, value);
        }
    }
    // A document that is packed cannot be changed.
    let sending = context.platform.send(outgoing.with(header::ACCEPT_ENCODING, "identity"));
    let incoming = match select(pin!(sending), context.platform.client_disconnected()).await {
        Either::Left((incoming, _)) => incoming?,
        Either::Right(_) => return Err(Error::ClientDisconnected),
    };
    answer(context, request, &url, incoming)
}

/// The site's answer, which came from `url`, as an answer of the edge.
fn answer<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
    url: &Url,
    incoming: Incoming<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let Incoming { status, headers: from, body } = incoming;
    // Nobody asked for a part, and a part of a document has no beginning.
    let is_part = status == StatusCode::PARTIAL_CONTENT;
    if status.is_informational() || is_part || from.contains_key(header::CONTENT_ENCODING) {
        return Err(Error::BadGateway { reason: Reason::UpstreamStatus });
    }
    let charset = html_charset(&from);
    let mut headers = HeaderMap::new();
    let unchanged: &[HeaderName] = if charset.is_none() { &PASSED_UNCHANGED } else { &[] };
    for name in PASSED.iter().chain(unchanged) {
        for value in from.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    if status.is_redirection()
        && let Some(address) = single(&from, &header::LOCATION).and_then(|to| redirect(url, to))
        && let Ok(address) = HeaderValue::from_str(&address)
    {
        headers.insert(header::LOCATION, address);
    }
    // A shared cache must not answer a browser that asks for a service worker.
    headers.append(header::VARY, SERVICE_WORKER.into());
    if let Ok(policy) = HeaderValue::from_str(&format!("{POLICY}{}", ancestors(context.config))) {
        headers.append(header::CONTENT_SECURITY_POLICY, policy);
    }
    // The site has not seen the cookie, so only the first state depends on it.
    if charset.is_some() {
        headers.append(header::VARY, const { HeaderValue::from_static("Cookie") });
        if has_session_cookie(&request.headers) {
            headers.insert(header::CACHE_CONTROL, const { HeaderValue::from_static(NOT_SHARED) });
        }
    }
    let is_empty =
        request.method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = match charset {
        _ if is_empty => Body::Empty,
        Some(charset) => Body::Native(with_first_state(context, request, body, charset)?),
        None => Body::Native(body),
    };
    Ok(Response { status, headers, body })
}

/// The document with the first state in each element of the widget.
fn with_first_state<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
    document: P::Body,
    charset: Charset,
) -> Result<P::Body, Error> {
    let page = match &request.query {
        Some(query) => format!("{}?{query}", request.path),
        None => request.path.clone(),
    };
    let Some(shell) = Shell::new(context, &request.headers, Some(&page)) else { return Ok(document) };
    let page_language = RefCell::new(None);
    let html = move |element: &str, values: &[Option<String>]| {
        let value = |at: usize| values.get(at).and_then(|value| value.as_deref()).map(decoded);
        let own_language = value(0).filter(|language| !language.is_empty());
        if element == PAGE {
            page_language.replace(own_language);
            return String::new();
        }
        // The script will ask another edge, and knows its ways to sign in.
        if value(2).is_some_and(|edge| !shell.is_of(&edge)) {
            return String::new();
        }
        let html = shell.render(&Options {
            language: own_language.or_else(|| page_language.borrow().clone()),
            // Runtimes read every document as UTF-8.
            heading: value(1).filter(|text| !text.contains(char::REPLACEMENT_CHARACTER)),
            is_compact: is_on(value(3).as_deref()),
            is_popup: is_on(value(4).as_deref()),
        });
        match charset {
            Charset::Utf8 => html,
            Charset::Unnamed => ascii(&html),
        }
    };
    let insertion = Insertion { elements: &[PAGE, WIDGET], attributes: &ATTRIBUTES, html: Box::new(html) };
    Ok(context.platform.insert(document, insertion)?)
}

/// The text that an attribute's value means. Runtimes give it as it is written. Names of characters that nobody has to use
/// stay as they are.
fn decoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('&') {
        text.push_str(before);
        let reference = after.split_once(';').and_then(|(name, after)| Some((character(name)?, after)));
        let (character, after) = reference.unwrap_or(('&', after));
        text.push(character);
        rest = after;
    }
    text + rest
}

/// The character of a reference such as `amp`, `#39` and `#x27`.
fn character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let hexadecimal = number.strip_prefix(['x', 'X']).map(|digits| u32::from_str_radix(digits, 16));
            char::from_u32(hexadecimal.unwrap_or_else(|| number.parse()).ok()?)
        }
    }
}

/// How the characters of a document are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    /// In UTF-8, as the header says.
    Utf8,
    /// The document may say it. All that browsers read without being told agree about ASCII.
    Unnamed,
}

/// The charset of an answer that is HTML and that the first state can be put into. `None` for any other.
fn html_charset(headers: &HeaderMap) -> Option<Charset> {
    let value = single(headers, &header::CONTENT_TYPE).filter(|value| media_type::is_of(value, "text/html"))?;
    let parameters = value.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut charsets = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    match charsets.next() {
        None => Some(Charset::Unnamed),
        Some((_, name)) => {
            let name = name.trim().trim_matches('"');
            (name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("utf8")).then_some(Charset::Utf8)
        }
    }
}

/// HTML in ASCII alone, with references for all other characters. There is neither a script nor a style in it, where they
/// would mean nothing.
fn ascii(html: &str) -> String {
    let mut ascii = String::with_capacity(html.len());
    for character in html.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            ascii += &format!("&#{};", u32::from(character));
        }
    }
    ascii
}

/// Where a redirect of the page at `from` leads. One within the site stays within the edge's origin.
fn redirect(from: &Url, to: &str) -> Option<String> {
    let to = from.join(to).ok()?;
    if !matches!(to.scheme(), "http" | "https") {
        return None;
    }
    if to.origin() != from.origin() {
        return Some(to.into());
    }
    // Two slashes would be another host.
    let address = &to[url::Position::BeforePath..];
    Some(format!("/{}", address.trim_start_matches('/')))
}

/// The pages that may frame this one: it has the widget, whose clicks could be hijacked (S88).
fn ancestors(config: &Config) -> String {
    match config.sessions.embed {
        Embed::SameSite => "'none'".to_owned(),
        Embed::CrossSite => config.host_origins.iter().map(Origin::as_str).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_within_the_site_stay_at_the_edge() {
        let page = Url::parse("https://site.example/a/x").unwrap();
        for (to, expected) in [
            ("/b?c=1#d", Some("/b?c=1#d")),
            ("b", Some("/a/b")),
            ("https://site.example/b", Some("/b")),
            ("https://site.example//evil.example/", Some("/evil.example/")),
            ("//other.example/b", Some("https://other.example/b")),
            ("http://site.example/b", Some("http://site.example/b")),
            ("javascript:alert(1)", None),
            ("https://[", None),
        ] {
            assert_eq!(redirect(&page, to).as_deref(), expected, "{to}");
        }
    }

    #[test]
    fn a_path_that_looks_like_a_host_is_a_path() {
        let mut page = Url::parse("https://site.example").unwrap();
        for path in ["//evil.example/x", "/\\evil.example/x", "///evil.example/x"] {
            page.set_path(path);
            assert_eq!(page.host_str(), Some("site.example"));
            assert_eq!(redirect(&page, "/login").as_deref(), Some("/login"), "{path}");
            let relative = redirect(&page, "login").unwrap();
            assert!(relative.starts_with('/') && !relative.starts_with("//"), "{path}: {relative}");
        }
    }

    #[test]
    fn attributes_mean_what_browsers_read() {
        for (value, text) in [
            ("Tom &amp; Jerry", "Tom & Jerry"),
            ("&lt;b&gt; &quot;&apos;&#39;&#x27;", "<b> \"'''"),
            ("&amp;lt; &nope; & &#xd800; &#; a&b;c &amp", "&lt; &nope; & &#xd800; &#; a&b;c &amp"),
            ("", ""),
        ] {
            assert_eq!(decoded(value), text, "{value}");
        }
    }

    #[test]
    fn only_html_is_changed() {
        for (kind, expected) in [
            ("text/html", Some(Charset::Unnamed)),
            ("Text/HTML; charset=utf-8", Some(Charset::Utf8)),
            ("text/html;charset=\"UTF-8\"", Some(Charset::Utf8)),
            ("text/html; Charset = utf8; charset=latin1", Some(Charset::Utf8)),
            ("text/html; charset=windows-1252", None),
            ("text/html; charset=utf-16le", None),
            ("text/html; charset=", None),
            ("text/html+x", None),
            ("application/xhtml+xml", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
            assert_eq!(html_charset(&headers), expected, "{kind}");
        }
        assert_eq!(html_charset(&HeaderMap::new()), None);
    }

    #[test]
    fn what_is_put_in_can_be_ascii() {
        assert_eq!(ascii("<p title=\"é\">Verbinden…</p>😀"), "<p title=\"&#233;\">Verbinden&#8230;</p>&#128512;");
    }
}
