//! A sealed blob, as a browser or a store returns it.
//!
//! It opens only under the binding that it was sealed for, and only if no bit was changed.

use causeway_core::{
    runtime::{random::Random, unavailable::Unavailable},
    seal::{Binding, Purpose, open, seal},
};
use causeway_protocol::signature::KeyRing;

use crate::settings::ring;

const BINDINGS: [Binding<'static>; 4] = [
    Binding { purpose: Purpose::SessionCookie, context: &[b"name", b"origin"], secret: b"" },
    Binding { purpose: Purpose::LoginCookie, context: &[b"name", b"origin"], secret: b"" },
    Binding { purpose: Purpose::SessionRecord, context: &[b"handle"], secret: b"id" },
    Binding { purpose: Purpose::SessionRecord, context: &[b"handle"], secret: b"other id" },
];

/// The same nonce in each run, so that the corpus holds blobs that open.
struct Fixed;

impl Random for Fixed {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Unavailable> {
        buffer.fill(0x5a);
        Ok(())
    }
}

thread_local! {
    static KEYS: KeyRing = KeyRing::parse(&format!("{},{}", ring("new"), ring("old"))).expect("a ring");
}

/// The genuine blob of each binding, and its plaintext.
///
/// # Panics
/// Sealing fails.
#[must_use]
pub fn genuine() -> Vec<Vec<u8>> {
    KEYS.with(|keys| BINDINGS.iter().map(|binding| seal(keys, &Fixed, *binding, b"content").unwrap()).collect())
}

/// Runs the target on one input; returns whether the edge accepted it.
pub fn run(data: &[u8]) -> bool {
    thread_local! { static GENUINE: Vec<Vec<u8>> = genuine(); }
    KEYS.with(|keys| {
        GENUINE.with(|genuine| {
            for (binding, blob) in BINDINGS.iter().zip(genuine) {
                let opened = open(keys, *binding, data);
                assert_eq!(opened.is_ok(), data == blob, "{binding:?}");
            }
            genuine.iter().any(|blob| data == blob)
        })
    })
}
