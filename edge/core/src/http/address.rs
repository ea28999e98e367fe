//! Where on the network a configured or discovered address leads (S53, S104). What a name resolves to nobody knows before it is asked, and
//! then it may change; the deployment's own outbound rules are what holds there.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// What an address says about where it leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkScope {
    /// Anywhere on the Internet.
    Public,
    /// This very machine.
    Loopback,
    /// A network of somebody's own, or an address with a meaning of its own.
    Private,
    /// Link-local, where clouds hand out credentials to whoever asks.
    Metadata,
}

/// Names below these are never on the Internet (RFC 6761, RFC 6762, RFC 8375, and what clouds and routers use).
const PRIVATE_SUFFIXES: [&str; 10] =
    ["local", "internal", "intranet", "private", "corp", "home", "lan", "home.arpa", "svc", "test"];

/// Where a URL leads.
#[must_use]
pub fn network_scope(url: &Url) -> NetworkScope {
    match url.host() {
        // The parser has made one address of every spelling of it: decimal, octal, hexadecimal, with parts left out.
        Some(Host::Ipv4(address)) => place_v4(address),
        Some(Host::Ipv6(address)) => place_v6(address),
        Some(Host::Domain(name)) => place_of_name(&name.trim_end_matches('.').to_ascii_lowercase()),
        None => NetworkScope::Private,
    }
}

fn place_of_name(name: &str) -> NetworkScope {
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

fn place_v4(address: Ipv4Addr) -> NetworkScope {
    match address.octets() {
        [127, ..] => NetworkScope::Loopback,
        // The others are Azure's, Alibaba's and Oracle's, outside of the link-local range.
        [169, 254, ..] | [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192] => NetworkScope::Metadata,
        [0 | 10, ..] | [192, 168, ..] | [100, 64..=127, ..] | [172, 16..=31, ..] | [198, 18 | 19, ..] => {
            NetworkScope::Private
        }
        // Protocol assignments, documentation, the relay of 6to4, multicast, reserved, broadcast.
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] | [224..=255, ..] => {
            NetworkScope::Private
        }
        _ => NetworkScope::Public,
    }
}

fn place_v6(address: Ipv6Addr) -> NetworkScope {
    if address.is_loopback() {
        return NetworkScope::Loopback;
    }
    if let Some(mapped) = address.to_ipv4_mapped() {
        return place_v4(mapped);
    }
    if is_metadata_v6(address)
        || hidden_v4(address).into_iter().any(|hidden| place_v4(hidden) == NetworkScope::Metadata)
    {
        return NetworkScope::Metadata;
    }
    match address.segments() {
        // ISATAP's interface identifier (RFC 5214): a tunnel to an IPv4 address of the network's own.
        [.., 0 | 0x200, 0x5efe, _, _] => NetworkScope::Private,
        // 6to4, Teredo and other tunnels, documentation.
        [0x2002, ..] | [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => NetworkScope::Private,
        [0x2000..=0x3fff, ..] => NetworkScope::Public,
        // Everything else is not handed out: translated IPv4, unique local, multicast, discard.
        _ => NetworkScope::Private,
    }
}

/// Link-local, and what clouds chose among the unique local addresses: Amazon for all its services on the machine, Google,
/// Oracle, Akamai and Scaleway.
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

/// The IPv4 addresses that somebody on the way may find in an IPv6 address that is translated or tunnelled: wherever it is
/// sent, it may come out there.
fn hidden_v4(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    let [_, a, b, c, _, _, y, z] = address.segments();
    match address.segments() {
        // NAT64: behind the whole of the well-known prefix, behind any length of the one for local use (RFC 8215). The
        // shorter ones go around the ninth byte (RFC 6052 §2.2).
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
        // Teredo: its server, and inverted its client (RFC 4380 §4).
        [0x2001, 0, ..] => vec![v4(b, c), v4(!y, !z)],
        // Compatible with IPv4, and translated statelessly (RFC 2765).
        [0, 0, 0, 0, 0 | 0xffff, 0, ..] => vec![v4(y, z)],
        [.., 0 | 0x200, 0x5efe, _, _] => vec![v4(y, z)],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
