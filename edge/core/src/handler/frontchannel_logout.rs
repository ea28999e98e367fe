//! `GET /auth/{provider}/frontchannel-logout?iss=&sid=`: a provider ends a session by loading this address in a frame of its
//! own page (OpenID Connect Front-Channel Logout 1.0). Entra has no other way (M79).
//!
//! The session cookie is `SameSite=Strict` and not sent here, so the request has only the provider's session id. That id is
//! random and known to the provider, the user's browser and the edge. Anyone who learns it can sign that user out, and
//! nothing else. Entra sends no `iss`, whichever tenant the user belongs to, so the edge looks for the `sid` under every
//! allowed tenant. The answer is the same whether or not the `sid` is known.
//!
//! The request has no time either. So it ends every session of the `sid`, whenever it was signed in. A sign-in after a
//! logout at the provider has another `sid`, and is not concerned.
//!
//! A `sid` of a single issuer costs one lookup, and an unknown `sid` writes nothing. That much anyone may request, so that no
//! flood of requests shuts out a provider's own. A lookup under every tenant costs up to a hundred, so those are counted.

use causeway_protocol::hub::EndReason;
use futures_util::stream::{self, StreamExt as _};
use http::{StatusCode, header};

use super::context::{Context, provider};
use crate::{
    error::{self, Error},
    guard::rate,
    http::{
        query::Query,
        web::{Request, Response},
    },
    oauth::provider::{Kind, Provider},
    runtime::{
        event_name::EventName,
        platform::Platform,
        telemetry::{Event, Name},
    },
    session::index::IndexName,
};

/// Longest `sid` that is looked up, in bytes.
const MAX_SID_BYTES: usize = 255;
/// How many tenants are looked up at once. Their number is limited by the configuration.
const PARALLEL_LOOKUPS: usize = 6;

/// Ends the named session, if there is one. Answers 200 in any case.
pub(super) async fn receive<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
) -> Result<Response<P::Body>, Error> {
    let provider = provider(context)?;
    let framing_page = match &provider.kind {
        Kind::Entra { authority, .. } => authority,
        Kind::OpenId { address, .. } => address,
        Kind::GitHub { .. } => return Err(Error::NotFound),
    };
    let indexes = named_indexes(provider, &Query::parse(request.query.as_deref()));
    let allowed = match indexes.len() {
        0 | 1 => Ok(()),
        _ => rate::check_logout(context.platform, context.config, &provider.id, request.client_address).await,
    };
    let ended = match allowed {
        Ok(()) => end(context, provider, &indexes).await,
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        // Only logged: the provider does not try again, and the page that loads this must learn nothing.
        error::reject(context.platform, &error, Some(&request.method));
        Event::error(EventName::LogoutFrontchannelFailed)
            .with("provider", Name(&provider.id))
            .with("detail", &error)
            .write(context.platform);
    }
    let mut response = Response::empty(StatusCode::OK);
    let policy = format!("default-src 'none'; frame-ancestors {}", framing_page.origin().ascii_serialization());
    response.set(header::CONTENT_SECURITY_POLICY, &policy);
    Ok(response)
}

/// The indexes of the provider's session that the query names: under `iss`, or without it under each possible issuer.
fn named_indexes(provider: &Provider, query: &Query) -> Vec<IndexName> {
    let (Ok(Some(sid)), Ok(issuer)) = (query.one("sid"), query.one("iss")) else { return Vec::new() };
    if !(1..=MAX_SID_BYTES).contains(&sid.len()) {
        return Vec::new();
    }
    let mut issuers = provider.issuers();
    issuers.retain(|known| issuer.as_ref().is_none_or(|issuer| issuer == known));
    issuers.iter().map(|issuer| IndexName::provider_session(issuer, &sid)).collect()
}

/// Ends the sessions in all indexes. A failure of one index does not keep those of the others.
async fn end<P: Platform>(context: &Context<'_, P>, provider: &Provider, indexes: &[IndexName]) -> Result<(), Error> {
    let sessions = context.sessions();
    let ended: Vec<Result<usize, Error>> = stream::iter(indexes)
        .map(|index| async {
            // Nothing is written for an unknown `sid`, since anyone may send any number of them. So a sign-in that is
            // still in progress is not ended here, while a signed logout token does end it.
            let entries = sessions.list(index).await?;
            sessions.end_entries(index, &entries, EndReason::Revoked).await?;
            Ok(entries.len())
        })
        .buffer_unordered(PARALLEL_LOOKUPS)
        .collect()
        .await;
    let count: usize = ended.iter().filter_map(|ended| ended.as_ref().ok()).sum();
    if count > 0 {
        Event::info(EventName::LogoutFrontchannel)
            .with("provider", Name(&provider.id))
            .with("ended", count)
            .write(context.platform);
    }
    ended.into_iter().find_map(Result::err).map_or(Ok(()), Err)
}
