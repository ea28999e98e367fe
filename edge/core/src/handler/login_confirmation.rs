//! The page before a sign-in that another site began.
//!
//! A provider that recognizes its user asks nothing. Without this page any site could sign its visitors in here by sending
//! the browser along, but a session must begin with an action of its user (M58, ASVS 7.6.2). The page links to the same
//! sign-in, and a click on the link comes from the edge itself.

use http::StatusCode;
use url::form_urlencoded::Serializer;

use crate::{
    http::{
        origin::ReturnTo,
        page::{Escaped, page},
        web::Response,
    },
    oauth::{prompt::Prompt, provider::Provider},
};

/// Names the provider and links to the sign-in. Nothing has begun yet: no transaction, no cookie. The link keeps the return
/// address and the prompt, both checked, and nothing else that the other site wrote.
pub(super) fn login_confirmation<B>(provider: &Provider, return_to: &ReturnTo, prompt: Option<Prompt>) -> Response<B> {
    let mut query = Serializer::new(String::new());
    query.append_pair("return_to", return_to.as_str());
    if let Some(prompt) = prompt {
        query.append_pair("prompt", prompt.value());
    }
    let query = query.finish();
    let address = format!("/auth/{}/login?{query}", provider.id);
    let (name, address) = (Escaped(&provider.name), Escaped(&address));
    page(
        StatusCode::OK,
        &format_args!(
            "<h1>Sign in with {name}?</h1><p>Another website sent you here. Nothing happens unless you go on.</p>\
             <p><a href=\"{address}\">Continue with {name}</a></p>"
        ),
    )
}
