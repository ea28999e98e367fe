//! The access token of a session for an upstream: the one place where one leaves the session's record.

use secrecy::SecretString;

use super::{context::Context, installation};
use crate::{
    error::Error,
    http::web::{Incoming, Outgoing},
    oauth::{
        dpop::{self, DpopKey},
        restriction::Restriction,
    },
    proxy::service::{Credential, Service},
    runtime::{platform::Platform, unavailable::Unavailable},
    session::store::Session,
};

/// What authorises requests to an upstream. It cannot be printed.
pub(super) struct Authorization {
    token: SecretString,
    /// The key the token is bound to (RFC 9449).
    key: Option<DpopKey>,
}

impl Authorization {
    /// Puts it on a request, with a proof that is good for this request only.
    ///
    /// # Errors
    /// [`Unavailable`] without randomness, or if no header can hold the token.
    pub(super) fn attach<P: Platform>(
        &self,
        context: &Context<'_, P>,
        outgoing: &mut Outgoing<P::Body>,
    ) -> Result<(), Unavailable> {
        let Outgoing { method, url, headers, .. } = outgoing;
        let nonces = &context.memory.discovery.nonces;
        let more = dpop::authorize(context.platform, nonces, method, url, &self.token, self.key.as_ref())?;
        // Never beside another of the same name.
        for (name, value) in &more {
            headers.insert(name, value.clone());
        }
        Ok(())
    }

    /// Remembers the nonce that an upstream wants in the next proof: any answer may bring one (RFC 9449 §9).
    pub(super) fn learn_nonce<P: Platform>(
        &self,
        context: &Context<'_, P>,
        url: &url::Url,
        response: &Incoming<P::Body>,
    ) {
        if self.key.is_some() {
            context.memory.discovery.nonces.harvest(url, &response.headers);
        }
    }

    /// Whether the upstream wants nothing but a proof with its nonce.
    pub(super) fn lacks_nonce<B>(&self, response: &Incoming<B>) -> bool {
        self.key.is_some() && dpop::wants_nonce(response.status, &response.headers)
    }
}

/// What a service is called with on behalf of a session.
///
/// # Errors
/// [`Error::ProviderSignInNeeded`], or [`Error::Unavailable`] if nobody could tell.
pub(super) async fn authorize<P: Platform>(
    context: &Context<'_, P>,
    session: &Session,
    service: &Service,
    force: bool,
) -> Result<Authorization, Error> {
    match &service.credential {
        Credential::Provider { id, restriction } => bearer(context, session, id, restriction.as_ref(), force).await,
        Credential::Installation(installation) => {
            let token = installation::token(context, installation, service.timeout, force).await?;
            Ok(Authorization { token, key: None })
        }
    }
}

/// The same after an upstream refused what it was called with. If nothing renews that and the provider itself refused it, it
/// is sent no more.
///
/// # Errors
/// As [`authorize`].
pub(super) async fn authorize_anew<P: Platform>(
    context: &Context<'_, P>,
    session: &Session,
    service: &Service,
    refused: &Authorization,
) -> Result<Authorization, Error> {
    let renewed = authorize(context, session, service, true).await;
    if let Err(Error::ProviderSignInNeeded { provider: id }) = &renewed
        && context.config.provider(id).is_some_and(|provider| provider.answers_at(&service.base))
    {
        // What cannot be noted now the next refusal notes.
        let _ = context.refresher().note_dead(session, id, &refused.token).await;
    }
    renewed
}

/// The session's token of exactly this provider, restricted exactly so. `force` asks for another one than the last: an upstream refused that.
///
/// # Errors
/// [`Error::ProviderSignInNeeded`] if there is none that could be believed in.
async fn bearer<P: Platform>(
    context: &Context<'_, P>,
    session: &Session,
    provider_id: &str,
    restriction: Option<&Restriction>,
    force: bool,
) -> Result<Authorization, Error> {
    let unusable = || Error::ProviderSignInNeeded { provider: provider_id.to_owned() };
    let account = context.refresher().account(session, provider_id, restriction, force).await?;
    // A bound token without its key is of no use, and nobody's bearer token.
    let key = match &account.dpop_key {
        None => None,
        Some(jwk) => Some(DpopKey::from_jwk(jwk).ok_or_else(unusable)?),
    };
    let access = account.access(restriction.map(Restriction::key).as_deref()).ok_or_else(unusable)?;
    Ok(Authorization { token: access.token.clone(), key })
}
