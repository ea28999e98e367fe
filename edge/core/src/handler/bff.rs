//! `/bff/{service}/*`: an upstream API, called with the user's token.

use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use secrecy::ExposeSecret as _;

use super::{Context, read_body};
use crate::{
    error::Error,
    oauth::identity::USER_AGENT,
    platform::Platform,
    proxy::{self, Refusal},
    session::store::Session,
    web::{Body, Outgoing, Request, Response},
};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Passes a request on.
pub(super) async fn proxy<P: Platform>(
    context: &Context<'_, P>,
    request: Request<P::Body>,
    session: &Session,
) -> Result<Response<P::Body>, Error> {
    let service = context.config.service(context.parameter(0)).ok_or(Error::NotFound)?;
    let path = format!("/{}", context.parameter(1));
    let url =
        proxy::target(service, &request.method, &path, request.query.as_deref()).map_err(|refusal| match refusal {
            Refusal::BadPath => Error::BadRequest { reason: "the path is not allowed in this form" },
            Refusal::UnknownPath => Error::NotFound,
            Refusal::Method { allow } => Error::MethodNotAllowed { allow },
        })?;
    let sign_in_needed = Error::ProviderSignInNeeded { provider: service.provider.clone() };
    let connection = session.record.connections.get(&service.provider).ok_or_else(|| sign_in_needed.clone())?;
    let tokens = &connection.tokens;
    if tokens.expires_at_ms.is_some_and(|expires_at_ms| context.platform.now_ms() >= expires_at_ms) {
        return Err(sign_in_needed);
    }
    let mut outgoing = Outgoing::new(request.method.clone(), url, TIMEOUT);
    outgoing.headers = proxy::request_headers(&request.headers);
    outgoing.headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    let bearer = HeaderValue::from_str(&format!("Bearer {}", tokens.access_token.expose_secret()));
    let mut bearer = bearer.map_err(|_| sign_in_needed.clone())?;
    bearer.set_sensitive(true);
    outgoing.headers.insert(header::AUTHORIZATION, bearer);
    if request.method != Method::GET {
        let body = read_body::<P>(context.row, request).await?;
        outgoing.body = if body.is_empty() { Body::Empty } else { Body::Bytes(body.into()) };
    }
    let response = context.platform.send(outgoing).await?;
    match response.status {
        StatusCode::UNAUTHORIZED => return Err(sign_in_needed),
        // Following it could carry the token elsewhere; passing it on would send the browser there.
        status if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
            return Err(Error::BadGateway { reason: "upstream redirects" });
        }
        _ => {}
    }
    Ok(Response {
        status: response.status,
        headers: proxy::response_headers(&response.headers),
        body: Body::Native(response.body),
    })
}
