//! Requests of the bridge about checkpoints, one a line.
//!
//! No sequence of them moves a checkpoint or a generation back, and a reader that was replaced changes nothing.

use std::collections::BTreeMap;

use causeway_protocol::{
    channel::Channel,
    checkpoint::{CHECKPOINT_PATH, CheckpointRequest, CheckpointResponse, PartitionState},
    signature::SIGNATURE_HEADER,
};
use http::Method;

use super::lines;
use crate::fixture::{Fixture, text};

/// Runs the target on one input; returns whether the edge accepted all of its requests.
pub fn run(data: &[u8]) -> bool {
    Fixture::with(|fixture| {
        let mut known = BTreeMap::<(Channel, String, i32), PartitionState>::new();
        let mut is_accepted = true;
        for body in lines(data).take(16) {
            let signature = fixture.sign(CHECKPOINT_PATH, body);
            let headers: [(&'static str, &[u8]); 1] = [(SIGNATURE_HEADER, signature.as_bytes())];
            let response = fixture.send(Method::POST, CHECKPOINT_PATH, None, &headers, body);
            let status = response.status.as_u16();
            if status != 200 {
                assert!(matches!(status, 400 | 409 | 413), "{status}");
                is_accepted = false;
                continue;
            }
            let request: CheckpointRequest = serde_json::from_slice(body).expect("what was accepted is a request");
            let answer: CheckpointResponse = serde_json::from_str(&text(&response)).expect("an answer");
            let before = known.entry((request.channel, request.topic, request.partition)).or_default();
            assert!(answer.state.generation >= before.generation, "{answer:?} after {before:?}");
            assert!(answer.state.checkpoint >= before.checkpoint, "{answer:?} after {before:?}");
            assert!(!answer.stale || answer.state == *before, "{answer:?} after {before:?}");
            *before = answer.state;
        }
        assert_eq!(*fixture.platform.partitions.borrow(), known);
        is_accepted
    })
}
