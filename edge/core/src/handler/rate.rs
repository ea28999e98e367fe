//! How often a caller may do something. If the counter fails, requests pass: the limits protect capacity, not secrets.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use super::context::Context;
use crate::{
    error::Error,
    http::web::Request,
    runtime::{
        clock::within,
        dependency::Dependency,
        event_name::EventName,
        platform::{Platform, Rate},
        telemetry::Event,
    },
};

/// Events that a user may post. No one types five messages a second for a minute.
pub const EVENTS_RATE: Rate = Rate { name: "EVENTS_RATE", limit: 300, period_seconds: 60 };
/// Logouts in a provider's name, from one address, that are not proven to come from the provider.
pub const LOGOUT_RATE: Rate = Rate { name: "LOGOUT_RATE", limit: 600, period_seconds: 60 };
/// Steps of sign-ins from one address. Beginning a sign-in may send a request to the provider, and finishing one does.
/// Whole offices and internet providers share an address, and each sign-in takes two steps.
pub const LOGIN_RATE: Rate = Rate { name: "LOGIN_RATE", limit: 6000, period_seconds: 60 };
const TIMEOUT: Duration = Duration::from_secs(3);

/// Counts one more request of `key`.
///
/// # Errors
/// [`Error::TooMany`].
pub(super) async fn allow<P: Platform>(context: &Context<'_, P>, rate: Rate, key: &str) -> Result<(), Error> {
    let counted = context.platform.allow(rate, key);
    match within(context.platform, TIMEOUT, Dependency::RateLimiter, counted).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::TooMany),
        Err(error) => {
            Event::warn(EventName::RateUnknown).with("detail", &error).write(context.platform);
            Ok(())
        }
    }
}

/// Counts a logout that is requested in a provider's name. The count is by sender, so that a flood of forgeries from elsewhere
/// shuts out no provider (S125).
///
/// # Errors
/// [`Error::TooMany`].
pub(super) async fn allow_logout<P: Platform>(
    context: &Context<'_, P>,
    provider: &str,
    sender: Option<IpAddr>,
) -> Result<(), Error> {
    let sender = sender.map(network).unwrap_or_default();
    allow(context, LOGOUT_RATE, &format!("{provider}:{sender}")).await
}

/// Counts a step of a sign-in, by the client's address.
///
/// # Errors
/// [`Error::TooMany`].
pub(super) async fn allow_sign_in<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
) -> Result<(), Error> {
    allow(context, LOGIN_RATE, &request.client_address.map(network).unwrap_or_default()).await
}

/// The smallest network that a customer gets. A single IPv6 address identifies no one: every customer has 2^64 of them.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_a_customer_share_a_count() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:203.0.113.7"), network("203.0.113.7"));
        assert_ne!(network("203.0.113.7"), network("203.0.113.8"));
    }
}
