use proptest::prelude::*;

use super::*;

fn scope_of(host: &str) -> NetworkScope {
    network_scope(&Url::parse(&format!("https://{host}/x")).unwrap())
}

#[test]
fn s104_every_spelling_of_loopback_is_recognized() {
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
        assert_eq!(scope_of(host), NetworkScope::Loopback, "{host}");
    }
}

#[test]
fn s104_metadata_services_and_link_local_addresses_are_recognized() {
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
        "[::ffff:0:a9fe:a9fe]",
        "[::ffff:0:169.254.169.254]",
        "[64:ff9b::6464:64c8]",
        "[64:ff9b:1::a9fe:a9fe]",
        "[64:ff9b:1:a9fe:a9:fe00::]",
        "[64:ff9b:1:a9:fe:a9fe::]",
        "[64:ff9b:1:0:a9:fea9:fe00:0]",
        "[2002:c000:c0::]",
        "[2001:0:a9fe:a9fe::1]",
        "[2001:0:808:808::5601:5601]",
        "[2606:4700::5efe:a9fe:a9fe]",
        "[2606:4700::200:5efe:169.254.169.254]",
        "[::192.0.0.192]",
        "[fd00:ec2::23]",
        "[fd00:ec2:0:1::5]",
        "[fd20:ce::254]",
        "[fd00:c1::a9fe:a9fe]",
        "[fd00:a9fe:a9fe::1]",
        "[fd00:42::42]",
        "192.0.0.192",
        "0xc00000c0",
        "168.63.129.16",
        "100.100.100.200",
        "metadata.google.internal",
        "metadata.google.internal.",
        "metadata.goog",
        "METADATA.goog.",
        "a.metadata.goog",
        "METADATA.google.internal",
        "metadata",
        "instance-data",
        "instance-data.ec2.internal",
    ] {
        assert_eq!(scope_of(host), NetworkScope::Metadata, "{host}");
    }
}

#[test]
fn s104_private_networks_are_recognized() {
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
        "192.0.0.191",
        "[::ffff:0:7f00:1]",
        "[64:ff9b::808:808]",
        "[2002:808:808::1]",
        "[2001:0:808:808::f7f7:f7f7]",
        "[2606:4700::5efe:808:808]",
        "[fd00:ec3::254]",
        "[fec0::1]",
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
        assert_eq!(scope_of(host), NetworkScope::Private, "{host}");
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
        "xmetadata.goog",
    ] {
        assert_eq!(scope_of(host), NetworkScope::Public, "{host}");
    }
}

/// The IPv6 addresses that embed an IPv4 address.
fn embedding(embedded: Ipv4Addr, prefix: u64) -> [u128; 12] {
    let v4 = u128::from(embedded.to_bits());
    let (high, low) = (v4 >> 16, v4 & 0xffff);
    let local = 0x0064_ff9b_0001 << 80;
    [
        v4,
        0xffff << 48 | v4,
        0xffff << 32 | v4,
        0x0064_ff9b << 96 | v4,
        local | v4,
        local | high << 64 | low << 40,
        local | (high >> 8) << 64 | (high & 0xff) << 48 | low << 32,
        local | high << 40 | low << 24,
        0x2002 << 112 | v4 << 80 | u128::from(prefix & 0xffff) << 64 | 1,
        0x2001 << 112 | v4 << 64 | u128::from(prefix) >> 48,
        0x2001 << 112 | (v4 ^ 0xffff_ffff),
        // With a prefix of the Internet, of a private network, or of a link.
        u128::from(prefix) << 64 | u128::from(prefix & 1) << 57 | 0x5efe << 32 | v4,
    ]
}

fn scope_of_v6_bits(bits: u128) -> NetworkScope {
    scope_of(&format!("[{}]", Ipv6Addr::from_bits(bits)))
}

proptest! {
    #[test]
    fn s104_a_translated_or_tunnelled_metadata_address_is_recognized(
        link_local in any::<[u8; 2]>(),
        which in 0..5_usize,
        prefix in any::<u64>(),
    ) {
        let [c, d] = link_local;
        let link_local = Ipv4Addr::new(169, 254, c, d);
        let metadata = [
            link_local,
            Ipv4Addr::new(169, 254, 169, 254),
            Ipv4Addr::new(168, 63, 129, 16),
            Ipv4Addr::new(100, 100, 100, 200),
            Ipv4Addr::new(192, 0, 0, 192),
        ];
        for bits in embedding(metadata[which], prefix) {
            prop_assert_eq!(scope_of_v6_bits(bits), NetworkScope::Metadata, "{}", Ipv6Addr::from_bits(bits));
        }
    }

    #[test]
    fn s104_a_translated_or_tunnelled_address_is_never_public(embedded in any::<u32>(), prefix in any::<u64>()) {
        let embedded = Ipv4Addr::from_bits(embedded);
        for (index, bits) in embedding(embedded, prefix).into_iter().enumerate() {
            // The IPv4-mapped form is the address itself, as sockets write it.
            if index == 2 {
                prop_assert_eq!(scope_of_v6_bits(bits), scope_of_v4(embedded));
            } else {
                prop_assert_ne!(scope_of_v6_bits(bits), NetworkScope::Public, "{}", Ipv6Addr::from_bits(bits));
            }
        }
    }

    #[test]
    fn s104_amazons_unique_local_addresses_are_metadata(rest in any::<u128>()) {
        prop_assert_eq!(scope_of_v6_bits(0xfd00_0ec2 << 96 | rest >> 32), NetworkScope::Metadata);
    }
}
