//! Requests share instances. A failure is an empty 500; a panic also ends the bodies that its instance was writing.

use std::collections::BTreeMap;

use futures::future::join_all;

use crate::harness::{Host, Upstream, piece, soon};

#[tokio::test]
async fn requests_share_instance_up_to_limit() {
    let host = Host::start(&[], &["--max-instance-concurrent-reuse-count", "4"]).await;
    let answers = join_all((0..24).map(|_| host.text("/together?150"))).await;

    let mut requests_by_instance = BTreeMap::<String, usize>::new();
    let mut most_together = 0;
    for (status, body) in answers {
        assert_eq!(status, 200);
        let (instance, together) = body.split_once(' ').unwrap();
        *requests_by_instance.entry(instance.to_owned()).or_default() += 1;
        most_together = most_together.max(together.parse::<usize>().unwrap());
    }
    assert!((2..=4).contains(&most_together), "{most_together} at a time");
    assert!(requests_by_instance.len() >= 6, "24 requests, 4 at a time: {requests_by_instance:?}");
}

#[tokio::test]
async fn failure_is_empty_500_and_next_request_is_served() {
    let host = Host::start(&[], &[]).await;
    for path in ["/error", "/panic"] {
        assert_eq!(host.text(path).await, (500, String::new()), "{path}");
        assert_eq!(host.text("/variable?welcome").await.0, 200, "after {path}");
    }
}

#[tokio::test]
async fn panic_ends_bodies_of_its_instance_but_not_passed_through_ones() {
    let upstream = Upstream::start().await;
    let host = Host::start(&[&upstream.origin], &[]).await;
    let mut written = host.get("/ticks").await;
    assert_eq!(piece(&mut written).await.unwrap(), "tick\n");
    let mut passed = host.get(&format!("/proxy?{}/stream", upstream.origin)).await;

    assert_eq!(host.text("/panic").await.0, 500);

    // The client sees a regular end of the body, without an error.
    soon(async { while piece(&mut written).await.is_some() {} }).await;
    upstream.pieces.send("still here").await.unwrap();
    assert_eq!(piece(&mut passed).await.unwrap(), "still here");
}
