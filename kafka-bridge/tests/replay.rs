//! `GET /v1/replay`: what is read from Kafka again, in the bytes of live delivery, and what can't be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod support;

use std::sync::Arc;

use causeway_protocol::{
    buffer::cases::{Received, received_in},
    channel::Channel,
    cursor::Cursor,
    deliver::WIRE_VERSION,
    hub::ResetReason,
    problem::Problem,
    replay::{MAX_REPLAY_BYTES, ReplayHead, ReplayRange, ReplayRequest},
    signature::SIGNATURE_HEADER,
    subject::Subject,
};
use kafka_bridge::{kafka::NewRecord, replay::ReplayLimits, server::Tuning};
use support::{Bridge, edge::Edge, memory_kafka::MemoryKafka, sse::sign, until};

const TOPIC: &str = "chat.outbound";

/// A bridge whose epochs begin at 7, and its edge.
struct World {
    kafka: Arc<MemoryKafka>,
    edge: Edge,
    bridge: Bridge,
}

impl World {
    async fn start(kafka: Arc<MemoryKafka>, replay: ReplayLimits) -> Self {
        let edge = Edge::start().await;
        // Each request is a scan of its own, so that a test can change what Kafka has.
        let replay = ReplayLimits { cached_for: std::time::Duration::ZERO, ..replay };
        let tuning = Tuning { clock: Some(|| 7), replay, ..Tuning::default() };
        let bridge = Bridge::start_with(kafka.clone(), &edge.url, &[], tuning).await;
        until("partitions are claimed", || edge.state().checkpoint(0).is_some()).await;
        Self { kafka, edge, bridge }
    }

    async fn get(&self, request: &ReplayRequest) -> reqwest::Response {
        let target = request.target();
        let signature = sign(&target);
        self.bridge.http.get(self.bridge.url(&target)).header(SIGNATURE_HEADER, signature).send().await.unwrap()
    }

    async fn read(&self, range: ReplayRange) -> (ReplayHead, String) {
        let response = self.get(&of("t:a", range)).await;
        assert_eq!(response.status(), 200);
        let text = response.text().await.unwrap();
        let (head, frames) = ReplayHead::parse(&text).unwrap();
        (head, frames.to_owned())
    }

    async fn problem(&self, request: &ReplayRequest) -> (u16, String) {
        let response = self.get(request).await;
        let status = response.status().as_u16();
        let problem: Problem = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        (status, problem.code)
    }
}

fn kafka() -> Arc<MemoryKafka> {
    MemoryKafka::new(&[("chat.inbound", 1), (TOPIC, 1)])
}

/// Records of two users in turn: the even offsets are those of `t:a`.
fn fill(kafka: &MemoryKafka, count: i64) {
    for offset in 0..count {
        let user = ["t:a", "t:b"][usize::try_from(offset % 2).unwrap()];
        assert_eq!(kafka.append_text(TOPIC, 0, user, &offset.to_string()), offset);
    }
}

fn of(subject: &str, range: ReplayRange) -> ReplayRequest {
    let (subject, channel) = (Subject::parse(subject).unwrap(), Channel::parse("chat").unwrap());
    ReplayRequest { version: WIRE_VERSION, subject, channel, range }
}

fn id(offset: i64) -> String {
    format!("v2.chat.7.0.{offset}")
}

fn cursor(offset: i64) -> Cursor {
    id(offset).parse().unwrap()
}

fn after(offset: i64, until: Option<i64>) -> ReplayRange {
    ReplayRange::After { cursor: cursor(offset), until: until.map(cursor) }
}

fn before(offset: Option<i64>, limit: u32) -> ReplayRange {
    ReplayRange::Before { cursor: offset.map(cursor), limit }
}

fn records(offsets: impl IntoIterator<Item = i64>) -> Vec<Received> {
    offsets.into_iter().map(|offset| Received::Record(id(offset))).collect()
}

#[tokio::test]
async fn a_users_records_are_read_again_in_the_bytes_of_their_delivery() {
    let kafka = kafka();
    fill(&kafka, 3000);
    let world = World::start(kafka, ReplayLimits::default()).await;
    until("all is delivered", || world.edge.state().next_offset(0) == Some(3000)).await;
    let (head, frames) = world.read(after(1000, Some(2000))).await;
    assert_eq!((head.records, head.next, head.gone), (500, None, None));
    assert_eq!(received_in(&frames), records((1002..=2000).step_by(2)));
    let delivered: String =
        (1002..=2000).step_by(2).map(|offset| world.edge.state().frame("t:a", &id(offset)).to_owned()).collect();
    assert_eq!(frames, delivered);
    // The cursor is somebody else's record, and the session chooses the user.
    let (_, frames) = world.read(after(2991, None)).await;
    assert_eq!(received_in(&frames), records([2992, 2994, 2996, 2998]));
    let partly = ReplayRange::After { cursor: "v2.chat.7.0.2998-0".parse().unwrap(), until: None };
    assert_eq!(received_in(&world.read(partly).await.1), records([2998]), "it has only some of the record's events");
    assert_eq!(world.read(after(2999, None)).await, (ReplayHead::default(), String::new()));
}

#[tokio::test]
async fn a_long_range_takes_several_requests() {
    let kafka = kafka();
    for offset in 0..100 {
        kafka.append_text(TOPIC, 0, "t:a", &"x".repeat(20_000 + offset));
    }
    let world = World::start(kafka, ReplayLimits::default()).await;
    let (mut at, mut all, mut requests) = (cursor(9), Vec::new(), 0);
    loop {
        let range = ReplayRange::After { cursor: at, until: Some(cursor(95)) };
        let (head, frames) = world.read(range).await;
        assert!(frames.len() <= MAX_REPLAY_BYTES + 21_000);
        all.extend(received_in(&frames));
        requests += 1;
        match head.next {
            Some(next) => at = next,
            None => break,
        }
    }
    assert_eq!(all, records(10..=95));
    assert!((3..=5).contains(&requests), "{requests}");
}

#[tokio::test]
async fn a_scan_stops_at_its_limits_and_says_how_far_it_came() {
    let kafka = kafka();
    for offset in 0..20_000 {
        kafka.append_text(TOPIC, 0, if offset % 5000 == 0 { "t:a" } else { "t:b" }, &"x".repeat(100));
    }
    let world = World::start(kafka, ReplayLimits { records: 6000, ..ReplayLimits::default() }).await;
    let (head, frames) = world.read(after(0, Some(19_999))).await;
    let next = head.next.unwrap().position.offset;
    assert!((6000..19_000).contains(&next), "{next}");
    let found = records((5000..=next).step_by(5000));
    assert_eq!(received_in(&frames), found);
    let (head, frames) = world.read(before(None, 100)).await;
    let next = head.next.unwrap();
    assert!(!received_in(&frames).is_empty() || next.position.offset < 20_000);
    assert_eq!(head.gone, None);
}

#[tokio::test]
async fn what_kafka_no_longer_has_is_a_gap_among_the_records() {
    let kafka = kafka();
    fill(&kafka, 10);
    kafka.append_undecodable(TOPIC, 0, 5, "a null header");
    kafka.append_undecodable(TOPIC, 0, 1, "a control batch");
    fill_from(&kafka, 16, 20);
    let world = World::start(kafka, ReplayLimits::default()).await;
    let gap = Received::Reset;
    let undecodable = [records([8]), vec![gap(ResetReason::Undeliverable)], records([16, 18])].concat();
    let (_, frames) = world.read(after(7, Some(19))).await;
    assert_eq!(received_in(&frames), undecodable);
    assert!(frames.contains("id: v2.chat.7.0.14\nevent: reset\n"), "a client resumes after the gap: {frames}");

    world.kafka.retain_from(TOPIC, 0, 4);
    let (_, frames) = world.read(after(1, Some(6))).await;
    assert_eq!(received_in(&frames), [vec![gap(ResetReason::Retention)], records([4, 6])].concat());
    let (_, frames) = world.read(after(1, Some(2))).await;
    assert_eq!(received_in(&frames), [gap(ResetReason::Retention)], "all of it");
    assert!(frames.starts_with("id: v2.chat.7.0.2\n"), "{frames}");
    assert_eq!(received_in(&world.read(after(3, Some(6))).await.1), records([4, 6]), "nothing of these");

    let (_, frames) = world.read(after(17, Some(25))).await;
    assert_eq!(received_in(&frames), [records([18]), vec![gap(ResetReason::Truncated)]].concat());
}

fn fill_from(kafka: &MemoryKafka, from: i64, to: i64) {
    for offset in from..to {
        let user = ["t:a", "t:b"][usize::try_from(offset % 2).unwrap()];
        assert_eq!(kafka.append_text(TOPIC, 0, user, &offset.to_string()), offset);
    }
}

#[tokio::test]
async fn offsets_of_another_epoch_or_partition_mean_nothing() {
    let kafka = kafka();
    fill(&kafka, 10);
    let world = World::start(kafka, ReplayLimits::default()).await;
    for other in ["v2.chat.6.0.3", "v2.chat.8.0.3", "v2.chat.7.1.3"] {
        let range = ReplayRange::After { cursor: other.parse().unwrap(), until: None };
        let (head, frames) = world.read(range).await;
        assert_eq!((head.gone, frames.as_str()), (Some(ResetReason::OutOfBuffer), ""), "{other}");
    }
}

#[tokio::test]
async fn history_pages_back_to_the_beginning() {
    let kafka = kafka();
    fill(&kafka, 4000);
    let world = World::start(kafka, ReplayLimits::default()).await;
    let (mut at, mut all, mut pages) = (None, Vec::new(), 0);
    loop {
        let (head, frames) = world.read(ReplayRange::Before { cursor: at, limit: 150 }).await;
        assert_eq!(head.gone, None);
        let page = received_in(&frames);
        assert!(page.len() <= 150);
        all.splice(0..0, page);
        pages += 1;
        match head.next {
            Some(next) => at = Some(next),
            None => break,
        }
    }
    assert_eq!(all, records((0..4000).step_by(2)));
    assert!(pages < 30, "{pages}");

    world.kafka.retain_from(TOPIC, 0, 3990);
    let (head, frames) = world.read(before(Some(3996), 50)).await;
    assert_eq!(received_in(&frames), records([3990, 3992, 3994]));
    assert_eq!((head.next, head.gone), (None, Some(ResetReason::Retention)), "what was before is gone");
    let (head, frames) = world.read(before(Some(10), 50)).await;
    assert_eq!((frames.as_str(), head.next, head.gone), ("", None, Some(ResetReason::Retention)));
}

#[tokio::test]
async fn history_is_read_in_parts_where_records_are_large() {
    let kafka = kafka();
    for offset in 0..300 {
        kafka.append_text(TOPIC, 0, if offset % 50 == 0 { "t:a" } else { "t:b" }, &"x".repeat(10_000));
    }
    let world = World::start(kafka, ReplayLimits { bytes: 1_000_000, ..ReplayLimits::default() }).await;
    let (mut at, mut all) = (None, Vec::new());
    loop {
        let (head, frames) = world.read(ReplayRange::Before { cursor: at, limit: 50 }).await;
        all.splice(0..0, received_in(&frames));
        match head.next {
            Some(next) => at = Some(next),
            None => break,
        }
    }
    assert_eq!(all, records((0..300).step_by(50)));
}

#[tokio::test]
async fn the_pieces_of_a_complete_message_are_left_out() {
    let kafka = kafka();
    let append = |kind: &str, data: &str| {
        let headers = [("ce_type".to_owned(), kind.as_bytes().to_vec())].into();
        let record = NewRecord { key: Some(b"t:a".to_vec()), value: Some(data.as_bytes().to_vec()), headers };
        kafka.append(TOPIC, 0, record)
    };
    append("message", r#"{"id":"m0"}"#);
    append("delta", r#"{"id":"m1","seq":0}"#);
    append("delta", r#"{"id":"m1","seq":1}"#);
    append("message", r#"{"id":"m1"}"#);
    append("delta", r#"{"id":"m2","seq":0}"#);
    let world = World::start(kafka, ReplayLimits::default()).await;
    assert_eq!(received_in(&world.read(after(0, None)).await.1), records([3, 4]));
    assert_eq!(
        received_in(&world.read(after(0, Some(2))).await.1),
        records([1, 2]),
        "the whole message is in the buffer"
    );
    assert_eq!(received_in(&world.read(before(None, 3)).await.1), records([0, 3, 4]));
    let (head, frames) = world.read(before(None, 2)).await;
    assert_eq!(received_in(&frames), records([3, 4]));
    let earlier = ReplayRange::Before { cursor: head.next, limit: 2 };
    assert_eq!(received_in(&world.read(earlier).await.1), records([0]), "nor are they on the page before");
}

#[tokio::test]
async fn the_many_pieces_of_a_complete_message_are_on_no_page() {
    let kafka = kafka();
    let append = |user: &str, kind: &str, data: &str| {
        let headers = [("ce_type".to_owned(), kind.as_bytes().to_vec())].into();
        let record = NewRecord { key: Some(user.into()), value: Some(data.as_bytes().to_vec()), headers };
        kafka.append(TOPIC, 0, record)
    };
    append("t:a", "message", r#"{"id":"m0"}"#);
    for seq in 0..500 {
        append("t:a", "delta", &format!(r#"{{"id":"m1","seq":{seq}}}"#));
        append("t:b", "message", r#"{"id":"m9"}"#);
    }
    append("t:a", "message", r#"{"id":"m1"}"#);
    let world = World::start(kafka, ReplayLimits::default()).await;
    let (head, frames) = world.read(before(None, 1)).await;
    assert_eq!(received_in(&frames), records([1001]));
    let (head, frames) = world.read(ReplayRange::Before { cursor: head.next, limit: 1 }).await;
    assert_eq!((received_in(&frames), head.next), (records([0]), None));
}

#[tokio::test]
async fn records_are_found_by_their_time() {
    let kafka = kafka();
    fill(&kafka, 10);
    let world = World::start(kafka, ReplayLimits::default()).await;
    let since = |time_ms| ReplayRange::Since { time_ms };
    assert_eq!(received_in(&world.read(since(0)).await.1), records([0, 2, 4, 6, 8]));
    assert_eq!(world.read(since(i64::MAX)).await, (ReplayHead::default(), String::new()));
}

#[tokio::test]
async fn only_the_edges_own_requests_are_answered() {
    let kafka = kafka();
    fill(&kafka, 10);
    let world = World::start(kafka, ReplayLimits { user_scans: 0, ..ReplayLimits::default() }).await;
    let all = of("t:a", after(0, None));
    let unsigned = world.bridge.http.get(world.bridge.url(&all.target())).send().await.unwrap();
    assert_eq!(unsigned.status(), 401);
    assert_eq!(world.problem(&ReplayRequest { version: 9, ..all.clone() }).await, (409, "wire_version".to_owned()));
    let channel = Channel::parse("nope").unwrap();
    assert_eq!(world.problem(&ReplayRequest { channel, ..all.clone() }).await, (404, "unknown_channel".to_owned()));
    let elsewhere = ReplayRange::After { cursor: "v2.feed.7.0.1".parse().unwrap(), until: None };
    for bad in [elsewhere, before(None, 0), before(None, 10_000)] {
        assert_eq!(world.problem(&of("t:a", bad)).await, (400, "malformed".to_owned()));
    }
    assert_eq!(world.problem(&all).await, (429, "too_many_replays".to_owned()));
}

#[tokio::test]
async fn s166_a_position_of_another_user_brings_a_user_only_their_own_records() {
    let kafka = kafka();
    fill(&kafka, 10);
    let world = World::start(kafka, ReplayLimits::default()).await;
    // The odd offsets are the other user's.
    assert_eq!(received_in(&world.read(after(3, Some(9))).await.1), records([4, 6, 8]));
    assert_eq!(received_in(&world.read(before(Some(7), 50)).await.1), records([0, 2, 4, 6]));
    // The same user name in another tenant is another user.
    let response = world.get(&of("other:a", before(None, 50))).await;
    let text = response.text().await.unwrap();
    assert_eq!(ReplayHead::parse(&text).unwrap().1, "");
}

#[tokio::test]
async fn a_kafka_that_is_down_is_told() {
    let world = World::start(kafka(), ReplayLimits::default()).await;
    world.kafka.set_down(true);
    assert_eq!(world.problem(&of("t:a", after(0, Some(5)))).await, (503, "unavailable".to_owned()));
}
