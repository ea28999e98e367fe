//! `GET /auth/{provider}/frontchannel-logout?iss=&sid=`: a provider ends a session by loading this address in a frame of
//! its own page (OpenID Connect Front-Channel Logout 1.0); the only way Entra has (M79).
//!
//! The session cookie is `SameSite=Strict` and does not come along, so the provider's session id is all there is. It is
//! random and known to the provider, the browser's user and us; who learns it can sign that user out and nothing else.
//! The answer is the same whatever is known of it.

use causeway_protocol::hub::EndReason;
use http::{StatusCode, header};

use super::{Context, query::Query, rate};
use crate::{
    error::Error,
    oauth::provider::{Kind, Provider, TENANT_PLACEHOLDER},
    platform::Platform,
    session::index::IndexName,
    telemetry::{Event, Name},
    web::{Request, Response},
};

/// Longest `sid` looked at, in bytes.
const MAX_SID_BYTES: usize = 255;

/// Ends the session that is named, if there is one; 200 in any case.
pub(super) async fn receive<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let provider = context.config.provider(context.parameter(0)).ok_or(Error::NotFound)?;
    let frame = match &provider.kind {
        Kind::Entra { authority, .. } => authority,
        Kind::OpenId { address, .. } => address,
        Kind::GitHub { .. } => return Err(Error::NotFound),
    };
    let query = Query::parse(request.query.as_deref());
    if let Some(index) = named(provider, &query)
        && rate::allow_logout(context, &provider.id, request).await.is_ok()
        && let Err(error) = end(context, &index).await
    {
        // The provider does not ask again, and whoever loads this learns nothing.
        Event::error("logout.frontchannel-failed")
            .with("provider", Name(&provider.id))
            .with("detail", &error)
            .write(context.platform);
    }
    let mut response = Response::empty(StatusCode::OK);
    let policy = format!("default-src 'none'; frame-ancestors {}", frame.origin().ascii_serialization());
    response.set(header::CONTENT_SECURITY_POLICY, &policy);
    Ok(response)
}

/// The index of the provider's session that the query names. A provider of one issuer may leave `iss` out.
fn named(provider: &Provider, query: &Query) -> Option<IndexName> {
    let sid = query.one("sid").ok()??;
    let issuer = match query.one("iss").ok()? {
        Some(issuer) => Some(issuer).filter(|issuer| provider.is_issuer(issuer)),
        None => Some(provider.issuer()).filter(|issuer| !issuer.contains(TENANT_PLACEHOLDER)),
    }?;
    (1..=MAX_SID_BYTES).contains(&sid.len()).then(|| IndexName::provider_session(&issuer, &sid))
}

async fn end<P: Platform>(context: &Context<'_, P>, index: &IndexName) -> Result<(), Error> {
    let sessions = context.sessions();
    // Nothing is written for a session that nobody knows: anyone may ask for any number of them. So, other than by a
    // signed token, a sign-in that is not complete yet is not ended.
    let entries = sessions.list(index).await?;
    if entries.is_empty() {
        return Ok(());
    }
    sessions.end_entries(index, &entries, EndReason::Revoked).await?;
    Event::info("logout.frontchannel").with("ended", entries.len()).write(context.platform);
    Ok(())
}
