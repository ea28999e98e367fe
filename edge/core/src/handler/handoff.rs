//! `POST /auth/handoff`: a page of another site redeems the session that was begun for it. See
//! [`crate::session::handoff`].

use http::{StatusCode, header};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::context::{Context, read_body};
use crate::{
    error::Error,
    http::{
        cookie::Embed,
        json::StrictObject,
        media_type::is_json,
        web::{Request, Response},
    },
    runtime::{platform::Platform, reason::Reason},
    session::handoff::Recipient,
};

/// What the page sends: the code from its address, and the verifier that it kept.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Redemption<'a> {
    // Borrowed from the body, which is wiped. Neither has a character that JSON escapes, so no copy is needed.
    code: &'a str,
    verifier: &'a str,
}

/// Answers 204 with the session's cookie, which the browser keeps for the site of the requesting page.
pub(super) async fn redeem<P: Platform>(
    context: &Context<'_, P>,
    request: Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    if context.config.sessions.embed != Embed::CrossSite {
        return Err(Error::NotFound);
    }
    let claimed = request.header(&header::ORIGIN).unwrap_or_default();
    let host_page = context.config.host_origins.iter().find(|host| host.as_str() == claimed);
    let host_page = host_page.ok_or(Error::Forbidden { reason: Reason::HandoffWithoutHostPage })?;
    if !is_json(request.header(&header::CONTENT_TYPE).unwrap_or_default()) {
        return Err(Error::UnsupportedMediaType);
    }
    let sessions = context.sessions();
    let replaced = sessions.id(&request.headers).ok().map(|id| id.handle());
    let body = Zeroizing::new(read_body(context.platform, context.row, request).await?);
    let malformed = Error::BadRequest { reason: Reason::HandoffBody };
    let StrictObject(Redemption { code, verifier }) = serde_json::from_slice(&body).map_err(|_| malformed.clone())?;
    let recipient = Recipient::by_verifier(host_page, verifier).ok_or(malformed)?;
    let cookie = sessions.redeem(code, &recipient, replaced).await?;
    let mut response = Response::empty(StatusCode::NO_CONTENT);
    response.add(header::SET_COOKIE, &cookie);
    Ok(response)
}
