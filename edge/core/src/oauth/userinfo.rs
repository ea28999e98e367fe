//! The user's names and e-mail address, if the ID token lacks them. Userinfo counts only if it is about the same user
//! (M41).

use std::time::Duration;

use http::{Method, StatusCode, header};
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::{
    claim,
    dpop::{self, DpopKey},
    fetch_json::{Expected, FetchError, read_json},
    token_endpoint::Client,
};
use crate::{
    error::Error,
    http::web::Outgoing,
    runtime::{
        clock::within,
        dependency::Dependency,
        event_name::EventName,
        platform::Platform,
        reason::Reason,
        telemetry::{Event, Name},
        unavailable::Unavailable,
    },
};

const TIMEOUT: Duration = Duration::from_secs(5);
const EXPECTED: Expected = Expected {
    from: Dependency::Userinfo,
    is_status: StatusCode::is_success,
    max_bytes: 64 * 1024,
    malformed: "not understood",
};

/// Claims from the userinfo endpoint. They are only displayed and never identify a user (nOAuth, S58).
#[derive(Debug, Clone, Deserialize)]
pub struct UserInfo {
    sub: String,
    /// Full name.
    #[serde(default, deserialize_with = "claim::display_only")]
    pub name: Option<String>,
    /// Login name.
    #[serde(default, deserialize_with = "claim::display_only")]
    pub preferred_username: Option<String>,
    /// E-mail address.
    #[serde(default, deserialize_with = "claim::display_only")]
    pub email: Option<String>,
}

/// Fetches the claims. Returns `None` if that fails: a sign-in does not fail because of a missing name.
///
/// # Errors
/// [`Error::SignInRefused`] if they are about another user than the ID token (S54).
pub async fn userinfo<P: Platform>(
    client: &Client<'_, P>,
    url: &Url,
    access_token: &SecretString,
    dpop: Option<&DpopKey>,
    sub: &str,
) -> Result<Option<UserInfo>, Error> {
    let fetched = fetch(client, url, access_token, dpop);
    let answer = match within(client.platform, TIMEOUT, Dependency::Userinfo, fetched).await {
        Ok(answer) => answer,
        Err(error) => {
            let provider = Name(&client.provider.id);
            Event::warn(EventName::LoginUserinfo)
                .with("provider", provider)
                .with("detail", &error)
                .write(client.platform);
            return Ok(None);
        }
    };
    if answer.sub == sub {
        Ok(Some(answer))
    } else {
        Err(Error::SignInRefused { reason: Reason::UserinfoSubjectMismatch })
    }
}

async fn fetch<P: Platform>(
    client: &Client<'_, P>,
    url: &Url,
    access_token: &SecretString,
    dpop: Option<&DpopKey>,
) -> Result<UserInfo, Unavailable> {
    let Client { platform, cache, .. } = client;
    let mut retried = false;
    let answer = loop {
        let mut request = Outgoing::new(Method::GET, url.clone(), TIMEOUT).with(header::ACCEPT, "application/json");
        let authorize = dpop::authorize(*platform, &cache.nonces, &Method::GET, url, access_token, dpop)?;
        request.headers.extend(authorize);
        let response = platform.send(request).await?;
        cache.nonces.store(url, &response.headers);
        if retried || dpop.is_none() || !dpop::wants_nonce(response.status, &response.headers) {
            break response;
        }
        retried = true;
    };
    read_json(answer, &EXPECTED).await.map_err(|error| match error {
        FetchError::Status(status, _) => Unavailable::new(Dependency::Userinfo, status),
        FetchError::Unavailable(error) => error,
    })
}
