//! A delivery of the bridge: the first line is the signature, the rest the body. `@` in the first line is replaced by the
//! genuine signature of that body.
//!
//! Without the signature nothing is read or stored. Another version is told from a malformed body. Each user of the
//! request gets an answer, and the same request again stores nothing more.

use causeway_protocol::{
    deliver::{DELIVER_PATH, DeliverRequest, DeliverResponse, Outcome, Slice, Versioned, WIRE_VERSION},
    signature::SIGNATURE_HEADER,
};
use http::Method;

use super::head_and_rest;
use crate::fixture::{Fixture, frames, text};

/// Runs the target on one input; returns whether the edge accepted it.
pub fn run(data: &[u8]) -> bool {
    let (signature, body) = head_and_rest(data);
    Fixture::with(|fixture| {
        let genuine = fixture.sign(DELIVER_PATH, body);
        let parts: Vec<&[u8]> = signature.split(|byte| *byte == b'@').take(4).collect();
        let signature = parts.join(genuine.as_bytes());
        let headers: [(&'static str, &[u8]); 1] = [(SIGNATURE_HEADER, &signature)];
        let send = || fixture.send(Method::POST, DELIVER_PATH, None, &headers, body);
        let response = send();
        let status = response.status.as_u16();
        // A server's parser drops spaces around a value; the edge may take or refuse what one left.
        let is_spaced = signature != genuine.as_bytes();
        if signature.trim_ascii() != genuine.as_bytes() || (is_spaced && status == 401) {
            assert!(status == 401 && !fixture.has_changed(), "believed: {status} {signature:?}");
            return false;
        }
        let version = serde_json::from_slice::<Versioned>(body).map(|it| it.version);
        assert_eq!(status == 409, version.is_ok_and(|version| version != WIRE_VERSION), "{status}");
        if status != 200 {
            assert!(matches!(status, 400 | 409) && !fixture.has_changed(), "{status}");
            return false;
        }
        let request: DeliverRequest = serde_json::from_slice(body).expect("what was accepted is a delivery");
        let outcomes = |text: String| serde_json::from_str::<DeliverResponse>(&text).expect("an answer").outcomes;
        let first = outcomes(text(&response));
        assert_eq!(first.len(), request.users.len());
        for (user, outcome) in request.users.iter().zip(&first) {
            let is_list = serde_json::from_str::<Vec<Slice>>(user.slices.get()).is_ok();
            assert_eq!(*outcome == Outcome::Refused, !is_list, "{}", user.slices);
        }
        let stored = frames(&fixture.platform);
        assert!(stored.keys().all(|name| request.users.iter().any(|user| user.subject.to_string() == *name)));
        send();
        assert_eq!(frames(&fixture.platform), stored, "stored twice");
        first.contains(&Outcome::Stored)
    })
}
