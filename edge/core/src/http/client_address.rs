//! The address of a request's client, if the runtime sees only the proxy in front of it.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};

/// The last address in a header that the proxy in front of the edge sets or appends to. Earlier addresses may come from the
/// client. The address may have a port.
#[must_use]
pub fn client_address(headers: &HeaderMap, header: &HeaderName) -> Option<IpAddr> {
    let line = headers.get_all(header).iter().next_back()?.to_str().ok()?;
    let last = line.rsplit(',').next()?.trim();
    let unbracketed = last.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(last);
    unbracketed.parse().ok().or_else(|| last.parse().ok().map(|address: SocketAddr| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: HeaderName = HeaderName::from_static("x-forwarded-for");

    #[test]
    fn only_the_last_address_comes_from_the_proxy() {
        let found = |lines: &[&str]| {
            let headers = lines.iter().map(|line| (NAME, line.parse().unwrap())).collect();
            client_address(&headers, &NAME).map(|address| address.to_string())
        };
        for (lines, expected) in [
            (&["203.0.113.7"][..], Some("203.0.113.7")),
            (&["198.51.100.1, 203.0.113.7"], Some("203.0.113.7")),
            (&["198.51.100.1", "203.0.113.7"], Some("203.0.113.7")),
            (&["203.0.113.7:4711"], Some("203.0.113.7")),
            (&["2001:db8::7"], Some("2001:db8::7")),
            (&["[2001:db8::7]"], Some("2001:db8::7")),
            (&["[2001:db8::7]:4711"], Some("2001:db8::7")),
            (&["203.0.113.7", "unknown"], None),
            (&["203.0.113.7,"], None),
            (&[""], None),
            (&[], None),
        ] {
            assert_eq!(found(lines).as_deref(), expected, "{lines:?}");
        }
    }
}
