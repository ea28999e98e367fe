//! How often a caller may do something. Without a counter everybody passes: it is a courtesy, not a lock.

use std::time::Duration;

use super::Context;
use crate::{
    error::Error,
    platform::{Platform, Rate, within},
    telemetry::Event,
    web::Request,
};

/// What providers may say by themselves, each from one address. One that signs out all its users at once says a lot.
pub(crate) const LOGOUT_RATE: Rate = Rate { name: "LOGOUT_RATE", limit: 600, period_seconds: 60 };
const TIMEOUT: Duration = Duration::from_secs(3);

/// Counts one more of `key`.
///
/// # Errors
/// [`Error::TooMany`].
pub(super) async fn allow<P: Platform>(context: &Context<'_, P>, rate: Rate, key: &str) -> Result<(), Error> {
    let counted = context.platform.allow(rate, key);
    match within(context.platform, TIMEOUT, "rate limiter", counted).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::TooMany),
        Err(error) => {
            Event::warn("rate.unknown").with("detail", &error).write(context.platform);
            Ok(())
        }
    }
}

/// Counts a logout that a provider, or somebody in its name, asks for. Counted by sender: a flood of forgeries from
/// elsewhere shuts no provider out (S125).
///
/// # Errors
/// [`Error::TooMany`].
pub(super) async fn allow_logout<P: Platform>(
    context: &Context<'_, P>,
    provider: &str,
    request: &Request<P::Body>,
) -> Result<(), Error> {
    let sender = request.client_address.map(|address| address.to_string()).unwrap_or_default();
    allow(context, LOGOUT_RATE, &format!("{provider}:{sender}")).await
}
