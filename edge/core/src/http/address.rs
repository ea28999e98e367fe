//! The network that a configured or discovered address belongs to (S53, S104).
//!
//! Only the address itself is judged. The resolution of a name is unknown in advance and may change, so the deployment's
//! outbound rules must cover it.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// The kind of network that an address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkScope {
    /// The Internet.
    Public,
    /// This machine.
    Loopback,
    /// A private network, or an address range with a special purpose.
    Private,
    /// Link-local and other addresses of metadata services, at which clouds hand out credentials to any caller.
    Metadata,
}

/// The suffixes of names that are never on the Internet (RFC 6761, RFC 6762, RFC 8375, and those of clouds and routers).
const PRIVATE_SUFFIXES: [&str; 10] =
    ["local", "internal", "intranet", "private", "corp", "home", "lan", "home.arpa", "svc", "test"];

/// The network of a URL's host.
#[must_use]
pub fn network_scope(url: &Url) -> NetworkScope {
    match url.host() {
        // The URL parser has normalized every spelling: decimal, octal, hexadecimal, with missing parts.
        Some(Host::Ipv4(address)) => scope_of_v4(address),
        Some(Host::Ipv6(address)) => scope_of_v6(address),
        Some(Host::Domain(name)) => scope_of_name(&name.trim_end_matches('.').to_ascii_lowercase()),
        None => NetworkScope::Private,
    }
}

fn scope_of_name(name: &str) -> NetworkScope {
    let is_below = |suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if is_below("localhost") {
        NetworkScope::Loopback
    } else if ["metadata.google.internal", "metadata.goog"].into_iter().any(is_below)
        || name == "metadata"
        || name.starts_with("instance-data")
    {
        NetworkScope::Metadata
    } else if !name.contains('.') || PRIVATE_SUFFIXES.into_iter().any(is_below) {
        NetworkScope::Private
    } else {
        NetworkScope::Public
    }
}

fn scope_of_v4(address: Ipv4Addr) -> NetworkScope {
    match address.octets() {
        [127, ..] => NetworkScope::Loopback,
        // The last three are outside the link-local range: Azure's, Alibaba's and Oracle's.
        [169, 254, ..] | [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192] => NetworkScope::Metadata,
        [0 | 10, ..] | [192, 168, ..] | [100, 64..=127, ..] | [172, 16..=31, ..] | [198, 18 | 19, ..] => {
            NetworkScope::Private
        }
        // Protocol assignments, documentation, 6to4 relays, multicast, reserved, broadcast.
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] | [224..=255, ..] => {
            NetworkScope::Private
        }
        _ => NetworkScope::Public,
    }
}

fn scope_of_v6(address: Ipv6Addr) -> NetworkScope {
    if address.is_loopback() {
        return NetworkScope::Loopback;
    }
    if let Some(mapped) = address.to_ipv4_mapped() {
        return scope_of_v4(mapped);
    }
    if is_metadata_v6(address) || embedded_v4(address).into_iter().any(|v4| scope_of_v4(v4) == NetworkScope::Metadata) {
        return NetworkScope::Metadata;
    }
    match address.segments() {
        // ISATAP's interface identifier (RFC 5214): a tunnel to an IPv4 address within the network.
        [.., 0 | 0x200, 0x5efe, _, _] => NetworkScope::Private,
        // 6to4, Teredo and other tunnels, documentation.
        [0x2002, ..] | [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => NetworkScope::Private,
        [0x2000..=0x3fff, ..] => NetworkScope::Public,
        // The rest is not allocated for the Internet: translated IPv4, unique local, multicast, discard.
        _ => NetworkScope::Private,
    }
}

/// Whether an address is link-local, or one that a cloud chose among the unique local addresses: Amazon (for all services
/// on the machine), Google, Oracle, Akamai and Scaleway.
fn is_metadata_v6(address: Ipv6Addr) -> bool {
    matches!(
        address.segments(),
        [0xfe80..=0xfebf, ..]
            | [0xfd00, 0x0ec2, ..]
            | [0xfd20, 0x00ce, ..]
            | [0xfd00, 0x00c1, ..]
            | [0xfd00, 0xa9fe, 0xa9fe, ..]
            | [0xfd00, 0x0042, ..]
    )
}

/// The IPv4 addresses embedded in an IPv6 address. A translator or tunnel on the way may forward the request to any of
/// them.
fn embedded_v4(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    let [_, a, b, c, _, _, y, z] = address.segments();
    match address.segments() {
        // NAT64: after the well-known prefix, and after a prefix of any length for local use (RFC 8215). With the shorter
        // ones, the address skips the ninth byte (RFC 6052 §2.2).
        [0x64, 0xff9b, ..] => {
            let [.., b6, b7, _, b9, b10, b11, b12, _, _, _] = address.octets();
            vec![
                v4(y, z),
                Ipv4Addr::new(b6, b7, b9, b10),
                Ipv4Addr::new(b7, b9, b10, b11),
                Ipv4Addr::new(b9, b10, b11, b12),
            ]
        }
        [0x2002, ..] => vec![v4(a, b)],
        // Teredo: the server, and the client with inverted bits (RFC 4380 §4).
        [0x2001, 0, ..] => vec![v4(b, c), v4(!y, !z)],
        // IPv4-compatible, and IPv4-translated by SIIT (RFC 2765).
        [0, 0, 0, 0, 0 | 0xffff, 0, ..] => vec![v4(y, z)],
        [.., 0 | 0x200, 0x5efe, _, _] => vec![v4(y, z)],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
