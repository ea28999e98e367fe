//! A platform that traces one request.
//!
//! Every log line gets the request's id, trace and route. Every outgoing request carries the trace and is logged with its
//! status and duration. So no code below has to pass these along.

use std::{future::Future, time::Duration};

use causeway_protocol::{
    checkpoint::{CheckpointRequest, CheckpointResponse},
    deliver::Outcome,
    history::{HistoryPage, HistoryRequest},
    hub::EndReason,
    session::SessionHandle,
    subject::Subject,
    trace::Traceparent,
};
use futures_util::future::LocalBoxFuture;

use super::{
    clock::Clock,
    copy_queue::CopyQueue,
    event_name::EventName,
    machine::Machine,
    platform::{
        CheckpointStore, ClientDisconnect, HttpClient, Insertion, KeyValueStore, Machines, OpenStream, Opened,
        Platform, Rate, RateLimiter, StreamHub,
    },
    random::Random,
    telemetry::{Event, Level, Line, Log, Name},
    unavailable::Unavailable,
};
use crate::http::web::{Body, Incoming, Outgoing, TRACEPARENT};

/// A platform with the identity of the request that uses it.
#[derive(Debug)]
pub struct Traced<'a, P> {
    /// The runtime.
    pub platform: &'a P,
    /// The id of the request.
    pub request_id: &'a str,
    /// The trace that the request is part of.
    pub trace: &'a Traceparent,
    /// The pattern of its route.
    pub route: &'static str,
    /// What the request leaves for after its answer.
    pub copies: &'a CopyQueue,
}

impl<P: Clock> Clock for Traced<'_, P> {
    fn now_ms(&self) -> u64 {
        self.platform.now_ms()
    }

    fn sleep(&self, wait: Duration) -> LocalBoxFuture<'static, ()> {
        self.platform.sleep(wait)
    }
}

impl<P: ClientDisconnect> ClientDisconnect for Traced<'_, P> {
    fn client_disconnected(&self) -> LocalBoxFuture<'static, ()> {
        self.platform.client_disconnected()
    }
}

impl<P: Log> Log for Traced<'_, P> {
    fn log(&self, line: &Line) {
        let common = [("route", self.route), ("request_id", self.request_id), ("trace_id", self.trace.trace_id())];
        self.platform.log(&line.clone().within(&common));
    }
}

impl<P: Platform> HttpClient for Traced<'_, P> {
    type Body = P::Body;

    async fn send(&self, mut request: Outgoing<P::Body>) -> Result<Incoming<P::Body>, Unavailable> {
        if !request.headers.contains_key(TRACEPARENT) {
            request = request.with(TRACEPARENT, self.trace.as_str());
        }
        let (service, method) = (request.service.clone(), request.method.clone());
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let began_ms = self.now_ms();
        let result = self.platform.send(request).await;
        let (level, status) = match &result {
            Ok(response) if response.status.is_server_error() => (Level::Warn, Some(response.status)),
            Ok(response) => (Level::Info, Some(response.status)),
            Err(_) => (Level::Warn, None),
        };
        Event::new(level, EventName::Upstream)
            .with("service", (!service.is_empty()).then_some(Name(&service)))
            .with("host", Name(&host))
            .with("method", &method)
            .with("status", status)
            .with("duration_ms", self.now_ms().saturating_sub(began_ms))
            .with("detail", result.as_ref().err())
            .write(self);
        result
    }

    fn insert(&self, document: P::Body, insertion: Insertion) -> Result<P::Body, Unavailable> {
        self.platform.insert(document, insertion)
    }
}

impl<P: Random> Random for Traced<'_, P> {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Unavailable> {
        self.platform.fill(buffer)
    }
}

impl<P: KeyValueStore> KeyValueStore for Traced<'_, P> {
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, Unavailable>> {
        self.platform.get(key)
    }

    fn put(&self, key: &str, value: &[u8], ttl: Duration) -> impl Future<Output = Result<(), Unavailable>> {
        self.platform.put(key, value, ttl)
    }

    fn delete(&self, key: &str) -> impl Future<Output = Result<(), Unavailable>> {
        self.platform.delete(key)
    }

    fn copy_queue(&self) -> Option<&CopyQueue> {
        Some(self.copies)
    }
}

impl<P: Machines> Machines for Traced<'_, P> {
    fn run<M: Machine>(&self, name: &str, command: M::Command) -> impl Future<Output = Result<M::Reply, Unavailable>> {
        self.platform.run::<M>(name, command)
    }
}

impl<P: Platform> StreamHub for Traced<'_, P> {
    const HUB_AT_EDGE: bool = P::HUB_AT_EDGE;

    fn append(&self, subject: &Subject, slices: &str) -> impl Future<Output = Result<Outcome, Unavailable>> {
        self.platform.append(subject, slices)
    }

    fn history(
        &self,
        subject: &Subject,
        request: &HistoryRequest,
    ) -> impl Future<Output = Result<Option<HistoryPage>, Unavailable>> {
        self.platform.history(subject, request)
    }

    fn open(&self, request: OpenStream) -> impl Future<Output = Result<Opened<Body<P::Body>>, Unavailable>> {
        self.platform.open(request)
    }

    fn end_session(
        &self,
        subject: &Subject,
        session: &SessionHandle,
        reason: EndReason,
    ) -> impl Future<Output = Result<(), Unavailable>> {
        self.platform.end_session(subject, session, reason)
    }
}

impl<P: CheckpointStore> CheckpointStore for Traced<'_, P> {
    fn checkpoint(&self, request: &CheckpointRequest) -> impl Future<Output = Result<CheckpointResponse, Unavailable>> {
        self.platform.checkpoint(request)
    }
}

impl<P: RateLimiter> RateLimiter for Traced<'_, P> {
    fn allow(&self, rate: Rate, key: &str) -> impl Future<Output = Result<bool, Unavailable>> {
        self.platform.allow(rate, key)
    }
}
