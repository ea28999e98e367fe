//! W3C Trace Context: which trace a request belongs to.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName};

use crate::{
    platform::{Random, Unavailable},
    web::single,
};

/// `traceparent`.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What a request says of its trace, if that is one value of version 00.
#[must_use]
pub fn of(headers: &HeaderMap) -> Option<&str> {
    single(headers, &TRACEPARENT).filter(|text| is_traceparent(text))
}

/// The trace of a request, or a new one that nobody samples on our account.
///
/// # Errors
/// [`Unavailable`] without randomness.
pub fn continued(headers: &HeaderMap, random: &impl Random) -> Result<String, Unavailable> {
    if let Some(known) = of(headers) {
        return Ok(known.to_owned());
    }
    let mut bytes = [0; 24];
    random.fill(&mut bytes)?;
    let mut text = String::with_capacity(55);
    text.push_str("00-");
    for (index, byte) in bytes.iter().enumerate() {
        if index == 16 {
            text.push('-');
        }
        // Writing into a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push_str("-00");
    Ok(text)
}

fn is_traceparent(text: &str) -> bool {
    let lengths = [2, 32, 16, 2];
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    // All zeros stand for no trace and no parent.
    let is_something = |part: &str| part.bytes().any(|b| b != b'0');
    parts.len() == lengths.len()
        && parts.iter().zip(lengths).all(|(part, length)| part.len() == length && is_hex(part))
        && parts.first() == Some(&"00")
        && parts.iter().skip(1).take(2).all(|part| is_something(part))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::simulated::SeededRandom;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_trace_goes_on() {
        assert_eq!(continued(&headers(&[GOOD]), &SeededRandom::new(1)).unwrap(), GOOD);
    }

    #[test]
    fn what_is_no_trace_begins_a_new_one() {
        for values in [
            &[][..],
            &[""],
            &[GOOD, GOOD],
            &["00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"],
            &["00-00000000000000000000000000000000-b7ad6b7169203331-01"],
            &["00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"],
            &["ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
            &["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"],
        ] {
            let begun = continued(&headers(values), &SeededRandom::new(1)).unwrap();
            assert!(is_traceparent(&begun) && begun != GOOD, "{begun}");
        }
    }
}
