//! TLS with an own authority, the client's certificate, and SASL.

use axum::{Router, http::HeaderMap, routing::post};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use kafka_bridge::kafka::{KafkaError, KafkaIo, KafkaSettings};
use serde_json::json;

use crate::{
    clients, read, record, settings,
    support::kafka::{KafkaServer, USER},
    values,
};

type Vars = Vec<(&'static str, String)>;

fn without(mut vars: Vars, keys: &[&str]) -> Vars {
    vars.retain(|(key, _)| !keys.contains(key));
    vars
}

fn with(vars: Vars, key: &'static str, value: String) -> Vars {
    let mut vars = without(vars, &[key]);
    vars.push((key, value));
    vars
}

async fn writes_and_reads(server: &KafkaServer, kafka: &dyn KafkaIo) {
    let topic = server.topic_name();
    kafka.create_topic(&topic, 1).await.unwrap();
    let written = async { while kafka.produce(&topic, 0, vec![record("secret")]).await.is_err() {} };
    tokio::time::timeout(crate::support::TEST_TIMEOUT, written).await.unwrap();
    assert_eq!(values(&read(kafka, &topic, 0, 0, 1).await), ["secret"]);
}

async fn each_writes_and_reads(server: &KafkaServer, settings: &KafkaSettings) {
    for kafka in clients(settings) {
        writes_and_reads(server, &*kafka).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_its_certificate_writes_and_reads() {
    let Some(server) = KafkaServer::shared().await else { return };
    let by_path = settings(&server.ssl_vars()).unwrap();
    each_writes_and_reads(&server, &by_path).await;
    let mut by_text = server.ssl_vars();
    for (key, name) in
        [("KAFKA_SSL_CA", "ca.pem"), ("KAFKA_SSL_CERTIFICATE", "client.pem"), ("KAFKA_SSL_KEY", "client.key")]
    {
        by_text = with(by_text, key, server.certificates.read(name));
    }
    each_writes_and_reads(&server, &settings(&by_text).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_stranger_nor_a_strange_broker_is_trusted() {
    let Some(server) = KafkaServer::shared().await else { return };
    let of = |name| server.certificates.path(name).display().to_string();
    let anonymous = without(server.ssl_vars(), &["KAFKA_SSL_CERTIFICATE", "KAFKA_SSL_KEY"]);
    let stranger = with(server.ssl_vars(), "KAFKA_SSL_CERTIFICATE", of("stranger.pem"));
    let stranger = with(stranger, "KAFKA_SSL_KEY", of("stranger.key"));
    let other_authority = with(server.ssl_vars(), "KAFKA_SSL_CA", of("stranger.pem"));
    let platform = without(server.ssl_vars(), &["KAFKA_SSL_CA"]);
    for vars in [anonymous, stranger, other_authority, platform] {
        for kafka in clients(&settings(&vars).unwrap()) {
            let (partitions, produced) =
                tokio::join!(kafka.partitions("none"), kafka.produce("none", 0, vec![record("a")]));
            let errors = [partitions.unwrap_err(), produced.unwrap_err()];
            assert!(errors.iter().all(KafkaError::is_retriable), "{errors:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_the_certificates_is_an_error_at_start() {
    let Some(server) = KafkaServer::shared().await else { return };
    let other = with(server.ssl_vars(), "KAFKA_SSL_KEY", server.certificates.read("broker.key"));
    let error = settings(&other).unwrap_err().to_string();
    assert!(error.starts_with("KAFKA_SSL_KEY must be PEM with an unencrypted private key that belongs"), "{error}");
    assert!(!error.contains("BEGIN"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_password_writes_and_reads() {
    let Some(server) = KafkaServer::shared().await else { return };
    server.configure(&[
        "--add-config",
        "SCRAM-SHA-512=[password=hunter2]",
        "--entity-type",
        "users",
        "--entity-name",
        USER,
    ]);
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        each_writes_and_reads(&server, &settings(&server.sasl_vars(mechanism, USER)).unwrap()).await;
        let wrong = with(server.sasl_vars(mechanism, USER), "KAFKA_SASL_PASSWORD", "wrong".to_owned());
        for kafka in clients(&settings(&wrong).unwrap()) {
            let error = kafka.partitions("none").await.unwrap_err().to_string();
            assert!(!error.contains("wrong"), "{error}");
        }
    }
}

/// A token endpoint for the client of [`KafkaServer::token_vars`]. Kafka accepts its tokens: it was told to believe what is
/// not signed.
async fn token_endpoint() -> String {
    async fn token(headers: HeaderMap, body: String) -> String {
        // "bridge:hunter2"
        assert_eq!(headers["authorization"], "Basic YnJpZGdlOmh1bnRlcjI=");
        assert_eq!(body, "grant_type=client_credentials&scope=kafka");
        let now = kafka_bridge::clock::unix_seconds();
        let claims = json!({ "sub": "bridge", "iat": now, "exp": now + 60, "scope": "kafka" });
        let part = |value: serde_json::Value| BASE64.encode(value.to_string());
        let token = format!("{}.{}.", part(json!({ "alg": "none" })), part(claims));
        json!({ "access_token": token, "token_type": "Bearer", "expires_in": 60 }).to_string()
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, Router::new().route("/token", post(token))).into_future());
    format!("http://{address}/token")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_an_access_token_writes_and_reads() {
    let Some(server) = KafkaServer::shared().await else { return };
    let endpoint = token_endpoint().await;
    each_writes_and_reads(&server, &settings(&server.token_vars(&endpoint)).unwrap()).await;
    let none = server.token_vars(&endpoint.replace("/token", "/none"));
    for kafka in clients(&settings(&none).unwrap()) {
        let error = kafka.partitions("none").await.unwrap_err();
        assert!(error.is_retriable() && !error.to_string().contains("hunter2"), "{error}");
    }
}
