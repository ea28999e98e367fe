//! Pages of earlier events come from the buffer, and from Kafka only what is older.

use causeway_protocol::{
    buffer::cases::{Received, received_in},
    replay::{ReplayHead, ReplayRange, ReplayRequest},
};

use super::{
    replay::{fill, small, until_delivered},
    *,
};

/// A page of user `a`, whose records have the even offsets: their offsets, and the first line.
async fn page(bridge: &Bridge, before: Option<i64>, limit: u32) -> Option<(Vec<i64>, ReplayHead)> {
    let channel = support::redis::channel("chat");
    let cursor = before.map(|offset| format!("v2.chat.7.0.{offset}").parse().unwrap());
    let range = ReplayRange::Before { cursor, limit };
    let target = ReplayRequest { version: WIRE_VERSION, subject: user("a"), channel, range }.target();
    let get = bridge.http.get(bridge.url(&target)).header(SIGNATURE_HEADER, sign(&target));
    let response = get.send().await.unwrap();
    if response.status() != 200 {
        return None;
    }
    let text = response.text().await.unwrap();
    let (head, frames) = ReplayHead::parse(&text).unwrap();
    let offset = |received| match received {
        Received::Record(id) => id.parse::<Cursor>().unwrap().position.offset,
        other => panic!("{other:?}"),
    };
    Some((received_in(frames).into_iter().map(offset).collect(), head))
}

fn evens(from: i64, to: i64) -> Vec<i64> {
    (from..to).step_by(2).collect()
}

#[tokio::test]
async fn a_page_that_the_buffer_has_needs_no_kafka_and_kafka_is_read_only_for_what_is_older() {
    let Some(redis) = RedisServer::start().await else { return };
    let kafka = kafka(1);
    fill(&kafka, 0..1000);
    let bridge = Bridge::on_redis(kafka.clone(), &redis, &[], small(TEST_TIMEOUT)).await;
    until_delivered(&redis, 1000).await;
    // The buffer has about the last 100 records of the user.
    let (offsets, head) = page(&bridge, Some(900), 60).await.unwrap();
    assert_eq!(offsets, evens(780, 900));
    assert_eq!((head.records, head.gone), (60, None));

    kafka.set_down(true);
    let (offsets, head) = page(&bridge, None, 10).await.unwrap();
    assert_eq!(offsets, evens(980, 1000));
    assert_eq!(head.next.unwrap().to_string(), "v2.chat.7.0.980");
    let (offsets, head) = page(&bridge, None, 200).await.unwrap();
    let oldest = head.next.unwrap().position.offset;
    assert_eq!(offsets, evens(oldest, 1000), "without Kafka, what the buffer has");
    assert!((780..900).contains(&oldest), "{oldest}");
    // With a limit of its own, so that it is none of the answers that are kept for a moment.
    assert_eq!(page(&bridge, Some(oldest), 11).await, None, "that is in Kafka alone");

    kafka.set_down(false);
    let (offsets, _) = page(&bridge, Some(oldest), 10).await.unwrap();
    assert_eq!(offsets, evens(oldest - 20, oldest));
    bridge.stop().await;
}
