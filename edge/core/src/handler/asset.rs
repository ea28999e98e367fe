//! The widget's files and the edge's own page. They are embedded at build time, so every runtime serves the same bytes and
//! headers.

use http::{StatusCode, header};

use crate::{
    config::Config,
    error::Error,
    http::{cookie::Embed, origin::Origin, web::Response},
};

/// One embedded file.
struct Asset {
    /// Its name below `/assets/`.
    name: &'static str,
    /// Its media type.
    content_type: &'static str,
    /// Whether its name contains a hash of the content, so that it can be cached for a year.
    immutable: bool,
    /// Its content.
    bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

const PAGE: &str = "index.html";
/// Allows only what the page consists of, and nothing inline.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'; frame-ancestors ";

/// `GET /assets/{name}`: an embedded file.
pub(super) fn asset<B>(name: &str) -> Result<Response<B>, Error> {
    let asset = ASSETS.iter().find(|asset| asset.name == name && name != PAGE).ok_or(Error::NotFound)?;
    let cache_control = if asset.immutable { "public, max-age=31536000, immutable" } else { "public, max-age=300" };
    let mut response = Response::bytes(StatusCode::OK, asset.content_type, asset.bytes);
    response.set(header::CACHE_CONTROL, cache_control);
    Ok(response)
}

/// `GET /`: the edge's own page.
pub(super) fn page<B>(config: &Config) -> Result<Response<B>, Error> {
    let page = ASSETS.iter().find(|asset| asset.name == PAGE).ok_or(Error::NotFound)?;
    let mut response = Response::bytes(StatusCode::OK, page.content_type, page.bytes);
    response.set(header::CACHE_CONTROL, "no-cache");
    // A page that frames this one could hijack its clicks, so only configured host pages may (S88, S155).
    let ancestors = match config.sessions.embed {
        Embed::SameSite => "'none'".to_owned(),
        Embed::CrossSite => config.host_origins.iter().map(Origin::as_str).collect::<Vec<_>>().join(" "),
    };
    response.set(header::CONTENT_SECURITY_POLICY, &format!("{PAGE_POLICY}{ancestors}"));
    Ok(response)
}
