//! How often a caller may do something. If the counter fails, requests pass: the limits protect capacity, not secrets.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

pub use crate::runtime::rate::{EVENTS_RATE, LOGIN_RATE, LOGOUT_RATE};
use crate::{
    config::Config,
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

const TIMEOUT: Duration = Duration::from_secs(3);

/// Counts a request of `key` against a rate, and refuses it if the limit is exceeded.
///
/// # Errors
/// [`Error::TooManyRequests`].
pub(crate) async fn check(platform: &impl Platform, rate: Rate, key: &str) -> Result<(), Error> {
    let counted = platform.allow(rate, key);
    match within(platform, TIMEOUT, Dependency::RateLimiter, counted).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::TooManyRequests),
        Err(error) => {
            Event::warn(EventName::RateUnknown).with("detail", &error).write(platform);
            Ok(())
        }
    }
}

/// Counts an unverified logout request. The count is by client address, so that forged requests from other addresses do not
/// use up the provider's limit (S125). Requests without an address share one count.
///
/// # Errors
/// [`Error::TooManyRequests`].
pub(crate) async fn check_logout(
    platform: &impl Platform,
    config: &Config,
    provider: &str,
    client_address: Option<IpAddr>,
) -> Result<(), Error> {
    let client_address = client_address.map(network).unwrap_or_default();
    check(platform, config.rates.logout, &format!("{provider}:{client_address}")).await
}

/// Counts a step of a sign-in by client address. Requests without an address share one count.
///
/// # Errors
/// [`Error::TooManyRequests`].
pub(crate) async fn check_sign_in<P: Platform>(
    platform: &P,
    config: &Config,
    request: &Request<P::Body>,
) -> Result<(), Error> {
    check(platform, config.rates.login, &request.client_address.map(network).unwrap_or_default()).await
}

/// The address, or for IPv6 its /64 prefix: one customer has 2^64 addresses.
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
    fn ipv6_addresses_of_one_64_prefix_have_one_key() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:203.0.113.7"), network("203.0.113.7"));
        assert_ne!(network("203.0.113.7"), network("203.0.113.8"));
    }
}
