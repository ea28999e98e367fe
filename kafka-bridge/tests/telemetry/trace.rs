//! Spans, as a collector gets them.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use kafka_bridge::{
    kafka::{KafkaError, NewRecord},
    span::Exporter,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message as _;
use serde_json::json;
use tokio::net::TcpListener;

use super::{support::event, *};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const WIDGETS_SPAN: &str = "00f067aa0ba902b7";

/// What the collector got: the requests as they came, and their spans.
type Got = Arc<Mutex<Vec<(Vec<u8>, ExportTraceServiceRequest)>>>;

struct Collector {
    url: String,
    got: Got,
}

impl Collector {
    async fn start() -> Self {
        async fn traces(State(got): State<Got>, headers: HeaderMap, body: Bytes) {
            assert_eq!(headers["content-type"], "application/x-protobuf");
            let request = ExportTraceServiceRequest::decode(body.clone()).unwrap();
            got.lock().unwrap().push((body.to_vec(), request));
        }
        let got = Got::default();
        let router = Router::new().route("/v1/traces", post(traces)).with_state(Arc::clone(&got));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, got }
    }

    fn spans(&self) -> Vec<Span> {
        let got = self.got.lock().unwrap();
        let scopes = got.iter().flat_map(|(_, request)| &request.resource_spans).flat_map(|of| &of.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    fn named(&self, name: &str) -> Vec<Span> {
        self.spans().into_iter().filter(|span| span.name == name).collect()
    }

    fn resource(&self) -> Vec<KeyValue> {
        let got = self.got.lock().unwrap();
        got[0].1.resource_spans[0].resource.clone().unwrap().attributes
    }

    fn contains(&self, text: &str) -> bool {
        let is_in = |body: &[u8]| body.windows(text.len()).any(|window| window == text.as_bytes());
        self.got.lock().unwrap().iter().any(|(body, _)| is_in(body))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let value = attributes.iter().find(|attribute| attribute.key == key).and_then(|found| found.value.clone());
    match value {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => text,
        Some(AnyValue { value: Some(Value::IntValue(number)) }) => number.to_string(),
        other => panic!("{key} is {other:?}"),
    }
}

/// The ids in a record's `traceparent`: of the trace, and of the span.
fn traceparent(record: &NewRecord) -> (String, String) {
    let text = String::from_utf8(record.headers["traceparent"].clone()).unwrap();
    let [version, trace, span, flags] = text.split('-').collect::<Vec<_>>().try_into().unwrap();
    assert_eq!((version, flags), ("00", "01"), "a backend that records sampled traces only records this one");
    (trace.to_owned(), span.to_owned())
}

/// An event as the edge sends it for a widget that began a trace.
fn traced(id: &str, text: &str) -> Vec<u8> {
    let mut event = event(id, text);
    // Not marked as sampled: the edge marks no trace that it begins.
    event["traceparent"] = json!(format!("00-{TRACE}-{WIDGETS_SPAN}-00"));
    event.to_string().into_bytes()
}

/// What a backend answers to a user's event: its trace goes on.
fn answer(to: &NewRecord, text: &str) -> NewRecord {
    let value = Some(json!({ "text": text }).to_string().into_bytes());
    let headers = [("traceparent".to_owned(), to.headers["traceparent"].clone())].into();
    NewRecord { key: to.key.clone(), value, headers }
}

#[tokio::test]
async fn one_trace_leads_from_the_widgets_event_over_its_record_to_the_answer_on_the_stream() {
    let (kafka, edge, collector) = (kafka(), Edge::start().await, Collector::start().await);
    let exporter = Exporter::to(&collector.url).unwrap();
    let bridge = Bridge::traced(kafka.clone(), &edge.url, &[], tuning(), exporter.spans()).await;
    bridge.post(traced("e-secret-id", "a secret question")).await.unwrap().accepted();
    let [question] = kafka.records("chat.inbound").try_into().unwrap();
    kafka.append(TOPIC, 0, answer(&question, "a secret answer"));
    // A record without a trace begins none.
    kafka.append_text(TOPIC, 0, "github:2", "news");
    until("all are delivered", || edge.state().next_offset(0) == Some(3)).await;
    let frame = edge.state().frame("github:1", "v2.chat.7.0.1").to_owned();
    bridge.stop().await;
    exporter.shutdown().await;

    let spans = collector.spans();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
    assert_eq!(names, ["deliver chat.outbound", "send chat.inbound", "send chat.outbound"]);
    assert_eq!(spans.len(), 4, "two records of the event, two deliveries");
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE), "{spans:#?}");

    let [send] = collector.named("send chat.inbound").try_into().unwrap();
    let sent = hex(&send.span_id);
    assert_eq!(hex(&send.parent_span_id), WIDGETS_SPAN);
    assert_eq!(send.kind, SpanKind::Producer as i32);
    assert_eq!(traceparent(&question), (TRACE.to_owned(), sent.clone()));
    let [deliver] = collector
        .named("deliver chat.outbound")
        .into_iter()
        .filter(|span| hex(&span.parent_span_id) == sent)
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    assert_eq!(deliver.kind, SpanKind::Consumer as i32);
    assert!(frame.contains(&format!("00-{TRACE}-{sent}-01")), "the stream has the trace, too: {frame}");

    for (span, operation, kind, topic, offset) in
        [(&send, "send", "send", "chat.inbound", "0"), (&deliver, "deliver", "process", TOPIC, "1")]
    {
        let of = |key: &str| attribute(&span.attributes, key);
        assert_eq!(of("messaging.system"), "kafka");
        assert_eq!(of("messaging.operation.name"), operation);
        assert_eq!(of("messaging.operation.type"), kind);
        assert_eq!(of("messaging.destination.name"), topic);
        assert_eq!(of("messaging.destination.partition.id"), "0");
        assert_eq!(of("messaging.kafka.offset"), offset);
        assert_eq!(span.attributes.len(), 6, "and nothing else");
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    }
    assert_eq!(attribute(&collector.resource(), "service.name"), "causeway-kafka-bridge");
    for private in ["github:1", "e-secret-id", "secret question", "secret answer"] {
        assert!(!collector.contains(private), "{private}");
    }
}

#[tokio::test]
async fn a_span_tells_why_a_record_was_not_written_or_not_delivered() {
    let (kafka, edge, collector) = (kafka(), Edge::start().await, Collector::start().await);
    let exporter = Exporter::to(&collector.url).unwrap();
    let off = r#"[{"name":"chat","inbound":"chat.inbound","outbound":"chat.outbound","echo":false}]"#;
    let vars = [("BRIDGE_CHANNELS", off)];
    let bridge = Bridge::traced(kafka.clone(), &edge.url, &vars, tuning(), exporter.spans()).await;
    kafka.fail_produces(&[KafkaError::TooLarge]);
    assert_eq!(bridge.post(traced("e1", "x")).await.unwrap().status, 413);
    bridge.post(traced("e2", "y")).await.unwrap().accepted();
    let [question] = kafka.records("chat.inbound").try_into().unwrap();
    edge.state().refused_text = Some("refused".to_owned());
    kafka.append(TOPIC, 0, answer(&question, "refused"));
    until("it is a dead letter", || edge.state().next_offset(0) == Some(1)).await;
    bridge.stop().await;
    exporter.shutdown().await;

    let failed = |span: &&Span| span.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32);
    for (name, reason) in [("send chat.inbound", "too_large"), ("deliver chat.outbound", "refused_by_edge")] {
        let spans = collector.named(name);
        let [span] = spans.iter().filter(failed).collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(attribute(&span.attributes, "error.type"), reason);
    }
}

#[tokio::test]
async fn a_collector_that_hangs_holds_up_neither_events_nor_deliveries_nor_the_end() {
    let (kafka, edge) = (kafka(), Edge::start().await);
    // It accepts connections, and answers nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let exporter = Exporter::to(&format!("http://{}/v1/traces", listener.local_addr().unwrap())).unwrap();
    let bridge = Bridge::traced(kafka.clone(), &edge.url, &[], tuning(), exporter.spans()).await;
    // More than one batch.
    for n in 0..600 {
        bridge.post(traced(&format!("e{n}"), "x")).await.unwrap().accepted();
    }
    until("all echoes are delivered", || edge.state().next_offset(0) == Some(600)).await;
    let began = Instant::now();
    bridge.stop().await;
    exporter.shutdown().await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn spans_and_their_headers_go_to_no_other_place_that_a_collector_names() {
    let (kafka, edge, elsewhere) = (kafka(), Edge::start().await, Collector::start().await);
    let asked = Arc::new(Mutex::new(0));
    let redirect = {
        let (asked, url) = (Arc::clone(&asked), elsewhere.url.clone());
        move || {
            *asked.lock().unwrap() += 1;
            std::future::ready(axum::response::Redirect::temporary(&url))
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let exporter = Exporter::to(&format!("http://{}/v1/traces", listener.local_addr().unwrap())).unwrap();
    let router = Router::new().route("/v1/traces", post(redirect));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let bridge = Bridge::traced(kafka, &edge.url, &[], tuning(), exporter.spans()).await;
    bridge.post(traced("e1", "x")).await.unwrap().accepted();
    bridge.stop().await;
    exporter.shutdown().await;
    assert!(*asked.lock().unwrap() > 0);
    assert!(elsewhere.spans().is_empty());
}
