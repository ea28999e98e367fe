//! `GET /v1/stream` and the delivery behind it, with a real Redis.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too, and one tells a figure"
)]

#[path = "../support/mod.rs"]
mod support;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use causeway_protocol::{
    deliver::Checkpoint,
    feed::FeedPolicy,
    hub::EndReason,
    problem::Problem,
    signature::SIGNATURE_HEADER,
    stream::{END_CHANNEL, EndStreams, StreamRequest, ended_key},
    subject::Subject,
};
use kafka_bridge::{listen::ClientTimeouts, redis_store::BufferLimits, server::Tuning};
use support::{
    Bridge, TEST_TIMEOUT,
    memory_kafka::MemoryKafka,
    redis::{RedisServer, record, record_of, records, user},
    sse::{Sse, request, sign},
};

const TOPIC: &str = "chat.outbound";

fn kafka(partitions: usize) -> Arc<MemoryKafka> {
    MemoryKafka::new(&[("chat.inbound", 1), (TOPIC, partitions)])
}

/// A bridge on this Redis, without records in Kafka.
async fn idle_bridge(redis: &RedisServer) -> Bridge {
    Bridge::on_redis(kafka(1), redis, &[], Tuning::default()).await
}

fn ids(epoch: u32, offsets: std::ops::Range<i64>) -> Vec<String> {
    offsets.map(|offset| format!("v1.{epoch}.0.{offset}")).collect()
}

/// SSE ids without their epoch, which depends on the clock for records from Kafka.
fn positions(ids: &[String]) -> Vec<String> {
    ids.iter().map(|id| id.splitn(3, '.').last().unwrap().to_owned()).collect()
}

fn in_first_partition(offsets: std::ops::Range<i64>) -> Vec<String> {
    offsets.map(|offset| format!("0.{offset}")).collect()
}

async fn until_ready_is(bridge: &Bridge, status: u16) -> String {
    let becomes = async {
        loop {
            let answer = bridge.http.get(bridge.url("/readyz")).send().await.unwrap();
            if answer.status() == status {
                return answer.text().await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(TEST_TIMEOUT, becomes).await.unwrap()
}

async fn metric(bridge: &Bridge, line: &str) -> bool {
    let text = bridge.http.get(bridge.url("/metrics")).send().await.unwrap().text().await.unwrap();
    text.lines().any(|found| found == line)
}

#[tokio::test]
async fn a_record_flows_from_kafka_to_the_client() {
    let Some(redis) = RedisServer::start().await else { return };
    let kafka = kafka(2);
    kafka.append_text(TOPIC, 0, "t:a", "first");
    let bridge = Bridge::on_redis(kafka.clone(), &redis, &[], Tuning::default()).await;
    let mut sse = Sse::open(&bridge, &request(&user("a"), None)).await;
    let header = |name: &str| sse.response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("content-type").as_deref(), Some("text/event-stream; charset=utf-8"));
    assert_eq!(header("cache-control").as_deref(), Some("no-store, no-transform"));
    assert_eq!(header("x-accel-buffering").as_deref(), Some("no"));
    let first = sse.frame().await.unwrap();
    assert_eq!((first.retry, first.comment.as_deref()), (true, Some("open")), "before any event");
    let event = sse.event().await.unwrap();
    assert_eq!(positions(&[event.id.unwrap()]), ["0.0"]);
    let data: serde_json::Value = serde_json::from_str(&event.data.unwrap()).unwrap();
    assert_eq!((&data["type"], &data["data"]["text"]), (&"message".into(), &"first".into()));

    kafka.append_text(TOPIC, 1, "t:b", "not for a");
    kafka.append_text(TOPIC, 1, "t:a", "second");
    let second = sse.ids(1).await;
    assert_eq!(positions(&second), ["1.1"]);

    // Another bridge resumes at the checkpoint, and the client at its last id.
    bridge.stop().await;
    assert_eq!(sse.frame().await, None, "stopping the bridge ends the stream");
    kafka.append_text(TOPIC, 1, "t:a", "third");
    let bridge = Bridge::on_redis(kafka.clone(), &redis, &[], Tuning::default()).await;
    let mut sse = Sse::open(&bridge, &request(&user("a"), Some(&second[0]))).await;
    assert_eq!(positions(&sse.ids(1).await), ["1.2"]);
    assert!(until_ready_is(&bridge, 200).await.contains(r#""redis":"ok""#));
    let rests = async || {
        let text: String = redis.command(&["GET", "causeway:checkpoint:chat.outbound:1"]).await;
        let checkpoint: Checkpoint = serde_json::from_str(&text).unwrap();
        (checkpoint.next_offset, checkpoint.partitions) == (3, 2)
    };
    until_async("the checkpoint has moved", rests).await;
    bridge.stop().await;
}

#[tokio::test]
async fn a_client_resumes_exactly_or_is_reset() {
    let Some(redis) = RedisServer::start().await else { return };
    let bridge = idle_bridge(&redis).await;
    let (buffer, a) = (redis.buffer(BufferLimits::default()), user("a"));
    buffer.append(&a, 0, &records(0..600), unix_millis()).await.unwrap();
    for (last_event_id, reason, received) in [
        (None, None, 100..600),
        (Some("v1.1.0.300"), None, 301..600),
        (Some("v1.1.0.50"), Some("out_of_buffer"), 100..600),
        (Some("v1.7.0.300"), Some("out_of_buffer"), 100..600),
        (Some("x"), Some("bad_cursor"), 100..600),
    ] {
        let mut sse = Sse::open(&bridge, &request(&a, last_event_id)).await;
        if let Some(reason) = reason {
            assert_eq!(sse.reason("reset").await, reason, "{last_event_id:?}");
        }
        let count = usize::try_from(received.end - received.start).unwrap();
        assert_eq!(sse.ids(count).await, ids(1, received), "{last_event_id:?}");
    }
    assert!(metric(&bridge, "causeway_stream_resets_total{reason=\"out_of_buffer\"} 2").await);
    bridge.stop().await;
}

#[tokio::test]
async fn s131_s140_a_cursor_of_another_users_stream_reveals_none_of_its_records() {
    let Some(redis) = RedisServer::start().await else { return };
    let bridge = idle_bridge(&redis).await;
    let buffer = redis.buffer(BufferLimits::default());
    let (mine, theirs) = (user("a"), user("b"));
    // The same user name in another tenant is another user.
    let namesake = Subject::new("other", mine.user()).unwrap();
    buffer.append(&theirs, 0, &records(0..10), unix_millis()).await.unwrap();
    buffer.append(&namesake, 0, &records(10..20), unix_millis()).await.unwrap();
    buffer.append(&mine, 0, &records(20..23), unix_millis()).await.unwrap();
    for position in ["v1.1.0.5", "v1.1.0.15", "v1.1.0.19", "v1.1.0.0"] {
        let mut sse = Sse::open(&bridge, &request(&mine, Some(position))).await;
        buffer.append(&theirs, 0, &records(30..31), unix_millis()).await.unwrap();
        // The user's own stream has no such position, whoever else's has.
        assert_eq!(sse.reason("reset").await, "out_of_buffer", "from {position}");
        assert_eq!(sse.ids(3).await, ids(1, 20..23), "from {position}");
    }
    bridge.stop().await;
}

#[tokio::test]
async fn no_record_is_missed_between_snapshot_and_live_records() {
    let Some(redis) = RedisServer::start().await else { return };
    let bridge = idle_bridge(&redis).await;
    let (buffer, a) = (redis.buffer(BufferLimits::default()), user("a"));
    let writing = tokio::spawn({
        let (buffer, a) = (Arc::clone(&buffer), a.clone());
        async move {
            for offset in 0..200 {
                for partition in 0..2 {
                    buffer.append(&a, partition, &[record(1, partition, offset)], unix_millis()).await.unwrap();
                }
            }
        }
    });
    let listen = async |wait_ms: u64| {
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        Sse::open(&bridge, &request(&a, None)).await.ids(400).await
    };
    let received = futures_util::future::join_all((0..20).map(|n| listen(n * 5))).await;
    writing.await.unwrap();
    let expected: Vec<_> = (0..400).map(|n| format!("v1.1.{}.{}", n % 2, n / 2)).collect();
    for (n, received) in received.iter().enumerate() {
        assert_eq!(*received, expected, "stream {n}");
    }
    bridge.stop().await;
}

#[tokio::test]
async fn s130_an_ended_session_ends_its_streams_and_no_others() {
    let Some(redis) = RedisServer::start().await else { return };
    let bridge = idle_bridge(&redis).await;
    let of = |session: &str| StreamRequest { session: session.to_owned(), ..request(&user("a"), None) };
    let [mut first, mut second, mut other] = [
        Sse::open(&bridge, &of("one")).await,
        Sse::open(&bridge, &of("one")).await,
        Sse::open(&bridge, &of("other")).await,
    ];
    until_ready_is(&bridge, 200).await;
    let end = EndStreams { subject: user("a"), session: "one".to_owned(), reason: EndReason::SignedOut };
    redis.command::<()>(&["PUBLISH", END_CHANNEL, &serde_json::to_string(&end).unwrap()]).await;
    for sse in [&mut first, &mut second] {
        assert_eq!(sse.reason("end").await, "signed_out");
        assert_eq!(sse.frame().await, None);
    }
    // Malformed messages on the channels disturb no stream.
    redis.command::<()>(&["PUBLISH", END_CHANNEL, "{"]).await;
    redis.command::<()>(&["PUBLISH", "causeway:wake", "\u{1}"]).await;
    redis.buffer(BufferLimits::default()).append(&user("a"), 0, &records(0..1), unix_millis()).await.unwrap();
    assert_eq!(other.ids(1).await, ids(1, 0..1));

    // Ended before the stream is opened.
    redis.command::<()>(&["SET", &ended_key("late"), "revoked"]).await;
    assert_eq!(Sse::request(&bridge, &of("late")).await.status(), 410);
    drop(other);
    until_async("all streams are closed", async || metric(&bridge, "causeway_streams 0").await).await;
    bridge.stop().await;
}

async fn until_async(what: &str, condition: impl AsyncFn() -> bool) {
    let holds = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(TEST_TIMEOUT, holds).await.unwrap_or_else(|_| panic!("timed out waiting until {what}"));
}

#[tokio::test]
async fn s130_a_stream_ends_when_its_session_expires() {
    let Some(redis) = RedisServer::start().await else { return };
    let bridge = idle_bridge(&redis).await;
    let started_at = tokio::time::Instant::now();
    let (brief, long) =
        (StreamRequest { session_ends_in_ms: 300, ..request(&user("a"), None) }, request(&user("a"), None));
    let mut ending = Sse::open(&bridge, &brief).await;
    let mut other = Sse::open(&bridge, &long).await;
    assert_eq!(ending.reason("end").await, "expired");
    assert_eq!(ending.frame().await, None, "and nothing after it");
    assert!(started_at.elapsed() >= Duration::from_millis(300));
    redis.buffer(BufferLimits::default()).append(&user("a"), 0, &records(0..1), unix_millis()).await.unwrap();
    assert_eq!(other.ids(1).await, ids(1, 0..1), "the user's other session is not ended");
    bridge.stop().await;
}

#[tokio::test]
async fn a_missed_session_end_is_found_after_reconnecting_and_at_rotation() {
    let Some(redis) = RedisServer::start().await else { return };
    let feed = FeedPolicy { rotate_after: Duration::from_secs(2), ..FeedPolicy::default() };
    let bridge = Bridge::on_redis(kafka(1), &redis, &[], Tuning { feed, ..Tuning::default() }).await;
    let of = |session: &str| StreamRequest { session: session.to_owned(), ..request(&user("a"), None) };
    until_ready_is(&bridge, 200).await;
    let mut first = Sse::open(&bridge, &of("one")).await;
    redis.command::<()>(&["SET", &ended_key("one"), "expired"]).await;
    redis.command::<u64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    assert_eq!(first.reason("end").await, "expired");

    let mut second = Sse::open(&bridge, &of("two")).await;
    let mut third = Sse::open(&bridge, &of("three")).await;
    redis.command::<()>(&["SET", &ended_key("two"), "revoked"]).await;
    assert_eq!(second.reason("end").await, "revoked");
    let mut last = None;
    while let Some(frame) = third.frame().await {
        last = Some(frame);
    }
    assert_eq!(last.unwrap().comment.as_deref(), Some("rotate"), "other streams rotate as usual");
    bridge.stop().await;
}

#[tokio::test]
async fn an_idle_stream_gets_keep_alives() {
    let Some(redis) = RedisServer::start().await else { return };
    let feed = FeedPolicy { keep_alive: Duration::from_millis(50), ..FeedPolicy::default() };
    let bridge = Bridge::on_redis(kafka(1), &redis, &[], Tuning { feed, ..Tuning::default() }).await;
    let mut sse = Sse::open(&bridge, &request(&user("a"), None)).await;
    sse.frame().await.unwrap();
    for _ in 0..3 {
        assert_eq!(sse.frame().await.unwrap().comment.as_deref(), Some("keep-alive"));
    }
    bridge.stop().await;
}

#[tokio::test]
async fn every_gap_of_a_slow_reader_is_reported() {
    let Some(redis) = RedisServer::start().await else { return };
    let bridge = idle_bridge(&redis).await;
    let (buffer, a) = (redis.buffer(BufferLimits::default()), user("a"));
    let mut slow = Sse::open(&bridge, &request(&a, None)).await;
    let large = format!("\"{}\"", "x".repeat(100_000));
    for first in (0..800).step_by(20) {
        let some: Vec<_> = (first..first + 20).map(|offset| record_of(1, 0, offset, &large)).collect();
        buffer.append(&a, 0, &some, unix_millis()).await.unwrap();
    }
    let (mut received, mut resets) = (Vec::new(), Vec::new());
    while received.last() != Some(&799) {
        let frame = slow.event().await.unwrap();
        match frame.event {
            None => received.push(frame.id.unwrap().rsplit('.').next().unwrap().parse::<i64>().unwrap()),
            Some(event) => resets.push((event, frame.data.unwrap(), received.len())),
        }
    }
    let positions: Vec<_> = resets.iter().map(|(_, _, before)| *before).collect();
    for (event, data, _) in &resets {
        assert_eq!((event.as_str(), data.as_str()), ("reset", r#"{"reason":"too_slow"}"#));
    }
    assert!(!resets.is_empty(), "more was written than a buffer and a connection hold");
    let gaps = (1..received.len()).filter(|n| received[*n] != received[n - 1] + 1);
    assert_eq!(gaps.collect::<Vec<_>>(), positions, "each gap is reported, and nothing else");
    assert!(received.is_sorted() && received[0] == 0);
    bridge.stop().await;
}

#[tokio::test]
async fn a_reader_that_stalls_is_disconnected() {
    let Some(redis) = RedisServer::start().await else { return };
    let client_timeouts = ClientTimeouts { writes: Duration::from_millis(200), ..ClientTimeouts::default() };
    let bridge = Bridge::on_redis(kafka(1), &redis, &[], Tuning { client_timeouts, ..Tuning::default() }).await;
    let (buffer, a) = (redis.buffer(BufferLimits::default()), user("a"));
    let idle = Sse::open(&bridge, &request(&a, None)).await;
    // More than the operating system buffers for a connection.
    let large = format!("\"{}\"", "x".repeat(100_000));
    for first in (0..400).step_by(20) {
        let some: Vec<_> = (first..first + 20).map(|offset| record_of(1, 0, offset, &large)).collect();
        buffer.append(&a, 0, &some, unix_millis()).await.unwrap();
    }
    until_async("the stream is closed", async || metric(&bridge, "causeway_streams 0").await).await;
    drop(idle);
    bridge.stop().await;
}

#[tokio::test]
async fn broken_redis_connections_lose_and_duplicate_no_record() {
    let Some(redis) = RedisServer::start().await else { return };
    let kafka = kafka(1);
    let bridge = Bridge::on_redis(kafka.clone(), &redis, &[], Tuning::default()).await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(Sse::open(&bridge, &request(&user("a"), None)).await);
    }
    let writing = tokio::spawn(async move {
        for n in 0..400 {
            kafka.append_text(TOPIC, 0, "t:a", &n.to_string());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    for n in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let kind = ["normal", "pubsub"][n % 2];
        redis.command::<u64>(&["CLIENT", "KILL", "TYPE", kind]).await;
    }
    for sse in &mut streams {
        assert_eq!(positions(&sse.ids(400).await), in_first_partition(0..400));
    }
    writing.await.unwrap();
    bridge.stop().await;
}

#[tokio::test]
async fn streams_survive_a_redis_restart_with_data() {
    let Some(mut redis) = RedisServer::start().await else { return };
    let kafka = kafka(1);
    let bridge = Bridge::on_redis(kafka.clone(), &redis, &[], Tuning::default()).await;
    let mut sse = Sse::open(&bridge, &request(&user("a"), None)).await;
    kafka.append_text(TOPIC, 0, "t:a", "before");
    assert_eq!(positions(&sse.ids(1).await), in_first_partition(0..1));
    redis.kill();
    kafka.append_text(TOPIC, 0, "t:a", "meanwhile");
    until_ready_is(&bridge, 503).await;
    let refused = Sse::request(&bridge, &request(&user("a"), None)).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    redis.restart(true).await;
    assert_eq!(positions(&sse.ids(1).await), in_first_partition(1..2));
    kafka.append_text(TOPIC, 0, "t:a", "after");
    assert_eq!(positions(&sse.ids(1).await), in_first_partition(2..3));
    until_ready_is(&bridge, 200).await;
    bridge.stop().await;
}

#[tokio::test]
async fn lost_redis_data_is_reported_and_delivered_again() {
    let Some(mut redis) = RedisServer::start().await else { return };
    let kafka = kafka(2);
    for n in 0..5 {
        kafka.append_text(TOPIC, 0, "t:a", &n.to_string());
    }
    kafka.append_text(TOPIC, 1, "t:quiet", "hello");
    let tuning = Tuning { refresh: Duration::from_millis(100), ..Tuning::default() };
    let bridge = Bridge::on_redis(kafka.clone(), &redis, &[], tuning).await;
    let mut sse = Sse::open(&bridge, &request(&user("a"), None)).await;
    assert_eq!(positions(&sse.ids(5).await), in_first_partition(0..5));
    redis.kill();
    redis.restart(false).await;
    assert_eq!(sse.reason("reset").await, "out_of_buffer");
    assert_eq!(positions(&sse.ids(5).await), in_first_partition(0..5), "from the beginning, without a new record");
    kafka.append_text(TOPIC, 0, "t:a", "5");
    assert_eq!(positions(&sse.ids(1).await), in_first_partition(5..6));
    let mut quiet = Sse::open(&bridge, &request(&user("quiet"), None)).await;
    assert_eq!(positions(&quiet.ids(1).await), ["1.0"], "users without new records, too");
    bridge.stop().await;
}

#[tokio::test]
async fn streams_require_the_edges_signature_and_are_limited() {
    let Some(redis) = RedisServer::start().await else { return };
    let tuning = Tuning { user_streams: 2, ..Tuning::default() };
    let bridge = Bridge::on_redis(kafka(1), &redis, &[("BRIDGE_MAX_STREAMS", "3")], tuning).await;
    let problem = async |response: reqwest::Response| {
        let status = response.status().as_u16();
        let problem: Problem = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        (status, problem.code)
    };
    let get =
        |target: &str, signature: &str| bridge.http.get(bridge.url(target)).header(SIGNATURE_HEADER, signature).send();
    let target = request(&user("a"), None).target();
    let other = request(&user("b"), None).target();
    assert_eq!(problem(get(&target, "").await.unwrap()).await, (401, "unauthorized".to_owned()));
    assert_eq!(problem(get(&target, &sign(&other)).await.unwrap()).await, (401, "unauthorized".to_owned()));
    for bad in ["/v1/stream", "/v1/stream?open=", "/v1/stream?open=e30"] {
        assert_eq!(problem(get(bad, &sign(bad)).await.unwrap()).await, (400, "malformed".to_owned()), "{bad}");
    }

    let full = |status| (status, "too_many_streams".to_owned());
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(Sse::open(&bridge, &request(&user("a"), None)).await);
    }
    assert_eq!(problem(Sse::request(&bridge, &request(&user("a"), None)).await).await, full(429));
    open.push(Sse::open(&bridge, &request(&user("b"), None)).await);
    assert_eq!(problem(Sse::request(&bridge, &request(&user("c"), None)).await).await, full(503));
    // A client that disconnects makes room at once, without a failed write.
    open.clear();
    until_async("there is room", async || metric(&bridge, "causeway_streams 0").await).await;
    Sse::open(&bridge, &request(&user("a"), None)).await;
    bridge.stop().await;
}

#[tokio::test]
async fn two_bridges_on_one_partition_duplicate_no_record() {
    let Some(redis) = RedisServer::start().await else { return };
    let kafka = kafka(1);
    let bridges = [
        Bridge::on_redis(kafka.clone(), &redis, &[], Tuning::default()).await,
        Bridge::on_redis(kafka.clone(), &redis, &[], Tuning::default()).await,
    ];
    let mut streams = Vec::new();
    for bridge in &bridges {
        streams.push(Sse::open(bridge, &request(&user("a"), None)).await);
    }
    for n in 0..200 {
        kafka.append_text(TOPIC, 0, "t:a", &n.to_string());
        tokio::task::yield_now().await;
    }
    for sse in &mut streams {
        assert_eq!(positions(&sse.ids(200).await), in_first_partition(0..200));
    }
    for bridge in bridges {
        bridge.stop().await;
    }
}

#[tokio::test]
async fn streams_are_not_served_without_redis() {
    let edge = support::edge::Edge::start().await;
    let bridge = Bridge::start(kafka(1), &edge.url).await;
    assert_eq!(Sse::request(&bridge, &request(&user("a"), None)).await.status(), 404);
    bridge.stop().await;
}

/// Killed when the test ends, also on failure.
struct Program(std::process::Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn rss_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Runs the real program, so that its memory use is only its own.
#[tokio::test]
async fn a_thousand_idle_streams_share_two_connections_to_redis() {
    let Some(redis) = RedisServer::start().await else { return };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let vars: BTreeMap<_, _> = [
        ("BRIDGE_LISTEN", format!("127.0.0.1:{port}")),
        ("BRIDGE_KEYS", support::keys()),
        ("BRIDGE_REDIS_URL", redis.url()),
        // No Kafka is there. Streams are served nevertheless.
        ("KAFKA_BROKERS", "127.0.0.1:1".to_owned()),
        ("PATH", std::env::var("PATH").unwrap()),
        ("RUST_LOG", "off".to_owned()),
    ]
    .into();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kafka-bridge"));
    let program = Program(command.env_clear().envs(&vars).spawn().unwrap());
    let base = format!("http://127.0.0.1:{port}");
    // Fails only if another test installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::new();
    let open = async |n: usize| {
        let target = request(&Subject::new("t", &n.to_string()).unwrap(), None).target();
        let response = http.get(format!("{base}{target}")).header(SIGNATURE_HEADER, sign(&target)).send().await;
        let mut response = response.unwrap();
        assert_eq!(response.status(), 200);
        response.chunk().await.unwrap().expect("the first bytes");
        response
    };
    until_async("it serves", async || http.get(format!("{base}/healthz")).send().await.is_ok()).await;
    drop(open(0).await);

    let before = rss_kib(program.0.id());
    let mut streams = Vec::new();
    for n in 0..1000 {
        streams.push(open(n).await);
    }
    let after = rss_kib(program.0.id());
    let clients: String = redis.command(&["CLIENT", "LIST"]).await;
    // The third client is the test's own.
    assert_eq!(clients.lines().count(), 3, "{clients}");
    println!("memory: {} KiB for 1000 idle streams (RSS {before} KiB before, {after} KiB after)", after - before);
    assert!(after - before < 64 * 1024, "{} KiB", after - before);

    // Only the user who gets a record receives it.
    let buffer = redis.buffer(BufferLimits::default());
    buffer.append(&Subject::new("t", "500").unwrap(), 0, &records(0..1), unix_millis()).await.unwrap();
    let received = tokio::time::timeout(TEST_TIMEOUT, streams[500].chunk()).await.unwrap().unwrap().unwrap();
    assert!(received.starts_with(b"id: v1.1.0.0\n"));
    let silent = tokio::time::timeout(Duration::from_millis(50), streams[501].chunk()).await;
    assert!(silent.is_err());
}
