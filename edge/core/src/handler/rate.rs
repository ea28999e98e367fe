//! How often a caller may do something. Without a counter everybody passes: it is a courtesy, not a lock.

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
        platform::{Platform, Rate},
        telemetry::Event,
    },
};

/// What a user may post. Nobody types five messages a second for a minute.
pub const EVENTS_RATE: Rate = Rate { name: "EVENTS_RATE", limit: 300, period_seconds: 60 };
/// What may be said in a provider's name that is not plainly the provider's, from one address.
pub const LOGOUT_RATE: Rate = Rate { name: "LOGOUT_RATE", limit: 600, period_seconds: 60 };
/// Steps of sign-ins of one address: beginning one may, and finishing one does, ask the provider in our name. Offices and
/// whole providers share an address, and everybody takes two steps.
pub const LOGIN_RATE: Rate = Rate { name: "LOGIN_RATE", limit: 6000, period_seconds: 60 };
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

/// Counts a logout that somebody asks for in a provider's name. Counted by sender: a flood of forgeries from
/// elsewhere shuts no provider out (S125).
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

/// Counts a step of a sign-in, by the address of whoever takes it.
///
/// # Errors
/// [`Error::TooMany`].
pub(super) async fn allow_sign_in<P: Platform>(
    context: &Context<'_, P>,
    request: &Request<P::Body>,
) -> Result<(), Error> {
    allow(context, LOGIN_RATE, &request.client_address.map(network).unwrap_or_default()).await
}

/// The least that one customer is given: an IPv6 address alone says nothing, everybody has 2^64 of them.
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
    fn a_customer_counts_as_one_whatever_address_they_take() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:203.0.113.7"), network("203.0.113.7"));
        assert_ne!(network("203.0.113.7"), network("203.0.113.8"));
    }
}
