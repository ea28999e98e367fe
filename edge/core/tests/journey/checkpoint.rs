//! Where the bridge's readers continue, and who reads: `POST /internal/checkpoint`.

use causeway_core::http::web::Response;
use causeway_core::testing::body::InMemoryBody;
use causeway_protocol::{
    channel::Channel,
    checkpoint::{CHECKPOINT_PATH, Checkpoint, CheckpointRequest, CheckpointResponse, Operation, PartitionState},
    deliver::WIRE_VERSION,
};
use http::{Method, StatusCode};
use serde_json::json;

use super::{Browser, code, deliver::send_signed, github, text};

fn request(topic: &str, partition: i32, operation: Operation) -> String {
    let channel = Channel::parse("chat").unwrap();
    let topic = topic.to_owned();
    serde_json::to_string(&CheckpointRequest { version: WIRE_VERSION, channel, topic, partition, operation }).unwrap()
}

fn send(browser: &Browser, body: &str) -> Response<InMemoryBody> {
    send_signed(browser, CHECKPOINT_PATH, body, "br")
}

fn ask(browser: &Browser, partition: i32, operation: Operation) -> CheckpointResponse {
    let response = send(browser, &request("chat.outbound", partition, operation));
    assert_eq!(response.status, StatusCode::OK, "{}", text(&response));
    serde_json::from_str(&text(&response)).unwrap()
}

fn at(next_offset: i64) -> Checkpoint {
    Checkpoint { epoch: 1, next_offset, partitions: 4 }
}

fn state(generation: u64, checkpoint: Option<Checkpoint>) -> PartitionState {
    PartitionState { checkpoint, generation, hole: None }
}

#[test]
fn reader_claims_its_partition_and_moves_its_checkpoint() {
    let browser = Browser::new(github);
    let fresh = |state| CheckpointResponse { state, stale: false };
    let advance = |next_offset| Operation::Advance { generation: 1, checkpoint: at(next_offset) };
    assert_eq!(ask(&browser, 0, Operation::Read), fresh(PartitionState::default()));
    assert_eq!(ask(&browser, 0, Operation::Claim(Some(at(5)))), fresh(state(1, Some(at(5)))));
    assert_eq!(ask(&browser, 0, advance(9)), fresh(state(1, Some(at(9)))));
    assert_eq!(ask(&browser, 0, advance(7)), fresh(state(1, Some(at(9)))), "never back");
    assert_eq!(ask(&browser, 0, Operation::Read), fresh(state(1, Some(at(9)))));
    assert_eq!(ask(&browser, 1, Operation::Read), fresh(PartitionState::default()), "each partition has its own");
    let other = send(&browser, &request("chat.other", 0, Operation::Read));
    assert_eq!(text(&other), r#"{"checkpoint":null,"generation":0,"stale":false}"#, "and each topic");
}

#[test]
fn replaced_reader_hears_that_it_is_and_changes_nothing() {
    let browser = Browser::new(github);
    ask(&browser, 0, Operation::Claim(Some(at(5))));
    ask(&browser, 0, Operation::Claim(None));
    let late = ask(&browser, 0, Operation::Advance { generation: 1, checkpoint: at(9) });
    assert_eq!(late, CheckpointResponse { state: state(2, Some(at(5))), stale: true });
    assert_eq!(ask(&browser, 0, Operation::Read).state, state(2, Some(at(5))));
}

#[test]
fn another_version_and_malformed_requests_are_rejected() {
    let browser = Browser::new(github);
    let newer = json!({"version": 3, "channel": "chat", "operation": "forget"}).to_string();
    let response = send(&browser, &newer);
    assert_eq!((response.status, code(&response).as_str()), (StatusCode::CONFLICT, "wire-version"));
    let good = request("chat.outbound", 0, Operation::Claim(None));
    for malformed in ["", "{}", r#"{"version":2}"#, &good.replace("claim", "forget"), &good.replace("chat\"", "a b\"")]
    {
        assert_eq!(code(&send(&browser, malformed)), "bad-request", "{malformed}");
    }
    assert_eq!(code(&send(&browser, &request(&"x".repeat(5000), 0, Operation::Read))), "too-large");
    assert_eq!(code(&send_signed(&browser, CHECKPOINT_PATH, &good, "s")), "unauthenticated");
    assert_eq!(code(&browser.send(Method::POST, CHECKPOINT_PATH, &[], &good)), "unauthenticated");
    assert!(browser.platform.partitions.borrow().is_empty());
}

#[test]
fn store_that_hangs_is_an_outage_after_five_seconds() {
    let browser = Browser::new(github);
    browser.platform.checkpoints_hang.set(true);
    let began_ms = browser.platform.now_ms.get();
    let response = send(&browser, &request("chat.outbound", 0, Operation::Read));
    assert_eq!(code(&response), "unavailable");
    assert_eq!(browser.platform.now_ms.get() - began_ms, 5000);
}
