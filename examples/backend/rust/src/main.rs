//! An example backend in Rust: answers what users say in a channel, piece by piece and then as a whole.
//!
//! ```sh
//! cargo build --release -p causeway-example-backend
//! cargo run --release -p causeway-example-backend
//! ```
//!
//! ../README.md has the settings, docs/backends.md the contract.

mod signature;

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    env,
    time::Duration,
};

use anyhow::Context as _;
use chrono::{SecondsFormat, Utc};
use rdkafka::{
    ClientConfig, Message as _,
    consumer::{CommitMode, Consumer as _, StreamConsumer},
    message::{BorrowedMessage, Header, Headers as _, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::signature::sign;

struct Backend {
    channel: String,
    signing_key: Option<String>,
    producer: FutureProducer,
    /// The latest ids: Kafka may hold an event twice.
    answered: HashSet<String>,
    order: VecDeque<String>,
}

/// What the user sent.
struct Event<'a> {
    id: &'a str,
    kind: &'a str,
    key: &'a [u8],
    traceparent: Option<&'a str>,
    data: Value,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let channel = env::var("CHANNEL").unwrap_or_else(|_| "chat".to_owned());
    let mut kafka = ClientConfig::new();
    kafka.set("bootstrap.servers", env::var("KAFKA_BROKERS").unwrap_or_else(|_| "127.0.0.1:9092".to_owned()));
    if let Some(user) = setting("KAFKA_SASL_USERNAME") {
        let password = setting("KAFKA_SASL_PASSWORD").context("KAFKA_SASL_PASSWORD is not set")?;
        kafka.set("security.protocol", "SASL_SSL").set("sasl.mechanism", "SCRAM-SHA-512");
        kafka.set("sasl.username", user).set("sasl.password", password);
        if let Some(authorities) = setting("KAFKA_SSL_CA") {
            kafka.set("ssl.ca.location", authorities);
        }
    }
    let consumer: StreamConsumer = kafka
        .clone()
        .set("group.id", format!("{channel}-rust"))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()?;
    // Hashes keys as Java's client does, so that a user's records are in the partition where the bridge looks for them.
    let producer = kafka.set("enable.idempotence", "true").set("partitioner", "murmur2_random").create()?;
    consumer.subscribe(&[&format!("{channel}.inbound")])?;
    let signing_key = setting("SIGNING_KEY");
    let mut backend = Backend { channel, signing_key, producer, answered: HashSet::new(), order: VecDeque::new() };
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        let record = tokio::select! {
            record = consumer.recv() => record,
            _ = terminate.recv() => return Ok(()),
        };
        match record {
            Ok(record) => {
                // After an error nothing is committed. The next start answers again, with the same ids.
                backend.handle(&record).await?;
                consumer.commit_message(&record, CommitMode::Sync)?;
            }
            Err(error) => eprintln!("{error}"),
        }
    }
}

impl Backend {
    async fn handle(&mut self, record: &BorrowedMessage<'_>) -> anyhow::Result<()> {
        let (Some(id), Some(key)) = (header(record, "ce_id"), record.key()) else { return Ok(()) };
        if self.answered.contains(id) {
            return Ok(());
        }
        let data = serde_json::from_slice(record.payload().unwrap_or_default()).unwrap_or_default();
        let kind = header(record, "ce_type").unwrap_or_default();
        self.react(&Event { id, kind, key, traceparent: header(record, "traceparent"), data }).await?;
        self.answered.insert(id.to_owned());
        self.order.push_back(id.to_owned());
        if self.order.len() > 10_000 {
            self.order.pop_front().map(|oldest| self.answered.remove(&oldest));
        }
        Ok(())
    }

    /// A user may send anything. What does not fit is ignored.
    async fn react(&self, event: &Event<'_>) -> anyhow::Result<()> {
        let text = event.data.get("text").and_then(Value::as_str);
        let name = event.data.pointer("/submission/data/name").and_then(Value::as_str);
        match (event.kind, text, name) {
            ("message", Some("form"), _) => {
                let id = format!("{}.form", event.id);
                let form = json!({"components": [
                    {"type": "textfield", "key": "name", "label": "Your name", "input": true, "validate": {"required": true}},
                    {"type": "button", "key": "submit", "label": "Send", "action": "submit", "input": true},
                ]});
                let data = json!({"id": id, "role": "assistant", "text": "Who are you?", "form": form});
                self.send(event, "form", &id, &data).await
            }
            ("message", Some(text), _) => {
                self.answer(event, &["You wrote ", &format!("{} ", text.split_whitespace().count()), "words."]).await
            }
            ("form", _, Some(name)) => self.answer(event, &["Thank you, ", &format!("{name}.")]).await,
            ("delete", ..) => match event.data.get("id") {
                // A backend that keeps messages deletes it there first, if it is one of this user.
                Some(Value::String(id)) => {
                    self.send(event, "delete", &format!("{}.deletion", event.id), &json!({"id": id})).await
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// The ids derive from that of the answered event. A browser ignores what it has already.
    async fn answer(&self, to: &Event<'_>, pieces: &[&str]) -> anyhow::Result<()> {
        let id = format!("{}.answer", to.id);
        for (seq, text) in pieces.iter().enumerate() {
            self.send(to, "delta", &format!("{id}.{seq}"), &json!({"id": id, "seq": seq, "text": text})).await?;
            tokio::time::sleep(Duration::from_millis(30)).await; // As long as a model may take.
        }
        let whole = json!({"id": id, "role": "assistant", "text": pieces.concat()});
        self.send(to, "message", &id, &whole).await
    }

    /// Writes an event to the user whom another one came from.
    async fn send(&self, to: &Event<'_>, kind: &str, id: &str, data: &Value) -> anyhow::Result<()> {
        let mut headers = BTreeMap::from([
            ("ce_specversion", "1.0".to_owned()),
            ("ce_id", id.to_owned()),
            ("ce_type", kind.to_owned()),
            ("ce_source", "/example/rust".to_owned()),
            ("ce_time", Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)),
            ("content-type", "application/json".to_owned()),
        ]);
        headers.extend(to.traceparent.map(|trace| ("traceparent", trace.to_owned())));
        let value = data.to_string();
        if let Some(signing_key) = &self.signing_key {
            let signature = sign(signing_key, &self.channel, to.key, &headers, Some(value.as_bytes()));
            headers.insert("causeway-signature", signature.context("SIGNING_KEY")?);
        }
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (name, text)| headers.insert(Header { key: name, value: Some(text) }));
        let topic = format!("{}.outbound", self.channel);
        let record = FutureRecord::to(&topic).key(to.key).payload(&value).headers(headers);
        self.producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
        Ok(())
    }
}

fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn header<'a>(record: &'a BorrowedMessage<'_>, name: &str) -> Option<&'a str> {
    let header = record.headers()?.iter().find(|header| header.key == name)?;
    std::str::from_utf8(header.value?).ok()
}
