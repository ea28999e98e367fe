//! `POST /auth/{provider}/disconnect`: removes an account from the session.

use http::{StatusCode, header};

use super::context::{Context, provider};
use crate::{error::Error, http::web::Response, runtime::platform::Platform, session::principal::Principal};

/// Disconnects an account. Does nothing if it is not connected.
pub(super) async fn disconnect<P: Platform>(
    context: &Context<'_, P>,
    principal: Principal,
) -> Result<Response<P::Body>, Error> {
    let provider = provider(context)?;
    if principal.summary.provider == provider.id {
        return Err(Error::OwnAccount);
    }
    let mut response = Response::empty(StatusCode::NO_CONTENT);
    if principal.summary.accounts.contains_key(&provider.id) {
        let session = context.sessions().session_of(principal).await?;
        let cookie = context.accounts().disconnect(session, provider).await?;
        response.add(header::SET_COOKIE, &cookie);
    }
    Ok(response)
}
