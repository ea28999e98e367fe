//! Sends a request to an upstream and passes the answer on.

use std::{mem, pin::pin, time::Duration};

use futures_util::future::{Either, select};
use http::{HeaderMap, Method, StatusCode, header};
use url::Url;

use super::{
    authorization::Authorization,
    deadline::Deadline,
    header::response::response_headers,
    payload::Payload,
    reference::Answered,
    service::{Credential, Service},
};
use crate::{
    error::Error,
    http::web::{Body, Incoming, Outgoing, Response},
    runtime::{
        dependency::Dependency,
        platform::{ClientDisconnect, Platform},
        reason::Reason,
        unavailable::Unavailable,
    },
};

/// How long to wait before a token that was minted seconds ago is sent again, each time: GitHub's servers do not all know
/// a new token at once.
const FRESH_TOKEN_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// A request to an upstream, which may be sent several times.
pub(crate) struct Call<'a, P: Platform> {
    pub(crate) platform: &'a P,
    pub(crate) service: &'a Service,
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// The headers without those of the authorization.
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Payload<P::Body>,
    /// Whether a link or an image asked.
    pub(crate) is_by_link: bool,
    /// Until when the head of an answer must arrive, however often the request is sent.
    pub(crate) deadline: Deadline,
}

impl<P: Platform> Call<'_, P> {
    /// Sends the request and returns what the browser gets of the answer. `renew` replaces an authorization that the
    /// upstream refused. `step_up` is the answer if the headers of a 401 demand another authentication of the user, which
    /// no other token meets.
    ///
    /// # Errors
    /// [`Error`]: the upstream did not answer, or its answer is not passed on.
    pub(crate) async fn forward<'a>(
        mut self,
        mut authorization: Authorization<'a>,
        renew: impl AsyncFn(&Authorization<'a>) -> Result<Authorization<'a>, Error>,
        step_up: impl Fn(&HeaderMap) -> Option<Error>,
    ) -> Result<Response<P::Body>, Error> {
        // Receiving the body may have taken all the time there was.
        let timeout = self.deadline.remaining_if_enough(self.platform).ok_or(Error::TooSlow)?;
        let mut response = self.send(&authorization, timeout).await?;
        // Sent again once for a nonce, and once for a token that ended early or that another request renewed meanwhile,
        // in whichever order the upstream asks for them.
        let (mut may_add_nonce, mut may_renew) = (true, true);
        let mut pauses = FRESH_TOKEN_PAUSES.into_iter();
        while response.status == StatusCode::UNAUTHORIZED {
            if authorization.lacks_nonce(&response) {
                if !mem::take(&mut may_add_nonce) {
                    return Err(Unavailable::new(Dependency::Upstream, "wants another nonce each time").into());
                }
            } else if let Some(error) = step_up(&response.headers) {
                return Err(error);
            } else if let Some(pause) = self.pause_before_repeat(&authorization, &mut pauses) {
                unless_disconnected(self.platform, self.platform.sleep(pause)).await?;
                // There is no newer token.
                may_renew = false;
            } else if mem::take(&mut may_renew) {
                authorization = renew(&authorization).await?;
            } else {
                break;
            }
            response = self.send_again(&authorization).await?;
        }
        self.pass_on(response)
    }

    async fn send(&mut self, authorization: &Authorization<'_>, timeout: Duration) -> Result<Incoming<P::Body>, Error> {
        let mut outgoing = Outgoing::new(self.method.clone(), self.url.clone(), timeout).to(self.service.name.clone());
        outgoing.idle = self.service.timeout;
        // What an upstream compresses although it is asked not to is passed on as it is: nothing grows here (S105).
        outgoing.keeps_coding = true;
        outgoing.headers = self.headers.clone();
        authorization.attach(self.platform, &mut outgoing)?;
        outgoing.body = self.payload.next(&self.method, &mut outgoing.headers);
        // The payload's failure is looked at first: if it failed, the upstream answered what the client did not ask.
        let (failed, sent) = (pin!(self.payload.failed()), pin!(self.platform.send(outgoing)));
        // A client that disconnects ends only the call. Renewing a token or ending a session goes on without it.
        match unless_disconnected(self.platform, select(failed, sent)).await? {
            Either::Left((error, _)) => Err(error.into()),
            Either::Right((result, _)) => {
                let response = result?;
                authorization.learn_nonce(&self.url, &response.headers);
                Ok(response)
            }
        }
    }

    /// How long to wait before a fresh token is sent again, if there is time for that.
    fn pause_before_repeat(
        &self,
        authorization: &Authorization<'_>,
        pauses: &mut impl Iterator<Item = Duration>,
    ) -> Option<Duration> {
        let is_worth_it = authorization.is_fresh() && self.payload.is_replayable();
        let pause = is_worth_it.then(|| pauses.next()).flatten()?;
        let remaining = self.deadline.remaining_if_enough(self.platform)?;
        // The repeat gets at least as long as the pause.
        (remaining >= pause * 2).then_some(pause)
    }

    /// Sends the same request in the time that remains: renewing a token may have taken some.
    async fn send_again(&mut self, authorization: &Authorization<'_>) -> Result<Incoming<P::Body>, Error> {
        if !self.payload.is_replayable() {
            return Err(Unavailable::new(
                Dependency::Upstream,
                "wants another authorization, and the body cannot be sent again",
            )
            .into());
        }
        let too_late = || Unavailable::new(Dependency::Upstream, "no time left for another request");
        let timeout = self.deadline.remaining_if_enough(self.platform).ok_or_else(too_late)?;
        self.send(authorization, timeout).await
    }

    /// What the browser gets of an upstream's answer.
    fn pass_on<B>(&self, response: Incoming<B>) -> Result<Response<B>, Error> {
        let Self { service, method, url, is_by_link, .. } = self;
        let answered = Answered { service, method, url, is_by_link: *is_by_link };
        match response.status {
            StatusCode::UNAUTHORIZED => {
                return Err(match &self.service.credential {
                    Credential::Provider { id, .. } => Error::ProviderSignInNeeded { provider: id.clone() },
                    // The user cannot help this by signing in.
                    Credential::Installation(_) => {
                        Error::BadGateway { reason: Reason::InstallationTokenRejectedByUpstream }
                    }
                });
            }
            // Not followed here, and never to another place: that could carry the token elsewhere (S98).
            status if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
                let address = answered.redirect(status, &response.headers);
                let address = address.ok_or(Error::BadGateway { reason: Reason::UpstreamRedirect })?;
                let mut redirect = Response::empty(status);
                redirect.set(header::LOCATION, &address);
                return Ok(redirect);
            }
            // No runtime sends it.
            status if !(200..600).contains(&status.as_u16()) => {
                return Err(Error::BadGateway { reason: Reason::UpstreamStatus });
            }
            _ => {}
        }
        // A runtime refuses an answer of these statuses if it has a body, even an empty one.
        let has_body =
            !matches!(response.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
        Ok(Response {
            status: response.status,
            headers: response_headers(response.status, &response.headers, &answered),
            body: if has_body { Body::Native(response.body) } else { Body::Empty },
        })
    }
}

/// Runs `work`, unless the client disconnects before it ends.
async fn unless_disconnected<T>(
    platform: &impl ClientDisconnect,
    work: impl Future<Output = T> + Unpin,
) -> Result<T, Error> {
    match select(platform.client_disconnected(), work).await {
        Either::Left(_) => Err(Error::ClientDisconnected),
        Either::Right((output, _)) => Ok(output),
    }
}
