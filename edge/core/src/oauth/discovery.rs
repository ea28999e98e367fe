//! Where a provider's endpoints lie, from its metadata (OpenID Connect Discovery, RFC 8414), cached for the isolate's
//! life with bounded staleness. Metadata that contradicts the configuration or is less safe than it closes the sign-in.

use std::{cell::RefCell, collections::HashMap, time::Duration};

use http::{Method, header};
use serde::Deserialize;
use url::Url;

use super::{
    dpop::Nonces,
    provider::{Kind, Provider, TENANT_PLACEHOLDER, Tenants, without_slash},
    signing_key::KeyCache,
};
use crate::{
    address::{Place, place},
    platform::{Platform, ReadBody as _, Unavailable, within},
    web::Outgoing,
};

/// How long metadata is believed.
const FRESH_MS: u64 = 60 * 60 * 1000;
/// How long it is used while the provider does not answer for newer: endpoints move rarely, outages come often.
const STALE_MS: u64 = 24 * FRESH_MS;
/// How soon after a failure it is asked for again.
const RETRY_AFTER_MS: u64 = 30 * 1000;
/// Largest document taken, in bytes. Entra's key set is about 20 KB.
const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where a provider's endpoints lie and what they can do.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// Where the browser goes.
    pub authorization: Url,
    /// Where codes become tokens.
    pub token: Url,
    /// Where the signing keys are; `None` for a provider without ID tokens.
    pub jwks: Option<Url>,
    /// Where more is said of a user.
    pub userinfo: Option<Url>,
    /// Where tokens are revoked (RFC 7009).
    pub revocation: Option<Url>,
    /// Where the browser goes to end the provider's own session.
    pub end_session: Option<Url>,
    /// Where authorization requests are pushed (RFC 9126).
    pub pushed_authorization: Option<Url>,
    /// Whether the provider takes no others.
    pub pushed_authorization_required: bool,
    /// Whether the provider promised to name itself in every callback (RFC 9207).
    pub names_itself: bool,
    /// Whether the provider sends logout tokens.
    pub backchannel_logout: bool,
}

/// What this isolate has fetched already.
#[derive(Debug, Default)]
pub struct DiscoveryCache {
    endpoints: RefCell<HashMap<String, CachedEndpoints>>,
    pub(super) keys: KeyCache,
    /// Nonces that providers and their APIs want in proofs (RFC 9449).
    pub nonces: Nonces,
}

#[derive(Debug, Clone)]
struct CachedEndpoints {
    fetched_at_ms: u64,
    /// When a fetch last failed.
    failed_at_ms: Option<u64>,
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    pushed_authorization_request_endpoint: Option<String>,
    #[serde(default)]
    require_pushed_authorization_requests: bool,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    backchannel_logout_supported: bool,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    dpop_signing_alg_values_supported: Option<Vec<String>>,
}

/// A provider's endpoints.
///
/// # Errors
/// [`Unavailable`] if the metadata cannot be had or contradicts the configuration: the sign-in does not start.
pub async fn endpoints(
    platform: &impl Platform,
    cache: &DiscoveryCache,
    provider: &Provider,
) -> Result<Endpoints, Unavailable> {
    let configured = match &provider.kind {
        Kind::GitHub { site, .. } => return github(site),
        Kind::Entra { authority: configured, .. } | Kind::OpenId { address: configured, .. } => configured,
    };
    let now_ms = platform.now_ms();
    let cached = cache.endpoints.borrow().get(&provider.id).cloned();
    if let Some(cached) = &cached {
        let age_ms = now_ms.saturating_sub(cached.fetched_at_ms);
        let failed_lately = cached.failed_at_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) < RETRY_AFTER_MS);
        if age_ms < FRESH_MS || (age_ms < STALE_MS && failed_lately) {
            return Ok(cached.endpoints.clone());
        }
    }
    let url = metadata_url(provider).ok_or_else(|| Unavailable::new("identity provider", "has no metadata"))??;
    match fetch::<Metadata>(platform, url).await {
        Ok(metadata) => {
            let endpoints = checked(provider, &metadata, configured)?;
            let entry = CachedEndpoints { fetched_at_ms: now_ms, failed_at_ms: None, endpoints: endpoints.clone() };
            cache.endpoints.borrow_mut().insert(provider.id.clone(), entry);
            Ok(endpoints)
        }
        Err(error) => match cached {
            Some(cached) if now_ms.saturating_sub(cached.fetched_at_ms) < STALE_MS => {
                let entry = CachedEndpoints { failed_at_ms: Some(now_ms), ..cached.clone() };
                cache.endpoints.borrow_mut().insert(provider.id.clone(), entry);
                Ok(cached.endpoints)
            }
            _ => Err(error),
        },
    }
}

/// Whether the provider answers at all, asked for something that may be asked any number of times. GitHub has nothing of
/// the kind and passes.
///
/// # Errors
/// [`Unavailable`] if it does not.
pub async fn reach(platform: &impl Platform, provider: &Provider) -> Result<(), Unavailable> {
    let Some(url) = metadata_url(provider) else { return Ok(()) };
    let response = platform.send(Outgoing::new(Method::GET, url?, TIMEOUT)).await?;
    match response.status.is_server_error() {
        true => Err(Unavailable::new("identity provider", format_args!("answers {}", response.status))),
        false => Ok(()),
    }
}

fn metadata_url(provider: &Provider) -> Option<Result<Url, Unavailable>> {
    let (address, configured) = match &provider.kind {
        Kind::GitHub { .. } => return None,
        Kind::Entra { tenants, authority, .. } => {
            (format!("{}/{}/v2.0", without_slash(authority), tenants.segment()), authority)
        }
        Kind::OpenId { address, .. } => (without_slash(address).to_owned(), address),
    };
    Some(parse(&format!("{address}/.well-known/openid-configuration"), configured))
}

fn checked(provider: &Provider, metadata: &Metadata, configured: &Url) -> Result<Endpoints, Unavailable> {
    let contradiction = |detail: &str| Unavailable::new("identity provider", format_args!("metadata {detail}"));
    let names_issuer = match &provider.kind {
        // A document for several tenants holds the literal placeholder (M72); some of a single one do, too.
        Kind::Entra { tenants: Tenants::Single(tenant), .. } => {
            metadata.issuer.replace(TENANT_PLACEHOLDER, tenant) == provider.issuer()
        }
        _ => metadata.issuer == provider.issuer(),
    };
    if !names_issuer {
        return Err(contradiction("names another issuer than configured"));
    }
    let lists =
        |list: &Option<Vec<String>>, wanted: &str| list.as_ref().map(|list| list.iter().any(|found| found == wanted));
    // Entra supports S256 without saying so. Who lists methods without it would downgrade us (S11).
    let silent_is_fine = matches!(provider.kind, Kind::Entra { .. });
    if !lists(&metadata.code_challenge_methods_supported, "S256").unwrap_or(silent_is_fine) {
        return Err(contradiction("does not offer PKCE with S256"));
    }
    if lists(&metadata.token_endpoint_auth_methods_supported, provider.client_auth.method()) == Some(false) {
        return Err(contradiction("does not offer the configured client authentication"));
    }
    if provider.dpop && lists(&metadata.dpop_signing_alg_values_supported, "ES256") == Some(false) {
        return Err(contradiction("does not offer DPoP with ES256"));
    }
    let required = |text: &str| parse(text, configured);
    let optional = |text: &Option<String>| text.as_deref().map(required).transpose();
    let pushed_authorization = optional(&metadata.pushed_authorization_request_endpoint)?;
    if metadata.require_pushed_authorization_requests && pushed_authorization.is_none() {
        return Err(contradiction("requires pushed authorization requests and does not say where"));
    }
    Ok(Endpoints {
        authorization: required(&metadata.authorization_endpoint)?,
        token: required(&metadata.token_endpoint)?,
        jwks: Some(required(&metadata.jwks_uri)?),
        userinfo: optional(&metadata.userinfo_endpoint)?,
        revocation: optional(&metadata.revocation_endpoint)?,
        end_session: optional(&metadata.end_session_endpoint)?,
        pushed_authorization,
        pushed_authorization_required: metadata.require_pushed_authorization_requests,
        names_itself: metadata.authorization_response_iss_parameter_supported,
        backchannel_logout: metadata.backchannel_logout_supported,
    })
}

fn github(site: &Url) -> Result<Endpoints, Unavailable> {
    let at = |path: &str| parse(&format!("{}{path}", without_slash(site)), site);
    Ok(Endpoints {
        authorization: at("/login/oauth/authorize")?,
        token: at("/login/oauth/access_token")?,
        jwks: None,
        userinfo: None,
        revocation: None,
        end_session: None,
        pushed_authorization: None,
        pushed_authorization_required: false,
        names_itself: false,
        backchannel_logout: false,
    })
}

/// A provider's own words about where its endpoints lie are believed only if they are as safe as its configured
/// address: on that very host, or by https at a public one (S53).
fn parse(text: &str, configured: &Url) -> Result<Url, Unavailable> {
    let unsafe_endpoint =
        || Unavailable::new("identity provider", "metadata names an endpoint that is not https at a public host");
    let url = Url::parse(text).map_err(|_| unsafe_endpoint())?;
    let as_configured = url.scheme() == configured.scheme() && url.host() == configured.host();
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if plain && (as_configured || (url.scheme() == "https" && place(&url) == Place::Public)) {
        Ok(url)
    } else {
        Err(unsafe_endpoint())
    }
}

/// Fetches a JSON document.
pub(super) async fn fetch<T: for<'de> Deserialize<'de>>(platform: &impl Platform, url: Url) -> Result<T, Unavailable> {
    let request = Outgoing::new(Method::GET, url, TIMEOUT).with(header::ACCEPT, "application/json");
    let work = async {
        let response = platform.send(request).await?;
        if !response.status.is_success() {
            return Err(Unavailable::new("identity provider", format_args!("metadata answered {}", response.status)));
        }
        response.body.read(MAX_DOCUMENT_BYTES).await.map_err(|e| Unavailable::new("identity provider", e))
    };
    // As a whole: a body that drips would hold up everybody who waits for it.
    let body = within(platform, TIMEOUT, "identity provider", work).await?;
    // The error would quote what was answered.
    serde_json::from_slice(&body).map_err(|_| Unavailable::new("identity provider", "metadata is not what it must be"))
}

#[cfg(test)]
#[path = "discovery_tests.rs"]
mod tests;
