//! Tokens of GitHub App installations, shared by all users of a service: minted once, kept sealed in the key-value
//! store and in memory, minted anew before they end. One request of an isolate mints for all that wait.

use std::{fmt::Write as _, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::context::Context;
use crate::{
    error::Error,
    oauth::github_app::{App, InstallationError, InstallationToken},
    proxy::service::Installation,
    runtime::{
        clock::{millis, within},
        platform::Platform,
        single_flight::Joined,
        telemetry::Event,
        unavailable::Unavailable,
    },
    seal::{self, Binding, Purpose},
};

/// How long before its end a token is no longer used if there is another, in milliseconds: a call may take long, and clocks
/// differ.
const RENEWED_BEFORE_MS: u64 = 5 * 60 * 1000;
/// How long GitHub lets a token live, in milliseconds.
const LIFE_MS: u64 = 60 * 60 * 1000;
/// How soon after one is minted an upstream's refusal is believed to be about the token, in milliseconds.
const PAUSE_MS: u64 = 60 * 1000;
/// How long the store may take before a token is minted instead.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one request may have the leader: to look for a token, and to have one minted.
const LEADER_LIMIT: Duration = Duration::from_secs(25);

/// A token for an installation, for a call that may take so long. `force` asks for a new one: an upstream refused the last.
///
/// # Errors
/// [`Error::Unavailable`] if GitHub does not answer, [`Error::UpstreamRateLimited`] if it limits how often it is asked,
/// [`Error::BadGateway`] if it refuses: that is for an operator.
pub(super) async fn token<P: Platform>(
    context: &Context<'_, P>,
    installation: &Installation,
    call: Duration,
    force: bool,
) -> Result<SecretString, Error> {
    let Context { platform, config, memory, .. } = context;
    // The configuration is not loaded without one where a service needs it.
    let app = config.github_app.as_ref().ok_or(Error::Misconfigured)?;
    let key = key_of(app, installation);
    let memory = &memory.installations;
    // An old one outlasts the call, as long as there is no new one to be had.
    let old = |now_ms| memory.token(&key).filter(|token| !force && left_ms(token, now_ms) >= millis(call));
    let old_or = |error: InstallationError, now_ms| match error {
        InstallationError::Refused(_) => Err(error),
        InstallationError::Limited(_) | InstallationError::Unavailable(_) => old(now_ms).ok_or(error),
    };
    let look = |now_ms| match memory.token(&key).filter(|token| serves(token, force, now_ms)) {
        Some(token) => Some(Ok(token)),
        None if memory.single_flight.is_under_way(&key, now_ms) => old(now_ms).map(Ok),
        None => memory.failure(&key, now_ms).map(|error| old_or(error, now_ms)),
    };
    let _leader = match memory.single_flight.join(*platform, "GitHub", &key, LEADER_LIMIT, look).await? {
        Joined::Follower(found) => return found.map(|it| it.token).map_err(answer_of),
        Joined::Leader(leader) => leader,
    };
    if let Some(token) = kept(context, &key).await {
        let serves = serves(&token, force, platform.now_ms());
        if serves || memory.token(&key).is_none() {
            memory.remember(&key, token.clone());
        }
        if serves {
            return Ok(token.token);
        }
    }
    let Installation { id, permissions, repositories } = installation;
    let minted = match app.installation_token(*platform, *id, permissions, repositories).await {
        Ok(minted) => minted,
        Err(error) => {
            report(*platform, &error);
            memory.note(&key, platform.now_ms(), error.clone());
            return old_or(error, platform.now_ms()).map(|it| it.token).map_err(answer_of);
        }
    };
    memory.remember(&key, minted.clone());
    // A store that is down costs other isolates a token, not the call.
    if let Err(error) = keep(context, &key, &minted).await {
        Event::warn("installation.not-kept").with("detail", &error).write(*platform);
    }
    Ok(minted.token)
}

/// How long a token still lives, in milliseconds. As far as it goes, by the edge's own clock alone: GitHub's may be minutes
/// away from it.
fn left_ms(token: &InstallationToken, now_ms: u64) -> u64 {
    let ends_at_ms = match token.minted_at_ms {
        Some(minted_at_ms) => token.expires_at_ms.min(minted_at_ms.saturating_add(LIFE_MS)),
        None => token.expires_at_ms,
    };
    ends_at_ms.saturating_sub(now_ms)
}

/// Whether a token will do, so that no other is asked for.
fn serves(token: &InstallationToken, force: bool, now_ms: u64) -> bool {
    // An upstream that refuses everything must not have one minted for each of its refusals (S117). The isolate that had
    // it minted may have another clock.
    let is_new = token.minted_at_ms.is_some_and(|minted_at_ms| now_ms.abs_diff(minted_at_ms) < PAUSE_MS);
    left_ms(token, now_ms) > if is_new { 0 } else { RENEWED_BEFORE_MS } && (!force || is_new)
}

fn report(platform: &impl Platform, error: &InstallationError) {
    match error {
        InstallationError::Refused(status) => {
            Event::error("installation.refused").with("status", *status).write(platform);
        }
        InstallationError::Limited(seconds) => {
            Event::warn("installation.limited").with("seconds", *seconds).write(platform);
        }
        // Not every call is refused for it: an old token may serve it.
        InstallationError::Unavailable(unavailable) => {
            Event::warn("installation.unavailable").with("detail", unavailable).write(platform);
        }
    }
}

fn answer_of(error: InstallationError) -> Error {
    match error {
        InstallationError::Refused(_) => Error::BadGateway { reason: "GitHub refuses a token for the installation" },
        InstallationError::Limited(retry_after_seconds) => Error::UpstreamRateLimited {
            unavailable: Unavailable::new("GitHub", "limits how often it is asked for tokens"),
            retry_after_seconds,
        },
        InstallationError::Unavailable(unavailable) => unavailable.into(),
    }
}

/// Where a token rests: whose it is and what it may do are part of the name, so that no service finds another's, and none
/// finds one that another GitHub minted.
fn key_of(app: &App, installation: &Installation) -> String {
    let Installation { id, permissions, repositories } = installation;
    // As JSON no two of them are written alike.
    let text = json!([app.api.origin().ascii_serialization(), app.id, id, permissions, repositories]).to_string();
    Sha256::digest(text).iter().fold("installation:".to_owned(), |mut key, byte| {
        // Writing into a `String` cannot fail.
        let _ = write!(key, "{byte:02x}");
        key
    })
}

async fn kept<P: Platform>(context: &Context<'_, P>, key: &str) -> Option<InstallationToken> {
    let Context { platform, config, .. } = context;
    let sealed = within(*platform, STORE_TIMEOUT, "kv", platform.get(key)).await.ok()??;
    let plain = seal::open(&config.sessions.keys, binding(&[key.as_bytes()]), &sealed).ok()?;
    from_bytes(&plain)
}

async fn keep<P: Platform>(context: &Context<'_, P>, key: &str, token: &InstallationToken) -> Result<(), Unavailable> {
    let Context { platform, config, .. } = context;
    let plain = to_bytes(token);
    let sealed = seal::seal(&config.sessions.keys, *platform, binding(&[key.as_bytes()]), &plain)?;
    let ttl = Duration::from_millis(token.expires_at_ms.saturating_sub(platform.now_ms()));
    within(*platform, STORE_TIMEOUT, "kv", platform.put(key, &sealed, ttl)).await
}

fn to_bytes(token: &InstallationToken) -> Zeroizing<Vec<u8>> {
    let mut plain = Zeroizing::new(token.expires_at_ms.to_be_bytes().to_vec());
    plain.extend(token.minted_at_ms.iter().flat_map(|at_ms| at_ms.to_be_bytes()));
    plain.extend_from_slice(token.token.expose_secret().as_bytes());
    plain
}

fn from_bytes(plain: &[u8]) -> Option<InstallationToken> {
    let (expires_at_ms, rest) = plain.split_first_chunk()?;
    // No token begins with a zero, and every time does: before the time was noted, the token stood in its place.
    let (minted_at_ms, token) = match rest.split_first_chunk::<8>() {
        Some((minted_at_ms @ [0, ..], token)) => (Some(u64::from_be_bytes(*minted_at_ms)), token),
        _ => (None, rest),
    };
    Some(InstallationToken {
        token: std::str::from_utf8(token).ok()?.to_owned().into(),
        expires_at_ms: u64::from_be_bytes(*expires_at_ms),
        minted_at_ms,
    })
}

/// No session's secret: the token is the service's, and every session of it uses the same.
fn binding<'a>(context: &'a [&'a [u8]]) -> Binding<'a> {
    Binding { purpose: Purpose::InstallationToken, context, secret: b"" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;

    fn minted(minted_at_ms: Option<u64>) -> InstallationToken {
        InstallationToken { token: "ghs_1".to_owned().into(), expires_at_ms: NOW_MS + LIFE_MS, minted_at_ms }
    }

    #[test]
    fn a_token_is_stored_with_when_it_was_minted() {
        let found = from_bytes(&to_bytes(&minted(Some(NOW_MS)))).unwrap();
        assert_eq!((found.token.expose_secret(), found.expires_at_ms), ("ghs_1", NOW_MS + LIFE_MS));
        assert_eq!(found.minted_at_ms, Some(NOW_MS));
        assert!(from_bytes(b"short").is_none());
    }

    #[test]
    fn s117_a_token_stored_without_it_serves_and_is_not_taken_for_a_new_one() {
        for token in ["ghs_1", "ghs_long_enough_for_a_time"] {
            let old = [&(NOW_MS + LIFE_MS).to_be_bytes()[..], token.as_bytes()].concat();
            let found = from_bytes(&old).unwrap();
            assert_eq!((found.token.expose_secret(), found.minted_at_ms), (token, None));
            assert!(serves(&found, false, NOW_MS) && !serves(&found, true, NOW_MS));
        }
    }

    #[test]
    fn s117_a_token_is_new_for_a_minute_to_isolates_whose_clocks_differ_by_less() {
        let token = minted(Some(NOW_MS));
        for (now_ms, is_new) in [
            (NOW_MS - PAUSE_MS, false),
            (NOW_MS - 1000, true),
            (NOW_MS + PAUSE_MS - 1, true),
            (NOW_MS + PAUSE_MS, false),
        ] {
            assert_eq!(serves(&token, true, now_ms), is_new, "{now_ms}");
        }
    }
}
