//! The page before a sign-in that another site began. A provider that knows its user asks nothing, so without it any page
//! could make its visitor signed in here by sending the browser along: a session begins by its user's own action (M58,
//! ASVS 7.6.2). The page's link leads to the same address, and its click comes from the edge itself.

use http::StatusCode;
use url::form_urlencoded::Serializer;

use super::query::Query;
use crate::{
    oauth::provider::Provider,
    page::{Escaped, page},
    web::Response,
};

/// What of the address is kept: all that a sign-in reads.
const KEPT: [&str; 2] = ["return_to", "handoff"];

/// Says who is about to be signed in with, and has a link to it. Nothing has begun: no transaction, no cookie.
pub(super) fn doorstep<B>(provider: &Provider, query: &Query) -> Response<B> {
    let mut kept = Serializer::new(String::new());
    for name in KEPT {
        if let Ok(Some(value)) = query.one(name) {
            kept.append_pair(name, &value);
        }
    }
    let address = format!("/auth/{}/login?{}", provider.id, kept.finish());
    let (name, address) = (Escaped(&provider.name), Escaped(&address));
    page(
        StatusCode::OK,
        &format_args!(
            "<h1>Sign in with {name}?</h1><p>Another website sent you here. Nothing happens unless you go on.</p>\
             <p><a href=\"{address}\">Continue with {name}</a></p>"
        ),
    )
}
