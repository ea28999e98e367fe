//! Which request headers a service may name for itself.

use http::HeaderName;

use super::request::ALLOWED;

/// Longest name of a header that a service may name.
const MAX_NAME_BYTES: usize = 64;

/// Headers that services may name although a word of theirs is refused: documented APIs read them, and they carry no
/// identity, or choose only among what the token allows.
const ALLOWED_NAMES: [&str; 9] = [
    "client-request-id",
    // Part of an upload. The upstream gets the header only if its service names it.
    "content-range",
    "dropbox-api-path-root",
    "mcp-session-id",
    "return-client-request-id",
    "workbook-session-id",
    "x-goog-user-project",
    "x-ms-client-request-id",
    "x-ms-return-client-request-id",
];

/// Parts of words in the names of headers by which some server learns who sends a request, from where, with which
/// credential, or that it is another request than its request line says (S162).
const REFUSED_PARTS: [&str; 31] = [
    "accesskey",
    "addr",
    "apikey",
    "assertion",
    "auth",
    "cert",
    "client",
    "consumer",
    "cookie",
    "credential",
    "email",
    "forwarded",
    "group",
    "host",
    "identity",
    "impersonat",
    "internal",
    "jwt",
    "oidc",
    "override",
    "passw",
    "principal",
    "proxy",
    "remote",
    "saml",
    "secret",
    "session",
    "signature",
    "subrequest",
    "token",
    "user",
];
/// Whole words that mean the same. Other words contain them by chance.
const REFUSED_WORDS: [&str; 24] = [
    "dn",
    "dpop",
    "envoy",
    "fdid",
    "ip",
    "key",
    "mail",
    "method",
    "middleware",
    "path",
    "proto",
    "query",
    "realip",
    "role",
    "roles",
    "scheme",
    "socketip",
    "ssl",
    "sub",
    "uid",
    "uri",
    "url",
    "verified",
    "verify",
];
/// First words of headers that browsers, runtimes, platforms and proxies set.
const REFUSED_FIRST_WORDS: [&str; 9] = ["access", "cdn", "cf", "fastly", "fly", "if", "sec", "spin", "surrogate"];
/// The other headers that cannot be named: those of one connection or of a body's framing, and those that the edge sets or
/// that mean something to it.
const REFUSED: [&str; 33] = [
    "accept-charset",
    "accept-encoding",
    "alt-used",
    "baggage",
    "connection",
    "content-encoding",
    "content-length",
    "content-location",
    "date",
    "early-data",
    "expect",
    "http2-settings",
    "keep-alive",
    "last-event-id",
    "max-forwards",
    "metadata-flavor",
    "origin",
    "purpose",
    "referer",
    "referrer",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "warning",
    "x-csrf",
    "x-purpose",
    "x-request-id",
];

/// The header of this name, if a service may have browsers send it. A name with `_` cannot be: some servers read it as
/// another one with `-`.
pub(crate) fn nameable(name: &str) -> Option<HeaderName> {
    let name = HeaderName::try_from(name).ok()?;
    let text = name.as_str();
    let is_refused = text.len() > MAX_NAME_BYTES
        || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        || REFUSED.contains(&text)
        || text.split('-').next().is_none_or(|word| REFUSED_FIRST_WORDS.contains(&word))
        || text.split('-').any(is_word_refused);
    (!is_refused || ALLOWED_NAMES.contains(&text) || is_always_forwarded(&name)).then_some(name)
}

/// Whether a word of a name, which is split at `-`, speaks of identity, origin or credentials.
fn is_word_refused(word: &str) -> bool {
    REFUSED_WORDS.contains(&word) || REFUSED_PARTS.iter().any(|part| word.contains(part))
}

/// Whether every service gets a header, named or not.
pub(crate) fn is_always_forwarded(name: &HeaderName) -> bool {
    ALLOWED.contains(name)
}

#[cfg(test)]
mod tests;
