//! Where a provider's endpoints lie, from its metadata (OpenID Connect Discovery, RFC 8414), believed with bounded
//! staleness. Metadata that contradicts the configuration or is less safe than it closes the sign-in.

use std::time::Duration;

use http::Method;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    document::{Document, PART},
    provider::{Kind, Provider, TENANT_PLACEHOLDER, Tenants},
};
use crate::{
    http::{
        address::{NetworkScope, network_scope},
        web::{Outgoing, without_slash},
    },
    runtime::{platform::Platform, unavailable::Unavailable},
};

/// How long metadata is believed without asking again.
const FRESH_MS: u64 = 60 * 60 * 1000;
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

#[derive(Serialize, Deserialize)]
pub(super) struct Metadata {
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
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    dpop_signing_alg_values_supported: Option<Vec<String>>,
}

impl Document for Metadata {
    const KIND: &'static str = "metadata";
    const FRESH_MS: u64 = FRESH_MS;
    /// Endpoints move rarely, outages come often.
    const USABLE_MS: u64 = 24 * FRESH_MS;
    type Meaning = Endpoints;

    fn meaning(&self, provider: &Provider) -> Result<Endpoints, Unavailable> {
        match &provider.kind {
            Kind::GitHub { site, .. } => github(site),
            Kind::Entra { authority: configured, .. } | Kind::OpenId { address: configured, .. } => {
                checked(provider, self, configured)
            }
        }
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
        true => Err(Unavailable::new(PART, format_args!("answers {}", response.status))),
        false => Ok(()),
    }
}

pub(super) fn metadata_url(provider: &Provider) -> Option<Result<Url, Unavailable>> {
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
    let contradiction = |detail: &str| Unavailable::new(PART, format_args!("metadata {detail}"));
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
    let signs_with = |algorithm| lists(&metadata.id_token_signing_alg_values_supported, algorithm) != Some(false);
    if !signs_with("RS256") && !signs_with("ES256") {
        return Err(contradiction("offers ID tokens signed with neither RS256 nor ES256"));
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

pub(super) fn github(site: &Url) -> Result<Endpoints, Unavailable> {
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
    let unsafe_endpoint = || Unavailable::new(PART, "metadata names an endpoint that is not https at a public host");
    let url = Url::parse(text).map_err(|_| unsafe_endpoint())?;
    let as_configured = url.scheme() == configured.scheme() && url.host() == configured.host();
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if plain && (as_configured || (url.scheme() == "https" && network_scope(&url) == NetworkScope::Public)) {
        Ok(url)
    } else {
        Err(unsafe_endpoint())
    }
}

#[cfg(test)]
mod tests;
