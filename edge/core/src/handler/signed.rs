//! Requests of the bridge: signed, and of this edge's version.

use causeway_protocol::{
    deliver::{Versioned, WIRE_VERSION},
    signature::{Direction, SIGNATURE_HEADER, SignatureError},
};
use http::HeaderName;
use serde::de::DeserializeOwned;

use super::context::{Context, read_body};
use crate::{
    error::Error,
    http::web::Request,
    runtime::{platform::Platform, reason::Reason},
};

/// Reads a request that the bridge has signed. One of another version is refused as such, whatever else it contains, so
/// that the bridge repeats it instead of giving up what it holds.
pub(super) async fn read<T: DeserializeOwned, P: Platform>(
    context: &Context<'_, P>,
    request: Request<P::Body>,
    malformed: Reason,
) -> Result<T, Error> {
    let body = read_signed_body(context, request).await?;
    let malformed = Error::BadRequest { reason: malformed };
    match serde_json::from_slice(&body) {
        Ok(Versioned { version: WIRE_VERSION }) => serde_json::from_slice(&body).map_err(|_| malformed),
        Ok(Versioned { version }) => Err(Error::WireVersion { version }),
        Err(_) => Err(malformed),
    }
}

/// Nothing of a body is held before its head is known to be the bridge's.
async fn read_signed_body<P: Platform>(context: &Context<'_, P>, request: Request<P::Body>) -> Result<Vec<u8>, Error> {
    let refused = |error: SignatureError| Error::Unauthenticated {
        reason: match error {
            SignatureError::Malformed => Reason::DeliverySignatureMalformed,
            SignatureError::UnknownKey => Reason::DeliveryKeyUnknown,
            SignatureError::Stale => Reason::DeliverySignatureTime,
            SignatureError::Mismatch => Reason::DeliverySignatureMismatch,
        },
    };
    let missing = Error::Unauthenticated { reason: Reason::DeliverySignatureMissing };
    let signature = request.header(&HeaderName::from_static(SIGNATURE_HEADER)).ok_or(missing)?.to_owned();
    let target = match &request.query {
        Some(query) => format!("{}?{query}", request.path),
        None => request.path.clone(),
    };
    let (keys, now_seconds) = (&context.config.bridge_keys, context.platform.now_ms() / 1000);
    let head = keys.verify_head(&signature, Direction::BridgeToEdge, "POST", &target, now_seconds);
    let digest = head.map_err(refused)?;
    let body = read_body(context.platform, context.row, request).await?;
    digest.check(&body).map_err(refused)?;
    Ok(body)
}
