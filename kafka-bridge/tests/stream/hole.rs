//! Every hole is told: to a stream that is open, with the user's next record; to a client that was away, when it comes
//! back; once each.

use super::*;

fn tuning() -> Tuning {
    Tuning { clock: Some(|| 7), ..Tuning::default() }
}

async fn until_next_offset(redis: &RedisServer, next_offset: i64) {
    let is_done = async || {
        let text: Option<String> = redis.command(&["GET", "causeway:checkpoint:chat.outbound:0"]).await;
        let state: Option<PartitionState> = text.and_then(|text| serde_json::from_str(&text).ok());
        state.and_then(|state| state.checkpoint).is_some_and(|at| at.next_offset >= next_offset)
    };
    until_async("the checkpoint has passed", is_done).await;
}

/// The next event is a gap that ends at this id.
async fn hears_gap(sse: &mut Sse, id: &str, reason: &str) {
    let event = sse.event().await.unwrap();
    assert_eq!((event.event.as_deref(), event.id.as_deref()), (Some("reset"), Some(id)), "{event:?}");
    assert_eq!(event.data.unwrap(), format!("{{\"reason\":\"{reason}\"}}"));
}

#[tokio::test]
async fn a_hole_is_told_to_everyone_who_may_have_missed_something() {
    let Some(redis) = RedisServer::start().await else { return };
    let kafka = kafka(1);
    for user in ["t:a", "t:b", "t:a", "t:c"] {
        kafka.append_text(TOPIC, 0, user, "before");
    }
    let bridge = Bridge::on_redis(kafka.clone(), &redis, &[], tuning()).await;
    let mut live = Sse::open(&bridge, &request(&user("a"), None)).await;
    assert_eq!(live.ids(2).await, ["v2.chat.7.0.0", "v2.chat.7.0.2"]);
    // In one fetch: a record, the hole, a record.
    kafka.append_undecodable(TOPIC, 0, 3, "a null header value");
    kafka.append_text(TOPIC, 0, "t:a", "after");
    until_next_offset(&redis, 8).await;
    hears_gap(&mut live, "v2.chat.7.0.6", "undeliverable").await;
    assert_eq!(live.ids(1).await, ["v2.chat.7.0.7"]);
    kafka.append_text(TOPIC, 0, "t:a", "later");
    assert_eq!(live.ids(1).await, ["v2.chat.7.0.8"], "told once");

    // These got no record since. They hear of it when they come back, at this bridge or at the next one.
    let mut back = Sse::open(&bridge, &request(&user("b"), Some("v2.chat.7.0.1"))).await;
    hears_gap(&mut back, "v2.chat.7.0.6", "undeliverable").await;
    bridge.stop().await;
    let bridge = Bridge::on_redis(kafka.clone(), &redis, &[], tuning()).await;
    let mut back = Sse::open(&bridge, &request(&user("c"), Some("v2.chat.7.0.3"))).await;
    hears_gap(&mut back, "v2.chat.7.0.6", "undeliverable").await;
    let mut again = Sse::open(&bridge, &request(&user("c"), Some("v2.chat.7.0.6"))).await;
    kafka.append_text(TOPIC, 0, "t:c", "later");
    for sse in [&mut back, &mut again] {
        assert_eq!(sse.ids(1).await, ["v2.chat.7.0.9"], "told once, also after a restart");
    }
    bridge.stop().await;
}

#[tokio::test]
async fn a_client_that_was_away_while_the_bridge_was_hears_what_retention_took() {
    let Some(redis) = RedisServer::start().await else { return };
    let kafka = kafka(1);
    kafka.append_text(TOPIC, 0, "t:a", "0");
    let bridge = Bridge::on_redis(kafka.clone(), &redis, &[], tuning()).await;
    let mut sse = Sse::open(&bridge, &request(&user("a"), None)).await;
    let ids = sse.ids(1).await;
    until_next_offset(&redis, 1).await;
    bridge.stop().await;
    for _ in 1..6 {
        kafka.append_text(TOPIC, 0, "t:a", "lost");
    }
    kafka.retain_from(TOPIC, 0, 6);
    kafka.append_text(TOPIC, 0, "t:b", "another user's");
    let bridge = Bridge::on_redis(kafka.clone(), &redis, &[], tuning()).await;
    until_next_offset(&redis, 7).await;
    let mut sse = Sse::open(&bridge, &request(&user("a"), Some(&ids[0]))).await;
    hears_gap(&mut sse, "v2.chat.7.0.5", "retention").await;
    bridge.stop().await;
}
