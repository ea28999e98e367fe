//! Many users in one partition: each gets theirs, within bounds of memory and time. With paused time, on a sink in
//! memory.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::{isolation::Delivering, support::memory_sink::MemorySink, *};

/// The bytes of the records that wait or are in flight, as an operator sees them.
fn backlog_bytes(delivering: &Delivering) -> usize {
    let text = delivering.metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix("causeway_backlog_bytes{")?.split(' ').nth(1));
    line.map_or(0, |bytes| bytes.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn two_thousand_users_of_one_partition_each_get_theirs_once_and_in_order_within_the_bound_of_memory() {
    const USERS: i64 = 2000;
    const RECORDS: i64 = 5 * USERS;
    let (kafka, sink) = (kafka(1), MemorySink::new());
    // 40 MiB, of which a partition may have 16 MiB in memory, and one fetch more.
    let text = "x".repeat(4 * 1024);
    for n in 0..RECORDS {
        kafka.append_text(TOPIC, 0, &format!("github:{}", n % USERS), &text);
    }
    let delivering = Delivering::start(&kafka, &sink);
    let mut most = 0;
    while delivering.state().edge.next_offset(0) != Some(RECORDS) {
        most = most.max(backlog_bytes(&delivering));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!((4 * 1024 * 1024..18 * 1024 * 1024).contains(&most), "{most}");
    let mut of_users: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (user, offset, _) in &delivering.state().stored_at {
        of_users.entry(user.clone()).or_default().push(*offset);
    }
    assert_eq!(of_users.len(), 2000);
    for (user, offsets) in of_users {
        let first: i64 = user.trim_start_matches("github:").parse().unwrap();
        let expected: Vec<_> = (0..5).map(|n| first + n * USERS).collect();
        assert_eq!(offsets, expected, "{user}");
    }
    assert!(kafka.records("chat.outbound.dlq").is_empty());
    delivering.stop().await;
}

/// How long records of 1 000 users take, 500 of them a second. The 99th percentile.
async fn slowest_of_a_thousand(has_hanging_hub: bool) -> Duration {
    let (kafka, sink) = (kafka(1), MemorySink::new());
    if has_hanging_hub {
        sink.state().hanging_users.insert("github:hangs".to_owned());
    }
    let delivering = Delivering::start(&kafka, &sink);
    delivering.until("the partition is claimed", |state| state.edge.next_offset(0).is_some()).await;
    let mut appended = BTreeMap::new();
    for n in 0..10_000_i64 {
        if n % 100 == 0 {
            kafka.append_text(TOPIC, 0, "github:hangs", "x");
        }
        let offset = kafka.append_text(TOPIC, 0, &format!("github:{}", n % 1000), "x");
        appended.insert(offset, Instant::now());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let is_other = |user: &str| user != "github:hangs";
    delivering
        .until("all others are delivered", |state| {
            state.stored_at.iter().filter(|(user, ..)| is_other(user)).count() == 10_000
        })
        .await;
    let wait = |(_, offset, stored_at): &(String, i64, Instant)| *stored_at - *appended.get(offset).unwrap();
    let mut waits: Vec<_> = delivering.state().stored_at.iter().filter(|(user, ..)| is_other(user)).map(wait).collect();
    waits.sort();
    delivering.stop().await;
    *waits.get(waits.len() * 99 / 100).unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_hub_that_hangs_leaves_the_slowest_records_of_a_thousand_other_users_as_fast_as_they_were() {
    let (without, with) = (slowest_of_a_thousand(false).await, slowest_of_a_thousand(true).await);
    // The paused clock counts in milliseconds.
    let limit = without.mul_f64(1.2) + Duration::from_millis(1);
    assert!(with <= limit, "{with:?}, and {without:?} without it");
}
