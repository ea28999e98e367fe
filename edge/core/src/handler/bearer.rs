//! The access token of a session for an upstream: the one place where one leaves the session's record.

use http::{HeaderMap, HeaderValue, header};
use secrecy::ExposeSecret as _;

use super::Context;
use crate::{
    error::Error,
    platform::{Platform, Unavailable},
    proxy::service::Credential,
    session::store::Session,
};

/// What authorises a request to an upstream. It cannot be printed.
pub(super) struct Authorization(HeaderValue);

impl Authorization {
    fn bearer(token: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    /// Puts it on a request.
    pub(super) fn attach(&self, headers: &mut HeaderMap) {
        headers.insert(header::AUTHORIZATION, self.0.clone());
    }
}

/// What a service is called with on behalf of a session.
///
/// # Errors
/// [`Error::ProviderSignInNeeded`], or [`Error::Unavailable`] if nobody could tell.
pub(super) async fn authorize<P: Platform>(
    context: &Context<'_, P>,
    session: &Session,
    credential: &Credential,
    force: bool,
) -> Result<Authorization, Error> {
    match credential {
        Credential::Provider(id) => bearer(context, session, id, force).await,
        Credential::Installation(_) => Err(Unavailable::new("installation token", "is not minted here").into()),
    }
}

/// The session's token of exactly this provider. `force` asks for another one than the last: an upstream refused that.
///
/// # Errors
/// [`Error::ProviderSignInNeeded`] if there is none that could be believed in.
async fn bearer<P: Platform>(
    context: &Context<'_, P>,
    session: &Session,
    provider_id: &str,
    force: bool,
) -> Result<Authorization, Error> {
    let connection = context.refresher().connection(session, provider_id, force).await?;
    Authorization::bearer(connection.tokens.access_token.expose_secret())
        .ok_or_else(|| Error::ProviderSignInNeeded { provider: provider_id.to_owned() })
}
