//! `return_to`: where the user goes after a sign-in.
//!
//! For any input, a browser on the edge's origin that follows the output stays on that origin or goes to a listed host
//! page, shows no user name in the address, and gets one header of one line.

use causeway_core::http::origin::{Origin, ReturnTo};
use url::Url;

const OWN: &str = "https://edge.example";
const HOSTS: [&str; 3] = ["https://host.example", "http://localhost:8080", "https://xn--bcher-kva.example:8443"];

/// Runs the target on one input; returns whether the edge accepted it.
pub fn run(data: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(data) else { return false };
    let own = Origin::parse(OWN).unwrap();
    let hosts = HOSTS.map(|host| Origin::parse(host).unwrap());
    let accepted = ReturnTo::parse(text, &own, &hosts);
    let location = accepted.as_str();
    assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location:?}");
    assert!(location == "/" || location.len() <= 512);
    let url = Url::parse(OWN).unwrap().join(location).unwrap();
    let origin = url.origin().ascii_serialization();
    assert!(origin == OWN || HOSTS.contains(&origin.as_str()), "{text:?} leads to {url}");
    assert!(url.username().is_empty() && url.password().is_none(), "{url}");
    // A second reading yields the same address.
    assert_eq!(ReturnTo::parse(location, &own, &hosts), accepted);
    // Older parsers than those of the URL standard might disagree, so an own path never looks like an authority.
    if origin == OWN && !location.starts_with(OWN) {
        assert!(location.starts_with('/') && !location[1..].starts_with(['/', '\\']), "{location:?}");
    }
    location == text
}
