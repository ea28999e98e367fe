//! Signs records for a channel that demands it. docs/events.md describes the signature.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// The value of the header `causeway-signature`. `signing_key` is an id, a colon and the secret in base64url.
pub(crate) fn sign(
    signing_key: &str,
    channel: &str,
    key: &[u8],
    headers: &BTreeMap<&str, String>,
    value: Option<&[u8]>,
) -> anyhow::Result<String> {
    let (id, secret) = signing_key.split_once(':').unwrap_or_default();
    let mut mac = Hmac::<Sha256>::new_from_slice(&BASE64.decode(secret)?)?;
    // A map's entries are in the order of the names.
    let signed: Vec<_> =
        headers.iter().filter(|(name, _)| **name == "content-type" || name.starts_with("ce_")).collect();
    for part in [b"causeway-record-v1", channel.as_bytes(), key] {
        add_part(&mut mac, part);
    }
    mac.update(&(signed.len() as u64).to_be_bytes());
    for (name, text) in signed {
        add_part(&mut mac, name.as_bytes());
        add_part(&mut mac, text.as_bytes());
    }
    mac.update(&[u8::from(value.is_some())]);
    if let Some(value) = value {
        add_part(&mut mac, value);
    }
    Ok(format!("{id}.{}", BASE64.encode(mac.finalize().into_bytes())))
}

fn add_part(mac: &mut Hmac<Sha256>, part: &[u8]) {
    mac.update(&(part.len() as u64).to_be_bytes());
    mac.update(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples in docs/events.md.
    #[test]
    fn signature_is_that_of_the_documented_record() {
        let key = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        let headers = [
            ("content-type", "application/json"),
            ("ce_id", "a1"),
            ("ce_specversion", "1.0"),
            ("ce_type", "message"),
            ("traceparent", "not signed"),
        ];
        let headers = headers.map(|(name, text)| (name, text.to_owned())).into();
        let value = r#"{"id":"m1","text":"Grüße"}"#.as_bytes();
        let message = sign(key, "chat", b"github:583231", &headers, Some(value)).unwrap();
        assert_eq!(message, "k1.Zvt5rPED77eShwhqIV1rsgDjnaGAfaa9XDU4E_zbt-s");
        let headers = BTreeMap::from([("ce_subject", "m1".to_owned())]);
        let deletion = sign(key, "chat", b"github:583231", &headers, None).unwrap();
        assert_eq!(deletion, "k1.B6OepnQpJq5bQFzjGbaSsKmjLeuTMA12rwAxTCe1qxk");
    }
}
