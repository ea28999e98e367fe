//! Bodies arrive piece by piece in both directions, and are passed through without the guest.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;

use crate::harness::{Host, Upstream, piece, soon};

#[tokio::test]
async fn request_is_read_while_it_is_sent() {
    let host = Host::start(&[], &[]).await;
    let (pieces, receiver) = mpsc::channel::<&'static str>(1);
    let frames = futures::stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)))
        .map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))));
    let mut response = host.send("/echo", BodyExt::boxed(StreamBody::new(frames))).await;
    for sent in ["first", "second"] {
        pieces.send(sent).await.unwrap();
        assert_eq!(piece(&mut response).await.unwrap(), sent);
    }
    drop(pieces);
    assert_eq!(piece(&mut response).await, None);
}

#[tokio::test]
async fn guest_notices_client_disconnect_when_it_writes() {
    let host = Host::start(&[], &[]).await;
    let mut response = host.get("/ticks").await;
    piece(&mut response).await.unwrap();
    assert_eq!(host.text("/get?disconnected").await.1, "");
    drop(response);
    soon(async {
        while host.text("/get?disconnected").await.1 != "yes" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn passed_through_body_outlives_its_instance() {
    let upstream = Upstream::start().await;
    let host = Host::start(&[&upstream.origin], &["--idle-instance-timeout-ms", "10"]).await;
    let mut response = host.get(&format!("/proxy?{}/stream", upstream.origin)).await;
    assert_eq!(response.headers()["x-own"], "upstream");
    assert_eq!(response.headers()["x-through"], "fixture");
    let instance = host.text("/together?1").await.1;
    // The instance has ended once another one answers.
    soon(async {
        while host.text("/together?1").await.1 == instance {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    for sent in ["one", "two"] {
        upstream.pieces.send(sent).await.unwrap();
        assert_eq!(piece(&mut response).await.unwrap(), sent);
    }
}

#[tokio::test]
async fn upstream_connection_closes_with_client_of_passed_through_body() {
    let upstream = Upstream::start().await;
    let host = Host::start(&[&upstream.origin], &[]).await;
    let fetch = format!("/fetch?{}/ok", upstream.origin);
    let response = host.get(&format!("/proxy?{}/stream", upstream.origin)).await;
    assert_ne!(host.text(&fetch).await.1, "200", "the upstream has one connection at a time");
    drop(response);
    soon(async {
        while host.text(&fetch).await.1 != "200" {
            // The host notices the disconnect when it writes.
            let _ = upstream.pieces.try_send("anyone?");
        }
    })
    .await;
}
