//! `/bff/{service}/*`: an upstream API, called with the user's token.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use http::StatusCode;
use url::Url;

use super::{
    bearer::{Authorization, authorize, authorize_anew},
    context::Context,
    deadline::Deadline,
    payload::Payload,
};
use crate::{
    config::Config,
    error::Error,
    http::{
        body::ReadBody,
        web::{Body, Incoming, Outgoing, Request, Response},
    },
    proxy::{
        header::{self, ForwardingContext},
        service::{Credential, Refusal, Service},
    },
    runtime::{platform::Platform, unavailable::Unavailable},
    session::{record::SessionRecord, store::Session},
};

/// Passes a request on.
pub(super) async fn proxy<P: Platform>(
    context: &Context<'_, P>,
    request: Request<P::Body>,
    session: &Session,
) -> Result<Response<P::Body>, Error> {
    let service = context.config.service(context.parameter(0)).ok_or(Error::NotFound)?;
    if !serves(context.config, service, session) {
        return Err(Error::NotForUser);
    }
    let path = format!("/{}", context.parameter(1));
    let url = service.target(&request.method, &path, request.query.as_deref()).map_err(|refusal| match refusal {
        Refusal::BadPath => Error::BadRequest { reason: "the path is not allowed in this form" },
        Refusal::UnknownPath => Error::NotFound,
        Refusal::Method { allow } => Error::MethodNotAllowed { allow },
    })?;
    let Request { method, headers, body, client_address, .. } = request;
    let about = ForwardingContext {
        public_origin: &context.config.public_origin,
        client_address: client_address.filter(|_| service.told_client_address),
        traceparent: context.trace.as_str(),
    };
    let passed = header::request_headers(&headers, &about)?;
    // Before the body: whoever must sign in first need not wait for an upload to end.
    let mut authorization = authorize(context, session, service, false).await?;
    let limit_bytes = service.body_limit_bytes.min(context.row.body_limit_bytes);
    let deadline = Deadline::after(context.platform, service.timeout);
    let payload = Payload::take(context.platform, &method, &headers, body, limit_bytes, deadline).await?;
    let mut call = Call { service, method, url, headers: passed, payload, deadline };
    // The body alone took it.
    let timeout = deadline.worthwhile(context.platform).ok_or(Error::TooSlow)?;
    let mut response = call.send(context, &authorization, timeout).await?;
    // Once more for a nonce and once more for a token that ended early, or was renewed by another request meanwhile: each
    // once, whichever is wanted first.
    let (mut may_prove, mut may_renew) = (true, true);
    while response.status == StatusCode::UNAUTHORIZED {
        if authorization.lacks_nonce(&response) {
            if !std::mem::take(&mut may_prove) {
                return Err(Unavailable::new("upstream", "wants another nonce each time").into());
            }
        } else if std::mem::take(&mut may_renew) {
            authorization = authorize_anew(context, session, service, &authorization).await?;
        } else {
            break;
        }
        response = call.send_again(context, &authorization).await?;
    }
    pass_on(service, response)
}

/// Whether a service is for the users of the provider that this session began with.
fn serves(config: &Config, service: &Service, session: &Session) -> bool {
    let SessionRecord { provider, accounts, .. } = &session.record;
    // Its id may have become another issuer's since: who signed in with the first one is none of its users (M16).
    let is_its_issuers = || accounts.get(provider).is_none_or(|it| config.provider_of(provider, &it.issuer).is_some());
    service.users_of.as_ref().is_none_or(|ids| ids.contains(provider) && is_its_issuers())
}

/// A request to an upstream, as often as it is sent.
struct Call<'a, B> {
    service: &'a Service,
    method: http::Method,
    url: Url,
    headers: http::HeaderMap,
    payload: Payload<B>,
    /// By when there must be the head of an answer, however often it is sent.
    deadline: Deadline,
}

impl<B: ReadBody> Call<'_, B> {
    async fn send<P: Platform<Body = B>>(
        &mut self,
        context: &Context<'_, P>,
        authorization: &Authorization,
        timeout: Duration,
    ) -> Result<Incoming<B>, Error> {
        let mut outgoing = Outgoing::new(self.method.clone(), self.url.clone(), timeout).to(self.service.name.clone());
        outgoing.idle = self.service.timeout;
        outgoing.headers = self.headers.clone();
        authorization.attach(context, &mut outgoing)?;
        outgoing.body = self.payload.next(&self.method, &mut outgoing.headers);
        // First whether it was: whatever came of it, what the upstream got was not what the client meant.
        let (failed, sent) = (pin!(self.payload.failed()), pin!(context.platform.send(outgoing)));
        // Nothing but the call ends with the client: what renews a token, or ends a session, goes on without one.
        match select(context.platform.client_disconnected(), select(failed, sent)).await {
            Either::Left(_) => Err(Error::ClientLeft),
            Either::Right((Either::Left((error, _)), _)) => Err(error.into()),
            Either::Right((Either::Right((result, _)), _)) => {
                let response = result?;
                authorization.learn_nonce(context, &self.url, &response);
                Ok(response)
            }
        }
    }

    /// The same, of which nothing may be lost, in what is left of its time: renewing a token may have taken some.
    async fn send_again<P: Platform<Body = B>>(
        &mut self,
        context: &Context<'_, P>,
        authorization: &Authorization,
    ) -> Result<Incoming<B>, Error> {
        if !self.payload.is_replayable() {
            return Err(Unavailable::new("upstream", "wants another authorization; the body is gone").into());
        }
        let too_late = || Unavailable::new("upstream", "no answer in time: none was left to ask again");
        let timeout = self.deadline.worthwhile(context.platform).ok_or_else(too_late)?;
        self.send(context, authorization, timeout).await
    }
}

/// What of an upstream's answer the browser gets.
fn pass_on<B>(service: &Service, response: Incoming<B>) -> Result<Response<B>, Error> {
    match response.status {
        StatusCode::UNAUTHORIZED => {
            return Err(match &service.credential {
                Credential::Provider { id, .. } => Error::ProviderSignInNeeded { provider: id.clone() },
                // No sign-in of the user's would help.
                Credential::Installation(_) => Error::BadGateway { reason: "upstream refused an installation's token" },
            });
        }
        // Following it could carry the token elsewhere; passing it on would send the browser there (S98).
        status if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
            return Err(Error::BadGateway { reason: "upstream redirects" });
        }
        _ if header::is_packed(&response.headers) => {
            return Err(Error::BadGateway { reason: "upstream packed its answer unasked" });
        }
        _ => {}
    }
    // Such an answer has no body, and a runtime that is handed one, if only an empty one, refuses the answer.
    let has_body =
        !matches!(response.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
    Ok(Response {
        status: response.status,
        headers: header::response_headers(&response.headers),
        body: if has_body { Body::Native(response.body) } else { Body::Empty },
    })
}
