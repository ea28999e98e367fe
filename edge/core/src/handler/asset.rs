//! The widget's files and the edge's own page. They are embedded at build time, so every runtime serves the same bytes and
//! headers.

use http::{HeaderName, StatusCode, header};

use crate::{
    config::Config,
    error::Error,
    http::{
        cookie::Embed,
        origin::Origin,
        web::{Request, Response},
    },
};

/// One embedded file.
struct Asset {
    /// Its name below `/assets/`.
    name: &'static str,
    /// Its media type.
    content_type: &'static str,
    /// Whether its name contains a hash of the content, so that it can be cached for a year.
    immutable: bool,
    /// Its entity tag, which changes with the content.
    tag: &'static str,
    /// The name of its source map, if it is a script and the build has maps.
    map: Option<&'static str>,
    /// Its content.
    bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

const PAGE: &str = "index.html";
/// Tells developer tools where the map of a script is. A comment in the script would change its integrity value, and lead
/// nowhere if there is no map.
const SOURCE_MAP: HeaderName = HeaderName::from_static("sourcemap");
/// Allows only what the page consists of, and nothing inline.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'; frame-ancestors ";

/// `GET /assets/{name}`: an embedded file. A stable name is revalidated each time, so that a deployment reaches every page
/// with its next load.
pub(super) fn asset<B>(request: &Request<B>, name: &str) -> Result<Response<B>, Error> {
    let asset = ASSETS.iter().find(|asset| asset.name == name && name != PAGE).ok_or(Error::NotFound)?;
    let has_current = request.header(&header::IF_NONE_MATCH).is_some_and(|tags| names(tags, asset.tag));
    let mut response = if has_current {
        Response::empty(StatusCode::NOT_MODIFIED)
    } else {
        Response::bytes(StatusCode::OK, asset.content_type, asset.bytes)
    };
    let cache_control = if asset.immutable { "public, max-age=31536000, immutable" } else { "public, no-cache" };
    response.set(header::CACHE_CONTROL, cache_control);
    response.set(header::ETAG, asset.tag);
    if let Some(map) = asset.map {
        response.set(SOURCE_MAP, map);
    }
    Ok(response)
}

/// Whether the tags of an `If-None-Match` contain this one. A proxy that compresses makes a tag weak.
fn names(tags: &str, tag: &str) -> bool {
    tags.split(',').map(str::trim).any(|one| one.strip_prefix("W/").unwrap_or(one) == tag)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_among_others_and_when_a_proxy_made_it_weak() {
        let tag = "\"sha384-abc\"";
        for tags in ["\"sha384-abc\"", "W/\"sha384-abc\"", "\"other\", W/\"sha384-abc\"", "\"sha384-abc\" ,\"other\""] {
            assert!(names(tags, tag), "{tags}");
        }
        for tags in ["", "*", "sha384-abc", "\"sha384-ab\"", "\"other\""] {
            assert!(!names(tags, tag), "{tags}");
        }
    }
}
