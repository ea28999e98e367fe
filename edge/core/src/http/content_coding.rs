//! The content codings that a client accepts (RFC 9110 §12.5.3).

use http::{HeaderMap, header};

/// A weight in thousandths.
type Weight = u16;

const FULL: Weight = 1000;

/// Whether a client prefers a body packed by gzip, or likes it as much as the plain one. A client that says nothing gets the
/// plain one: it may be unable to unpack anything.
pub(crate) fn prefers_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for element in values.flat_map(|value| value.split(',')) {
        let (coding, parameters) = element.split_once(';').unwrap_or((element, ""));
        let found = match coding.trim() {
            coding if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") => &mut gzip,
            coding if coding.eq_ignore_ascii_case("identity") => &mut identity,
            "*" => &mut any,
            _ => continue,
        };
        *found = Some(weight(parameters));
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity.or(any).unwrap_or(0)
}

/// The weight among the parameters of a coding. One that is malformed counts as "not acceptable".
fn weight(parameters: &str) -> Weight {
    let mut pairs = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    match pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("q")) {
        Some((_, value)) => parse_weight(value.trim()).unwrap_or(0),
        None => FULL,
    }
}

/// `0`, `1`, or one of these with up to three decimals. Nothing is above 1.
fn parse_weight(text: &str) -> Option<Weight> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths = [100, 10, 1].into_iter().zip(decimals.bytes());
    let thousandths: Weight = thousandths.map(|(place, digit)| place * Weight::from(digit - b'0')).sum();
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(FULL),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn prefers(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
        }
        prefers_gzip(&headers)
    }

    #[test]
    fn gzip_is_for_clients_that_accept_it() {
        for value in [
            "gzip",
            "gzip, deflate, br, zstd",
            "br;q=1.0, gzip;q=0.8, *;q=0.1",
            "GZIP ; Q=0.001",
            "x-gzip",
            "*",
            "identity, gzip",
            "identity;q=0.5, gzip;q=0.5",
            "identity;q=0, gzip;q=0.1",
            "*;q=0, gzip",
            "deflate,,gzip ,",
        ] {
            assert!(prefers(&[value]), "{value}");
        }
        assert!(prefers(&["br", "gzip"]), "a list may be in several headers");
    }

    #[test]
    fn others_get_the_plain_body() {
        for value in [
            "",
            "identity",
            "br",
            "gzip;q=0",
            "gzip;q=0.000",
            "gzip;q=0, *",
            "*;q=0",
            "gzip;q=0.4, identity;q=0.5",
            "gzip;q=0.4, *;q=0.5",
            "*;q=0.5, identity",
            "identity;q=0",
            "gzip;q=",
            "gzip;q=2",
            "gzip;q=1.001",
            "gzip;q=0.0001",
            "gzip;q=-1",
            "gzip;q=.5",
            "gzip;q=nan",
            "gzipped",
            "not gzip",
        ] {
            assert!(!prefers(&[value]), "{value}");
        }
        assert!(!prefers(&[]), "a client that says nothing");
        assert!(!prefers(&["gzip", "gzip;q=0"]), "the last word counts");
    }

    #[test]
    fn weights_are_compared_to_the_third_decimal() {
        for (text, weight) in
            [("0", 0), ("0.", 0), ("0.5", 500), ("0.05", 50), ("0.999", 999), ("1", 1000), ("1.000", 1000)]
        {
            assert_eq!(parse_weight(text), Some(weight), "{text}");
        }
    }
}
