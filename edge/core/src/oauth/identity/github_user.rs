//! The user of an access token, from GitHub's `GET /user`.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use crate::{
    error::Error,
    http::web::{Outgoing, USER_AGENT, without_slash},
    oauth::{
        fetch_json::{Expected, FetchError, fetch_json},
        github_rate::rate_limited_for_seconds,
    },
    runtime::{dependency::Dependency, platform::Platform, reason::Reason, unavailable::Unavailable},
};

const TIMEOUT: Duration = Duration::from_secs(10);
const EXPECTED: Expected = Expected {
    from: Dependency::GitHub,
    is_status: |status| *status == StatusCode::OK,
    max_bytes: 256 * 1024,
    malformed: "/user is not what it must be",
};

/// A GitHub user.
#[derive(Deserialize)]
pub(super) struct GitHubUser {
    /// The number that never changes. A login can be given up and taken by another person (M66).
    pub(super) id: u64,
    pub(super) login: String,
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
}

/// Fetches the user that an access token belongs to.
pub(super) async fn fetch_user(
    platform: &impl Platform,
    api: &Url,
    access_token: &SecretString,
) -> Result<GitHubUser, Error> {
    let url =
        Url::parse(&format!("{}/user", without_slash(api))).map_err(|e| Unavailable::new(Dependency::GitHub, e))?;
    let request = Outgoing::new(Method::GET, url, TIMEOUT)
        .with(header::ACCEPT, "application/vnd.github+json")
        .with(header::USER_AGENT, USER_AGENT)
        .with_bearer(access_token);
    fetch_json(platform, request, TIMEOUT, &EXPECTED).await.map_err(|error| match error {
        FetchError::Unavailable(error) => error.into(),
        FetchError::Status(status, headers) => error_of_status(status, &headers, platform.now_ms()),
    })
}

/// What an error response means: a rate limit, a rejected token or an outage.
fn error_of_status(status: StatusCode, headers: &HeaderMap, now_ms: u64) -> Error {
    let outage = |detail: &dyn std::fmt::Display| Unavailable::new(Dependency::GitHub, detail);
    match (rate_limited_for_seconds(status, headers, now_ms), status) {
        (Some(retry_after_seconds), _) => {
            Error::UpstreamRateLimited { unavailable: outage(&"limits the rate of requests"), retry_after_seconds }
        }
        (None, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            Error::SignInRefused { reason: Reason::GitHubTokenUnknown }
        }
        (None, status) => outage(&format_args!("/user answered {status}")).into(),
    }
}
