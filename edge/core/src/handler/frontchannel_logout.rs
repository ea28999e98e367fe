//! `GET /auth/{provider}/frontchannel-logout?iss=&sid=`: a provider ends a session by loading this address in a frame of
//! its own page (OpenID Connect Front-Channel Logout 1.0); the only way Entra has (M79).
//!
//! The session cookie is `SameSite=Strict` and does not come along, so the provider's session id is all there is. It is
//! random and known to the provider, the browser's user and us; who learns it can sign that user out and nothing else.
//! Entra sends no `iss`, whoever's tenant the user is of: then the `sid` is looked for under every tenant that is allowed.
//! The answer is the same whatever is known of it.
//!
//! A `sid` that can be of one issuer only costs one look, and nothing is written for one that nobody knows: that much
//! anybody may ask, so that no flood keeps a provider's own words out. A look under every tenant costs up to a hundred, so
//! those are counted.

use causeway_protocol::hub::EndReason;
use futures_util::stream::{self, StreamExt as _};
use http::{StatusCode, header};

use super::{context::Context, query::Query, rate};
use crate::{
    error::{self, Error},
    http::web::{Request, Response},
    oauth::provider::{Kind, Provider},
    runtime::{
        platform::Platform,
        telemetry::{Event, Name},
    },
    session::index::IndexName,
};

/// Longest `sid` looked at, in bytes.
const MAX_SID_BYTES: usize = 255;
/// How many tenants are asked about at once; there are no more than the configuration may list.
const PARALLEL: usize = 6;

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
    let indexes = named(provider, &query);
    let allowed = match indexes.len() {
        0 | 1 => Ok(()),
        _ => rate::allow_logout(context, &provider.id, request.client_address).await,
    };
    let ended = match allowed {
        Ok(()) => end(context, provider, &indexes).await,
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        // The provider does not ask again, and whoever loads this learns nothing.
        error::reject(context.platform, &error, Some(&request.method));
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

/// The indexes of the provider's session that the query names: of `iss`, or of each issuer that may be meant without it.
fn named(provider: &Provider, query: &Query) -> Vec<IndexName> {
    let (Ok(Some(sid)), Ok(issuer)) = (query.one("sid"), query.one("iss")) else { return Vec::new() };
    if !(1..=MAX_SID_BYTES).contains(&sid.len()) {
        return Vec::new();
    }
    let mut issuers = provider.issuers();
    issuers.retain(|known| issuer.as_ref().is_none_or(|issuer| issuer == known));
    issuers.iter().map(|issuer| IndexName::provider_session(issuer, &sid)).collect()
}

/// Ends what is in any of the indexes. One that does not answer keeps nothing of the others alive.
async fn end<P: Platform>(context: &Context<'_, P>, provider: &Provider, indexes: &[IndexName]) -> Result<(), Error> {
    let sessions = context.sessions();
    let ended: Vec<Result<usize, Error>> = stream::iter(indexes)
        .map(|index| async {
            // Nothing is written for a session that nobody knows: anyone may ask for any number of them. So, other than
            // by a signed token, a sign-in that is not complete yet is not ended.
            let entries = sessions.list(index).await?;
            sessions.end_entries(index, &entries, EndReason::Revoked).await?;
            Ok(entries.len())
        })
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    let count: usize = ended.iter().filter_map(|ended| ended.as_ref().ok()).sum();
    if count > 0 {
        Event::info("logout.frontchannel")
            .with("provider", Name(&provider.id))
            .with("ended", count)
            .write(context.platform);
    }
    ended.into_iter().find_map(Result::err).map_or(Ok(()), Err)
}
