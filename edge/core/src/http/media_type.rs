//! The media type of a `Content-Type` (RFC 9110 §8.3.1).

/// Whether a content type is of this media type, whatever its parameters.
pub(crate) fn is_of(content_type: &str, media_type: &str) -> bool {
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type)
}

/// Whether a content type is JSON.
pub(crate) fn is_json(content_type: &str) -> bool {
    is_of(content_type, "application/json")
}
