//! Endpoints and signing keys of a provider, fetched by OpenID Connect Discovery and cached for the isolate's life.

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

use http::{Method, header};
use jwt_compact::jwk::JsonWebKey;
use serde::Deserialize;
use url::Url;

use super::provider::{Kind, Provider, without_slash};
use crate::{
    platform::{Platform, ReadBody as _, Unavailable},
    web::Outgoing,
};

/// How long metadata and keys are believed.
const FRESH_MS: u64 = 60 * 60 * 1000;
/// How soon an unknown key id may cause another fetch of the keys (M43, S42).
const REFETCH_AFTER_MS: u64 = 60 * 1000;
/// Largest document taken, in bytes. Entra's key set is about 20 KB.
const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where a provider's endpoints lie.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// Where the browser goes.
    pub authorization: Url,
    /// Where codes become tokens.
    pub token: Url,
    /// Where the signing keys are; `None` for a provider without ID tokens.
    pub jwks: Option<Url>,
    /// Whether the provider promised to name itself in every callback (RFC 9207).
    pub names_itself: bool,
}

/// One signing key. `kid`, `use` and `issuer` stand beside what `jwt-compact` reads.
#[derive(Debug, Clone, Deserialize)]
pub struct SigningKey {
    /// Its id.
    pub kid: Option<String>,
    /// `sig` or nothing; encryption keys verify nothing.
    #[serde(rename = "use")]
    pub usage: Option<String>,
    /// The only algorithm it is for.
    pub alg: Option<String>,
    /// Entra ties some keys to one issuer (M73).
    pub issuer: Option<String>,
    /// The key itself.
    #[serde(flatten)]
    pub key: JsonWebKey<'static>,
}

/// What this isolate has fetched already.
#[derive(Debug, Default)]
pub struct DiscoveryCache {
    endpoints: RefCell<HashMap<&'static str, (u64, Endpoints)>>,
    keys: RefCell<HashMap<&'static str, CachedKeys>>,
}

#[derive(Debug, Clone)]
struct CachedKeys {
    fetched_at_ms: u64,
    /// When a token's unknown key id last caused a fetch.
    forced_at_ms: Option<u64>,
    keys: Rc<Vec<SigningKey>>,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

/// A provider's endpoints.
///
/// # Errors
/// [`Unavailable`] if the metadata cannot be fetched or contradicts the configuration: the sign-in does not start.
pub async fn endpoints(
    platform: &impl Platform,
    cache: &DiscoveryCache,
    provider: &Provider,
) -> Result<Endpoints, Unavailable> {
    let (tenant, authority) = match &provider.kind {
        Kind::GitHub { site, .. } => return github(site),
        Kind::Entra { tenant, authority } => (tenant, authority),
    };
    let now_ms = platform.now_ms();
    let cached = cache.endpoints.borrow().get(provider.id).cloned();
    if let Some((at_ms, endpoints)) = cached
        && now_ms.saturating_sub(at_ms) < FRESH_MS
    {
        return Ok(endpoints);
    }
    let url =
        parse(&format!("{}/{tenant}/v2.0/.well-known/openid-configuration", without_slash(authority)), authority)?;
    let metadata: Metadata = fetch(platform, url).await?;
    // A multi-tenant document holds the literal `{tenantid}` (M72).
    if metadata.issuer.replace("{tenantid}", tenant) != provider.issuer() {
        return Err(Unavailable::new("identity provider", "metadata names another issuer than configured"));
    }
    // Entra supports S256 without saying so; one that lists methods without it would downgrade us (S11).
    if metadata.code_challenge_methods_supported.is_some_and(|methods| !methods.iter().any(|method| method == "S256")) {
        return Err(Unavailable::new("identity provider", "does not support PKCE with S256"));
    }
    let endpoints = Endpoints {
        authorization: parse(&metadata.authorization_endpoint, authority)?,
        token: parse(&metadata.token_endpoint, authority)?,
        jwks: Some(parse(&metadata.jwks_uri, authority)?),
        names_itself: metadata.authorization_response_iss_parameter_supported,
    };
    cache.endpoints.borrow_mut().insert(provider.id, (now_ms, endpoints.clone()));
    Ok(endpoints)
}

/// The provider's signing keys. `missing` says that a token named a key which the last answer did not hold; that is
/// worth one more fetch, but not one for every forged token.
///
/// # Errors
/// [`Unavailable`] if they cannot be fetched.
pub async fn signing_keys(
    platform: &impl Platform,
    cache: &DiscoveryCache,
    provider: &Provider,
    url: &Url,
    missing: bool,
) -> Result<Rc<Vec<SigningKey>>, Unavailable> {
    let now_ms = platform.now_ms();
    let cached = cache.keys.borrow().get(provider.id).cloned();
    if let Some(cached) = &cached {
        let forced_lately = cached.forced_at_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) < REFETCH_AFTER_MS);
        if now_ms.saturating_sub(cached.fetched_at_ms) < FRESH_MS && (!missing || forced_lately) {
            return Ok(Rc::clone(&cached.keys));
        }
    }
    let set: KeySet = fetch(platform, url.clone()).await?;
    // A key of a type this build does not know must not hide the ones it does.
    let keys: Vec<SigningKey> = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect();
    let keys = Rc::new(keys);
    let forced_at_ms = if missing { Some(now_ms) } else { cached.and_then(|cached| cached.forced_at_ms) };
    let entry = CachedKeys { fetched_at_ms: now_ms, forced_at_ms, keys: Rc::clone(&keys) };
    cache.keys.borrow_mut().insert(provider.id, entry);
    Ok(keys)
}

fn github(site: &Url) -> Result<Endpoints, Unavailable> {
    let at = |path: &str| parse(&format!("{}{path}", without_slash(site)), site);
    Ok(Endpoints {
        authorization: at("/login/oauth/authorize")?,
        token: at("/login/oauth/access_token")?,
        jwks: None,
        names_itself: false,
    })
}

/// A provider's own words about where its endpoints lie are believed only if they are as safe as its configured address.
fn parse(text: &str, configured: &Url) -> Result<Url, Unavailable> {
    match Url::parse(text) {
        Ok(url)
            if url.scheme() == "https" || (url.scheme() == configured.scheme() && url.host() == configured.host()) =>
        {
            Ok(url)
        }
        _ => Err(Unavailable::new("identity provider", "metadata names an endpoint that is not https")),
    }
}

async fn fetch<T: for<'de> Deserialize<'de>>(platform: &impl Platform, url: Url) -> Result<T, Unavailable> {
    let request = Outgoing::new(Method::GET, url, TIMEOUT).with(header::ACCEPT, "application/json");
    let response = platform.send(request).await?;
    if !response.status.is_success() {
        return Err(Unavailable::new("identity provider", format_args!("metadata answered {}", response.status)));
    }
    let body = response.body.read(MAX_DOCUMENT_BYTES).await.map_err(|e| Unavailable::new("identity provider", e))?;
    serde_json::from_slice(&body).map_err(|e| Unavailable::new("identity provider", e))
}
