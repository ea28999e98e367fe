//! The page before a sign-in that another site began. A provider that knows its user asks nothing, so without it any page
//! could make its visitor signed in here by sending the browser along: a session begins by its user's own action (M58,
//! ASVS 7.6.2). The page's link leads to the same sign-in, and its click comes from the edge itself.

use http::StatusCode;
use url::form_urlencoded::Serializer;

use crate::{
    http::{
        origin::ReturnTo,
        page::{Escaped, page},
        web::Response,
    },
    oauth::provider::Provider,
};

/// Says who is about to be signed in with, and has a link to it. Nothing has begun: no transaction, no cookie. Of the
/// address it keeps where the user goes deferred_refresh, and nothing else that another site wrote.
pub(super) fn login_confirmation<B>(provider: &Provider, return_to: &ReturnTo) -> Response<B> {
    let kept = Serializer::new(String::new()).append_pair("return_to", return_to.as_str()).finish();
    let address = format!("/auth/{}/login?{kept}", provider.id);
    let (name, address) = (Escaped(&provider.name), Escaped(&address));
    page(
        StatusCode::OK,
        &format_args!(
            "<h1>Sign in with {name}?</h1><p>Another website sent you here. Nothing happens unless you go on.</p>\
             <p><a href=\"{address}\">Continue with {name}</a></p>"
        ),
    )
}
