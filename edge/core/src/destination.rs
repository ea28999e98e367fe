//! Whether an address is one on the public Internet: what a configured or discovered URL must be before anything is
//! sent to it, so that nobody's document makes the edge talk to its own network (SSRF; S53, S104).
//!
//! Names are not resolved here: no runtime offers it. What a name resolves to is up to the runtime's egress rules.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Whether a URL's host is neither this machine nor a private, link-local or otherwise special address.
#[must_use]
pub fn is_public(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => is_public_ip(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_public_ip(IpAddr::V6(address)),
        Some(Host::Domain(name)) => is_public_name(name),
        None => false,
    }
}

/// Names without a dot and names of special-use domains (RFC 6761, RFC 6762, RFC 8375) mean something else in each
/// network.
fn is_public_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let special = ["localhost", "local", "internal", "home.arpa", "onion"];
    name.contains('.')
        && !special
            .iter()
            .any(|domain| name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

fn is_public_ip(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol_assignments = a == 192 && b == 0 && c == 0;
    let benchmarking = a == 198 && (b == 18 || b == 19);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || a >= 224
        || shared
        || protocol_assignments
        || benchmarking)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Forms that carry an IPv4 address reach where that one lies: mapped, NAT64 and 6to4.
    let segments = address.segments();
    let [a, b, c, d, e, f, g, h] = segments;
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b) {
        (0, 0) if [c, d, e] == [0; 3] && f == 0xffff => inner(g, h),
        (0x64, 0xff9b) => inner(g, h),
        (0x2002, high) => inner(high, c),
        (0x2001, 0xdb8) => false,
        // Global unicast is 2000::/3; Teredo (2001::/32) tunnels to anywhere.
        (0x2001, 0) => false,
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(host: &str) -> bool {
        is_public(&Url::parse(&format!("https://{host}/")).unwrap())
    }

    #[test]
    fn s53_s104_addresses_of_private_networks_are_told_from_public_ones() {
        for host in
            ["login.example.com", "8.8.8.8", "[2606:4700::1111]", "[::ffff:8.8.8.8]", "172.32.0.1", "local.example"]
        {
            assert!(public(host), "{host}");
        }
        for host in [
            "127.0.0.1",
            "127.1",
            "0x7f000001",
            "2130706433",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "[::1]",
            "[::]",
            "[fe80::1]",
            "[fc00::1]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a00:1]",
            "[2002:a00:1::]",
            "[2001:db8::1]",
            "[2001::1]",
            "localhost",
            "a.localhost",
            "db",
            "printer.local",
            "metadata.google.internal",
            "localhost.",
        ] {
            assert!(!public(host), "{host}");
        }
    }
}
