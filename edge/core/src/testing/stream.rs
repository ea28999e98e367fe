//! The in-memory platform's hubs and checkpoints.

use std::{
    cell::{Cell, RefCell},
    future::pending,
    rc::Rc,
    time::Duration,
};

use causeway_protocol::{
    checkpoint::{CheckpointRequest, CheckpointResponse},
    deliver::Outcome,
    history::{HistoryPage, HistoryRequest},
    hub::EndReason,
    session::SessionHandle,
    subject::Subject,
};
use futures_util::future::LocalBoxFuture;

use super::{
    body::InMemoryBody,
    clock::InMemoryClock,
    hub::InMemoryConnector,
    platform::{InMemoryPlatform, Sent, Upstream, down},
};
use crate::{
    http::web::{Body, Incoming, Outgoing},
    runtime::{
        clock::Clock,
        dependency::Dependency,
        platform::{CheckpointStore, ClientDisconnect, HttpClient, OpenStream, Opened, StreamHub},
        unavailable::Unavailable,
    },
    stream::driver,
};

impl StreamHub for InMemoryPlatform {
    const HUB_AT_EDGE: bool = true;

    async fn append(&self, subject: &Subject, slices: &str) -> Result<Outcome, Unavailable> {
        let under_way = UnderWay::begin(&self.appends);
        self.most_appends.set(self.most_appends.get().max(self.appends.get()));
        if self.append_hangs_for.borrow().contains(subject) {
            pending::<()>().await;
        }
        self.sleep(Duration::from_millis(self.append_ms.get())).await;
        drop(under_way);
        down(Dependency::Hub, self.append_fails_for.borrow().contains(subject))?;
        Ok(self.hub(subject).append(slices))
    }

    async fn history(&self, subject: &Subject, request: &HistoryRequest) -> Result<Option<HistoryPage>, Unavailable> {
        if self.history_hangs.get() {
            pending::<()>().await;
        }
        down(Dependency::Hub, self.history_fails.get())?;
        Ok(self.hub(subject).history(request))
    }

    async fn open(&self, request: OpenStream) -> Result<Opened<Body<InMemoryBody>>, Unavailable> {
        self.opened_streams.borrow_mut().push(request.clone());
        if self.hub_reports_ended.get() {
            return Ok(Opened::SessionEnded);
        }
        let client = InMemoryClient {
            clock: InMemoryClock(Rc::clone(&self.now_ms)),
            upstream: Rc::clone(&self.upstream),
            sent: Rc::clone(&self.sent),
        };
        let hub = InMemoryConnector::new(self.hub(&request.subject), &request);
        let opened = driver::open(client, hub, &request).await?;
        Ok(opened.map(|chunks| Body::Native(chunks.into())))
    }

    async fn end_session(
        &self,
        subject: &Subject,
        session: &SessionHandle,
        reason: EndReason,
    ) -> Result<(), Unavailable> {
        down(Dependency::Hub, self.end_session_fails.get())?;
        if self.end_session_hangs.get() {
            pending::<()>().await;
        }
        self.hub(subject).end_session(session, reason);
        self.ended_streams.borrow_mut().push((subject.clone(), reason));
        Ok(())
    }
}

impl CheckpointStore for InMemoryPlatform {
    async fn checkpoint(&self, request: &CheckpointRequest) -> Result<CheckpointResponse, Unavailable> {
        if self.checkpoints_hang.get() {
            pending::<()>().await;
        }
        let key = (request.channel.clone(), request.topic.clone(), request.partition);
        let mut partitions = self.partitions.borrow_mut();
        let state = partitions.entry(key).or_default();
        let response = state.respond(request.operation);
        *state = response.state;
        Ok(response)
    }
}

/// Counts as one of those under way until it is dropped.
struct UnderWay<'a>(&'a Cell<usize>);

impl<'a> UnderWay<'a> {
    fn begin(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// The client of a stream, which stays.
struct InMemoryClient {
    clock: InMemoryClock,
    upstream: Upstream,
    sent: Rc<RefCell<Vec<Sent>>>,
}

impl Clock for InMemoryClient {
    fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    fn sleep(&self, wait: Duration) -> LocalBoxFuture<'static, ()> {
        self.clock.sleep(wait)
    }
}

impl ClientDisconnect for InMemoryClient {
    fn client_disconnected(&self) -> LocalBoxFuture<'static, ()> {
        Box::pin(pending())
    }
}

impl HttpClient for InMemoryClient {
    type Body = InMemoryBody;

    async fn send(&self, request: Outgoing<InMemoryBody>) -> Result<Incoming<InMemoryBody>, Unavailable> {
        let sent = Sent::from(request);
        self.sent.borrow_mut().push(sent.clone());
        sent.answered(&self.upstream)
    }
}
