//! GitHub's primary and secondary rate limits, which it may answer with 403, like a refusal.

use http::{HeaderMap, HeaderName, StatusCode, header};

use crate::http::web::single;

const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// The wait if GitHub names none.
const DEFAULT_SECONDS: u64 = 60;
/// The longest wait taken from an answer.
const MAX_SECONDS: u64 = 300;

/// How long to wait before the next request, in seconds; `None` if the answer reports no rate limit.
#[must_use]
pub fn rate_limited_for_seconds(status: StatusCode, headers: &HeaderMap, now_ms: u64) -> Option<u32> {
    let number = |name: &HeaderName| single(headers, name).and_then(|text| text.trim().parse::<u64>().ok());
    let retry_after = number(&header::RETRY_AFTER);
    let is_used_up = number(&REMAINING) == Some(0);
    let is_limited = match status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::FORBIDDEN => is_used_up || headers.contains_key(header::RETRY_AFTER),
        _ => false,
    };
    // The time of the reset concerns the primary limit only.
    let until_reset = || number(&RESET).filter(|_| is_used_up).map(|at| at.saturating_sub(now_ms / 1000));
    let seconds = retry_after.or_else(until_reset).unwrap_or(DEFAULT_SECONDS).clamp(1, MAX_SECONDS);
    is_limited.then(|| u32::try_from(seconds).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;

    fn limited_for(status: u16, headers: &[(&str, &str)]) -> Option<u32> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        rate_limited_for_seconds(StatusCode::from_u16(status).unwrap(), &headers, NOW_MS)
    }

    #[test]
    fn both_limits_are_distinguished_from_a_refusal_and_the_wait_is_bounded() {
        assert_eq!(limited_for(403, &[("retry-after", "17")]), Some(17));
        assert_eq!(limited_for(429, &[("retry-after", "17")]), Some(17));
        assert_eq!(limited_for(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800000042")]), Some(42));
        assert_eq!(limited_for(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")]), Some(1));
        assert_eq!(limited_for(403, &[("x-ratelimit-remaining", "0")]), Some(60));
        assert_eq!(limited_for(429, &[]), Some(60));
        assert_eq!(limited_for(429, &[("x-ratelimit-remaining", "9"), ("x-ratelimit-reset", "1800000042")]), Some(60));
        assert_eq!(limited_for(403, &[("retry-after", "99999999")]), Some(300));
        assert_eq!(limited_for(403, &[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")]), Some(60));
        for (status, headers) in [
            (403, &[][..]),
            (403, &[("x-ratelimit-remaining", "4999")]),
            (404, &[("retry-after", "1")]),
            (401, &[("x-ratelimit-remaining", "0")]),
            (201, &[("x-ratelimit-remaining", "0")]),
        ] {
            assert_eq!(limited_for(status, headers), None, "{status} {headers:?}");
        }
    }
}
