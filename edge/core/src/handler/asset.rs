//! The widget's files and the edge's own page. They are embedded at build time, so every runtime serves the same bytes and
//! headers.
//!
//! Only the packed form of a file is embedded. Nearly all clients accept it; for the few others it is unpacked. Of the two
//! forms each has its own entity tag.

use std::iter;

use http::{HeaderName, StatusCode, header};
use miniz_oxide::inflate::decompress_slice_iter_to_slice;

use crate::{
    config::Config,
    error::Error,
    http::{
        content_coding,
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
    /// Changes with the content.
    tag: &'static str,
    /// The name of its source map, if it is a script and the build has maps.
    map: Option<&'static str>,
    /// Its content, packed by gzip.
    packed: &'static [u8],
    /// The length of its content.
    length: usize,
}

impl Asset {
    /// The entity tag of a form.
    fn entity_tag(&self, is_packed: bool) -> String {
        format!("\"{}{}\"", self.tag, if is_packed { "-gzip" } else { "" })
    }

    /// Its content, unpacked.
    fn content(&self) -> Result<Vec<u8>, Error> {
        let mut content = vec![0; self.length];
        let end = self.packed.len().saturating_sub(GZIP_TRAILER_BYTES);
        let deflated = self.packed.get(GZIP_HEADER_BYTES..end).unwrap_or_default();
        match decompress_slice_iter_to_slice(&mut content, iter::once(deflated), false, true) {
            Ok(length) if length == self.length => Ok(content),
            outcome => Err(Error::Unanswerable { detail: format!("unpacking {}: {outcome:?}", self.name) }),
        }
    }
}

/// Length of gzip's header without optional fields, which this build does not write (RFC 1952 §2.3).
const GZIP_HEADER_BYTES: usize = 10;
/// Length of the checksum and the length that end a gzip file.
const GZIP_TRAILER_BYTES: usize = 8;

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

const PAGE: &str = "index.html";
/// Tells developer tools where the map of a script is. A comment in the script would change its integrity value, and lead
/// nowhere if there is no map.
const SOURCE_MAP: HeaderName = HeaderName::from_static("sourcemap");
/// Allows only what the page consists of, and nothing inline.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'; frame-ancestors ";

/// `GET /assets/{name}`: an embedded file. A stable name is revalidated each time, so that a deployment reaches every page
/// with its next load. The answer depends on nothing but the name and the content codings that the client accepts.
pub(super) fn asset<B>(request: &Request<B>, name: &str) -> Result<Response<B>, Error> {
    let asset = ASSETS.iter().find(|asset| asset.name == name && name != PAGE).ok_or(Error::NotFound)?;
    let is_packed = content_coding::prefers_gzip(&request.headers);
    let tag = asset.entity_tag(is_packed);
    let mut response = if request.header(&header::IF_NONE_MATCH).is_some_and(|tags| names(tags, &tag)) {
        Response::empty(StatusCode::NOT_MODIFIED)
    } else if is_packed {
        let mut response = Response::bytes(StatusCode::OK, asset.content_type, asset.packed);
        response.set(header::CONTENT_ENCODING, "gzip");
        response
    } else {
        Response::bytes(StatusCode::OK, asset.content_type, asset.content()?)
    };
    let cache_control = if asset.immutable { "public, max-age=31536000, immutable" } else { "public, no-cache" };
    response.set(header::CACHE_CONTROL, cache_control);
    response.set(header::ETAG, &tag);
    response.set(header::VARY, "Accept-Encoding");
    if let Some(map) = asset.map {
        response.set(SOURCE_MAP, map);
    }
    Ok(response)
}

/// Whether an `If-None-Match` names this tag. A proxy that compresses makes a tag weak.
fn names(tags: &str, tag: &str) -> bool {
    tags.trim() == "*" || tags.split(',').map(str::trim).any(|one| one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// `GET /`: the edge's own page.
pub(super) fn page<B>(config: &Config) -> Result<Response<B>, Error> {
    let page = ASSETS.iter().find(|asset| asset.name == PAGE).ok_or(Error::NotFound)?;
    // Too short to gain from being packed.
    let mut response = Response::bytes(StatusCode::OK, page.content_type, page.content()?);
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
        for tags in
            ["*", "\"sha384-abc\"", "W/\"sha384-abc\"", "\"other\", W/\"sha384-abc\"", "\"sha384-abc\" ,\"other\""]
        {
            assert!(names(tags, tag), "{tags}");
        }
        for tags in ["", "sha384-abc", "\"sha384-ab\"", "\"other\""] {
            assert!(!names(tags, tag), "{tags}");
        }
    }

    #[test]
    fn a_packed_file_is_what_it_was_before() {
        // `printf hello | gzip -9n`
        const PACKED: &[u8] = &[
            0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 7, 0, 0x86, 0xa6, 0x10, 0x36, 5, 0, 0, 0,
        ];
        let asset = |packed, length| Asset {
            name: "hello.js",
            content_type: "text/javascript",
            immutable: false,
            tag: "abc",
            map: None,
            packed,
            length,
        };
        assert_eq!(asset(PACKED, 5).content().unwrap(), b"hello");
        for (packed, length) in [(PACKED, 4), (PACKED, 6), (&PACKED[..12], 5), (&PACKED[..0], 5), (&PACKED[..0], 0)] {
            assert!(asset(packed, length).content().is_err(), "{} bytes of {length}", packed.len());
        }
    }

    #[test]
    fn every_embedded_file_can_be_unpacked() {
        for asset in ASSETS {
            assert_eq!(asset.content().map(|content| content.len()), Ok(asset.length), "{}", asset.name);
        }
    }

    #[test]
    fn each_form_has_its_own_tag() {
        for asset in ASSETS {
            assert_ne!(asset.entity_tag(true), asset.entity_tag(false), "{}", asset.name);
        }
    }
}
