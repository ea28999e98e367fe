//! Spans of OpenTelemetry: one for each record that is written to Kafka for a user's event, and one for each record that
//! is delivered. Nothing is recorded unless a collector is configured.
//!
//! - [`exporter`]: sends spans to a collector by OTLP.
//!
//! Both kinds continue the trace of a `traceparent`: that of the edge's request, which the widget may have begun, and
//! that of the record, which a backend copies from what it answers. A record that has none begins no trace.
//!
//! Names and attributes follow the semantic conventions for messaging. None of them names a user: no key, no id of an
//! event, no content.

mod exporter;

use std::{collections::HashMap, time::SystemTime};

use causeway_protocol::trace::TRACEPARENT_HEADER;
use opentelemetry::{
    Context, KeyValue,
    propagation::TextMapPropagator as _,
    trace::{Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracer, Span},
};

pub use self::exporter::{Exporter, ExporterError};

/// Makes spans, or nothing if there is no collector.
#[derive(Clone, Debug, Default)]
pub struct Spans(Option<SdkTracer>);

/// A partition of a topic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Destination<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
}

impl Spans {
    /// Begins to write a record. `parent` is the `traceparent` of its event. `None` if the sampler leaves the trace out:
    /// then the record keeps the event's, because a span that nobody records must not be its parent.
    pub(crate) fn send(&self, parent: Option<&str>, to: Destination<'_>) -> Option<SendSpan> {
        let (tracer, parent) = (self.0.as_ref()?, remote(parent?)?);
        let builder = tracer
            .span_builder(format!("send {}", to.topic))
            .with_kind(SpanKind::Producer)
            .with_attributes(attributes("send", "send", to));
        let parent = Context::new().with_remote_span_context(parent);
        Some(SendSpan(builder.start_with_context(tracer, &parent))).filter(|span| span.0.is_recording())
    }

    /// A record was read. `traceparent` is its own.
    pub(crate) fn received(&self, traceparent: Option<&str>) -> Option<Box<Received>> {
        self.0.as_ref()?;
        remote(traceparent?).map(|context| Box::new(Received { context, at: SystemTime::now() }))
    }

    /// A record is stored in its user's buffer, or was given up for this reason.
    pub(crate) fn settled(
        &self,
        received: &Received,
        from: Destination<'_>,
        offset: i64,
        outcome: Result<(), &'static str>,
    ) {
        let Some(tracer) = &self.0 else { return };
        let mut attributes = attributes("deliver", "process", from);
        attributes.push(KeyValue::new("messaging.kafka.offset", offset));
        let builder = tracer
            .span_builder(format!("deliver {}", from.topic))
            .with_kind(SpanKind::Consumer)
            .with_start_time(received.at)
            .with_attributes(attributes);
        let parent = Context::new().with_remote_span_context(received.context.clone());
        let mut span = builder.start_with_context(tracer, &parent);
        if let Err(reason) = outcome {
            fail(&mut span, reason);
        }
        span.end();
    }
}

/// A record that is being written.
#[derive(Debug)]
pub(crate) struct SendSpan(Span);

impl SendSpan {
    /// The `traceparent` of the record.
    pub(crate) fn traceparent(&self) -> String {
        let context = Context::new().with_remote_span_context(self.0.span_context().clone());
        let mut headers = HashMap::new();
        TraceContextPropagator::new().inject_context(&context, &mut headers);
        headers.remove(TRACEPARENT_HEADER).unwrap_or_default()
    }

    /// Kafka has stored the record, or it was not written for this reason.
    pub(crate) fn end(mut self, outcome: Result<i64, &'static str>) {
        match outcome {
            Ok(offset) => self.0.set_attribute(KeyValue::new("messaging.kafka.offset", offset)),
            Err(reason) => fail(&mut self.0, reason),
        }
        self.0.end();
    }
}

/// A record that was read and is not delivered yet.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    context: SpanContext,
    at: SystemTime,
}

fn fail(span: &mut Span, reason: &'static str) {
    span.set_attribute(KeyValue::new("error.type", reason));
    span.set_status(Status::error(reason));
}

fn attributes(operation: &'static str, kind: &'static str, at: Destination<'_>) -> Vec<KeyValue> {
    vec![
        KeyValue::new("messaging.system", "kafka"),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", kind),
        KeyValue::new("messaging.destination.name", at.topic.to_owned()),
        KeyValue::new("messaging.destination.partition.id", at.partition.to_string()),
    ]
}

/// What a `traceparent` names, if it is well-formed.
fn remote(traceparent: &str) -> Option<SpanContext> {
    let headers = HashMap::from([(TRACEPARENT_HEADER.to_owned(), traceparent.to_owned())]);
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &headers);
    Some(context.span().span_context().clone()).filter(SpanContext::is_valid)
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

    use super::*;

    #[test]
    fn a_record_of_a_trace_that_is_not_sampled_keeps_the_trace_of_its_event() {
        let sent = |sampler| {
            let tracer = SdkTracerProvider::builder().with_sampler(sampler).build().tracer("test");
            let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
            Spans(Some(tracer)).send(Some(parent), Destination { topic: "chat.inbound", partition: 0 })
        };
        assert!(sent(Sampler::AlwaysOff).is_none());
        let traceparent = sent(Sampler::AlwaysOn).unwrap().traceparent();
        assert!(traceparent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && traceparent.ends_with("-01"));
    }
}
