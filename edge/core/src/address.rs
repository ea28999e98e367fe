//! Where on the network a configured or discovered address leads (S53, S104). What a name resolves to nobody knows before it is asked, and
//! then it may change; the deployment's own outbound rules are what holds there.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// What an address says about where it leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
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
pub fn place(url: &Url) -> Place {
    match url.host() {
        // The parser has made one address of every spelling of it: decimal, octal, hexadecimal, with parts left out.
        Some(Host::Ipv4(address)) => place_v4(address),
        Some(Host::Ipv6(address)) => place_v6(address),
        Some(Host::Domain(name)) => place_of_name(&name.trim_end_matches('.').to_ascii_lowercase()),
        None => Place::Private,
    }
}

fn place_of_name(name: &str) -> Place {
    let is_below = |suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if is_below("localhost") {
        Place::Loopback
    } else if is_below("metadata.google.internal") || name == "metadata" || name.starts_with("instance-data") {
        Place::Metadata
    } else if !name.contains('.') || PRIVATE_SUFFIXES.into_iter().any(is_below) {
        Place::Private
    } else {
        Place::Public
    }
}

fn place_v4(address: Ipv4Addr) -> Place {
    match address.octets() {
        [127, ..] => Place::Loopback,
        // The third and fourth are Azure's and Alibaba's, outside of the link-local range.
        [169, 254, ..] | [168, 63, 129, 16] | [100, 100, 100, 200] => Place::Metadata,
        [0 | 10, ..] | [192, 168, ..] | [100, 64..=127, ..] | [172, 16..=31, ..] | [198, 18 | 19, ..] => Place::Private,
        // Protocol assignments, documentation, the relay of 6to4, multicast, reserved, broadcast.
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] | [224..=255, ..] => {
            Place::Private
        }
        _ => Place::Public,
    }
}

fn place_v6(address: Ipv6Addr) -> Place {
    if address.is_loopback() {
        return Place::Loopback;
    }
    if let Some(mapped) = address.to_ipv4_mapped() {
        return place_v4(mapped);
    }
    match address.segments() {
        [0xfe80..=0xfebf, ..] | [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0x0ce, ..] => Place::Metadata,
        // Translated and tunnelled IPv4 (RFC 6052, 6to4): never public, but what it hides may be worse.
        [0x64, 0xff9b, .., high, low] | [0x2002, high, low, ..] | [0, 0, 0, 0, 0, 0, high, low] => {
            let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
            if place_v4(Ipv4Addr::new(a, b, c, d)) == Place::Metadata { Place::Metadata } else { Place::Private }
        }
        // Teredo and other tunnels, documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Place::Private,
        [0x2000..=0x3fff, ..] => Place::Public,
        // Everything else is not handed out: unique local, multicast, discard.
        _ => Place::Private,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(host: &str) -> Place {
        place(&Url::parse(&format!("https://{host}/x")).unwrap())
    }

    #[test]
    fn s104_every_spelling_of_this_machine_is_this_machine() {
        for host in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "0177.1",
            "017700000001",
            "127.0.0.1.",
            "127.255.255.254",
            "127.0.0.1:8443",
            "%31%32%37.0.0.1",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "a.b.localhost.",
        ] {
            assert_eq!(of(host), Place::Loopback, "{host}");
        }
    }

    #[test]
    fn s104_metadata_services_and_link_local_addresses_are_known() {
        for host in [
            "169.254.169.254",
            "169.254.1.1",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "169.254.43518",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::1]",
            "[::169.254.169.254]",
            "[fe80::1]",
            "[febf::1]",
            "[fd00:ec2::254]",
            "168.63.129.16",
            "100.100.100.200",
            "metadata.google.internal",
            "metadata.google.internal.",
            "METADATA.google.internal",
            "metadata",
            "instance-data",
            "instance-data.ec2.internal",
        ] {
            assert_eq!(of(host), Place::Metadata, "{host}");
        }
    }

    #[test]
    fn s104_private_networks_are_known() {
        for host in [
            "10.0.0.1",
            "10.1",
            "0x0a000001",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "3232235777",
            "0300.0250.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "0.0.0.0",
            "0",
            "0.1.2.3",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "192.88.99.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "[::]",
            "[fc00::1]",
            "[fdff::1]",
            "[ff02::1]",
            "[::10.0.0.1]",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[2001::1]",
            "[2001:db8::1]",
            "[3fff::1]",
            "[100::1]",
            "db",
            "kubernetes",
            "kubernetes.default.svc",
            "api.default.svc.cluster.local",
            "printer.local",
            "x.internal",
            "a.b.internal.",
            "router.lan",
            "nas.home.arpa",
            "git.corp",
        ] {
            assert_eq!(of(host), Place::Private, "{host}");
        }
    }

    #[test]
    fn everything_else_is_public() {
        for host in [
            "api.github.com",
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "169.253.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "[2606:4700::1111]",
            "localhost.example",
            "internal.example",
            "metadata.example",
            "xinternal.example",
        ] {
            assert_eq!(of(host), Place::Public, "{host}");
        }
    }
}
