//! The interfaces that a guest calls: variables, key-value stores, outbound HTTP, Redis.

use std::sync::Arc;

use tokio::net::TcpListener;

use crate::harness::{Host, Redis, Upstream, folder};

#[tokio::test]
async fn variables_come_from_environment_then_from_manifest() {
    let host = Host::start(&[], &[]).await;
    assert_eq!(host.text("/variable?welcome").await, (200, "hello, world".to_owned()));
    let (status, error) = host.text("/variable?secret").await;
    assert!(status == 502 && error.contains("Provider") && error.contains("SPIN_VARIABLE_SECRET"), "{error}");
    let (status, error) = host.text("/variable?name").await;
    assert!(
        status == 502 && error.contains("Undefined"),
        "a variable of the application, but not of the component: {error}"
    );
}

#[tokio::test]
async fn uri_is_absolute_and_client_address_is_passed() {
    let host = Host::start(&[], &[]).await;
    let (_, seen) = host.text("/headers?a=b").await;
    assert!(seen.starts_with(&format!("{}/headers?a=b ", host.origin())), "{seen}");
    assert!(seen.contains(r#""spin-client-addr": "127.0.0.1:"#), "{seen}");
    assert!(seen.contains(r#""spin-path-info": "/headers""#), "{seen}");
    assert_eq!(host.text("/.well-known/spin/health").await, (200, "OK".to_owned()));
}

#[tokio::test]
async fn key_value_stores_survive_restart_and_open_only_if_granted() {
    let folder = Arc::new(folder());
    let host = Host::start_in(&folder, &[], &[]).await;
    for pair in ["b=2", "a=1", "a=3"] {
        assert_eq!(host.text(&format!("/set?{pair}")).await.0, 204);
    }
    host.kill().await;
    let host = Host::start_in(&folder, &[], &[]).await;
    assert_eq!(host.text("/get?a").await.1, "3");
    assert_eq!(host.text("/keys").await.1, "a,b");
    assert_eq!(host.text("/store?default").await.1, "open");
    assert!(host.text("/store?other").await.1.contains("AccessDenied"));
}

#[tokio::test]
async fn outbound_http_is_limited_to_allowed_hosts_and_follows_no_redirect() {
    let upstream = Upstream::start().await;
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let host = Host::start(&[&upstream.origin, &closed], &[]).await;
    let fetch = async |url: &str| host.text(&format!("/fetch?{url}")).await.1;
    assert_eq!(fetch(&format!("{}/ok", upstream.origin)).await, "200");
    assert_eq!(fetch(&format!("{}/moved", upstream.origin)).await, "302");
    assert!(fetch(&format!("{}/silent", upstream.origin)).await.contains("ConnectionReadTimeout"));
    assert!(fetch(&closed).await.contains("ConnectionRefused"));
    assert!(fetch("http://127.0.0.1:1/").await.contains("HttpRequestDenied"));
    assert!(fetch(&upstream.origin.replace("http:", "https:")).await.contains("HttpRequestDenied"));
}

#[tokio::test]
async fn one_invalid_entry_refuses_every_host() {
    let upstream = Upstream::start().await;
    let host = Host::start(&[&upstream.origin, "{{ secret }}"], &[]).await;
    assert!(host.text(&format!("/fetch?{}/ok", upstream.origin)).await.1.contains("HttpRequestDenied"));
}

#[tokio::test]
async fn redis_replies_are_flattened_and_other_servers_are_refused() {
    let Some(redis) = Redis::start().await else { return };
    let host = Host::start(&[&redis.address], &[]).await;
    assert_eq!(host.text(&format!("/redis?{}", redis.address)).await, (200, "1,two,3,nil,+FINE".to_owned()));
    assert!(host.text("/redis?redis://127.0.0.1:1").await.1.contains("InvalidAddress"));
}
