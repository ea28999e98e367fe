//! More of a user than the ID token says, for show. What it says counts only if it is about the same user (M41).

use std::time::Duration;

use http::{Method, header};
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::{
    claim,
    dpop::{self, DpopKey},
    token_endpoint::Client,
};
use crate::{
    error::Error,
    http::{body::ReadBody as _, web::Outgoing},
    runtime::{
        clock::within,
        platform::Platform,
        telemetry::{Event, Name},
        unavailable::Unavailable,
    },
};

const MAX_BYTES: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(5);

/// What is read of it. For show; never an identity (nOAuth, S58).
#[derive(Debug, Clone, Deserialize)]
pub struct UserInfo {
    sub: String,
    /// Full name.
    #[serde(default, deserialize_with = "claim::for_show")]
    pub name: Option<String>,
    /// Login name.
    #[serde(default, deserialize_with = "claim::for_show")]
    pub preferred_username: Option<String>,
    /// E-mail address.
    #[serde(default, deserialize_with = "claim::for_show")]
    pub email: Option<String>,
}

/// Asks for it. `None` if it cannot be had: a sign-in does not fail for want of a name.
///
/// # Errors
/// [`Error::SignInRefused`] if it is about another user than the ID token (S54).
pub async fn userinfo<P: Platform>(
    client: &Client<'_, P>,
    url: &Url,
    access_token: &SecretString,
    dpop: Option<&DpopKey>,
    sub: &str,
) -> Result<Option<UserInfo>, Error> {
    let asked = ask(client, url, access_token, dpop);
    let answer = match within(client.platform, TIMEOUT, "userinfo", asked).await {
        Ok(answer) => answer,
        Err(error) => {
            let provider = Name(&client.provider.id);
            Event::warn("login.userinfo").with("provider", provider).with("detail", &error).write(client.platform);
            return Ok(None);
        }
    };
    if answer.sub == sub { Ok(Some(answer)) } else { Err(Error::SignInRefused { reason: "userinfo of another user" }) }
}

async fn ask<P: Platform>(
    client: &Client<'_, P>,
    url: &Url,
    access_token: &SecretString,
    dpop: Option<&DpopKey>,
) -> Result<UserInfo, Unavailable> {
    let Client { platform, cache, .. } = client;
    let mut retried = false;
    let response = loop {
        let mut request = Outgoing::new(Method::GET, url.clone(), TIMEOUT).with(header::ACCEPT, "application/json");
        let authorize = dpop::authorize(*platform, &cache.nonces, &Method::GET, url, access_token, dpop)?;
        request.headers.extend(authorize);
        let response = platform.send(request).await?;
        cache.nonces.harvest(url, &response.headers);
        if retried || dpop.is_none() || !dpop::wants_nonce(response.status, &response.headers) {
            break response;
        }
        retried = true;
    };
    if !response.status.is_success() {
        return Err(Unavailable::new("userinfo", response.status));
    }
    let body = response.body.read(MAX_BYTES).await.map_err(|e| Unavailable::new("userinfo", e))?;
    // The error would quote the body.
    serde_json::from_slice(&body).map_err(|_| Unavailable::new("userinfo", "not understood"))
}
