//! One attempt to write an event: to the inbound topic and, as an echo, to the outbound topic.
//!
//! Nothing runs for an attempt. The writers of the partitions tell it what became of its records, and it tells the
//! window and all who wait. So a client that disconnects cancels nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{sync::watch, time::Instant};

use super::{
    record::{Destination, EchoSigner, Said},
    search::Other,
    topic_writer::{Slot, TopicWriter},
    window::Window,
};
use crate::{kafka::NewRecord, rejection::Rejection};

/// The maximum number of requests that wait for one attempt.
const MAX_WAITING: usize = 64;

/// The lengths within a record in a request.
const LENGTHS_BYTES: usize = 64;

/// The header that signs an echo.
const SIGNATURE_BYTES: usize = 160;

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// Which records of an event Kafka has acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) inbound: Option<Place>,
    pub(super) echoed: bool,
}

impl Progress {
    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// What either of two knows.
    pub(super) fn or(self, other: Self) -> Self {
        Self { inbound: self.inbound.or(other.inbound), echoed: self.echoed || other.echoed }
    }

    /// The place of the inbound record, if nothing is missing.
    pub(super) fn complete(self, with_echo: bool) -> Option<Place> {
        self.inbound.filter(|_| self.echoed || !with_echo)
    }
}

/// A partition of a topic.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) topic: Arc<TopicWriter>,
    pub(super) partition: i32,
}

/// Where the records of an event go.
#[derive(Clone)]
pub(super) struct Targets {
    pub(super) inbound: Target,
    pub(super) echo: Option<Target>,
    pub(super) echo_signer: Option<Arc<EchoSigner>>,
}

/// An attempt to write an event.
pub(super) struct Attempt {
    pub(super) said: Said,
    pub(super) arrived: Instant,
    /// After it, a record that still waits in a queue is not written.
    pub(super) deadline: Instant,
    targets: Targets,
    window: Arc<Window>,
    state: Mutex<State>,
    outcome: watch::Sender<Option<Result<Place, Rejection>>>,
}

#[derive(Default)]
struct State {
    progress: Progress,
    /// The number of records without an outcome.
    waiting: usize,
    /// The echo, while it waits for the inbound record.
    held: Option<Slot>,
    /// The first failure.
    failure: Option<Rejection>,
    /// The event that has the id.
    other: Option<Other>,
}

impl Attempt {
    /// Begins with what earlier attempts have written.
    pub(super) fn new(
        said: Said,
        targets: Targets,
        (arrived, deadline): (Instant, Instant),
        window: Arc<Window>,
        progress: Progress,
    ) -> Self {
        let state = Mutex::new(State { progress, ..State::default() });
        Self { said, arrived, deadline, targets, window, state, outcome: watch::Sender::new(None) }
    }

    /// Whether the channel has an echo.
    pub(super) fn with_echo(&self) -> bool {
        self.targets.echo.is_some()
    }

    /// Where its two records go. The second one is the echo.
    pub(super) fn targets(&self) -> (&Target, Option<&Target>) {
        (&self.targets.inbound, self.targets.echo.as_ref())
    }

    /// One of its records, as it is written.
    pub(super) fn record(&self, destination: Destination) -> NewRecord {
        let mut record = self.said.record(destination);
        if let (Destination::Echo, Some(signer)) = (destination, &self.targets.echo_signer) {
            signer.sign(&mut record);
        }
        record
    }

    /// The approximate size of one of its records in a request, rather too much than too little.
    pub(super) fn size(&self, destination: Destination) -> usize {
        let is_signed = destination == Destination::Echo && self.targets.echo_signer.is_some();
        self.said.size() + LENGTHS_BYTES + if is_signed { SIGNATURE_BYTES } else { 0 }
    }

    pub(super) fn progress(&self) -> Progress {
        self.state().progress
    }

    /// Queues what is missing: both records or neither. `known` is what another instance has written.
    ///
    /// Both go at once. But if the inbound record will probably be refused, the echo goes after it, because a page that
    /// hears the echo tells its user that the event was delivered.
    pub(super) fn enqueue(self: &Arc<Self>, known: Progress) {
        let progress = {
            let mut state = self.state();
            state.progress = state.progress.or(known);
            state.progress
        };
        let inbound = progress.inbound.is_none().then_some((Destination::Inbound, &self.targets.inbound));
        let echo = self.targets.echo.as_ref().filter(|_| !progress.echoed).map(|target| (Destination::Echo, target));
        let mut slots = Vec::with_capacity(2);
        for (destination, target) in inbound.into_iter().chain(echo) {
            match target.topic.reserve(target.partition, self.said.size()) {
                Some(slot) => slots.push((destination, slot)),
                None => return self.reject(Rejection::Busy),
            }
        }
        if slots.is_empty() {
            return self.settle();
        }
        let is_unlikely = |(destination, slot): &(Destination, Slot)| {
            *destination == Destination::Inbound && !slot.is_likely(self.size(*destination))
        };
        let holds_echo = slots.len() > 1 && slots.iter().any(is_unlikely);
        {
            let mut state = self.state();
            state.waiting = slots.len();
            state.held = if holds_echo { slots.pop().map(|(_, echo)| echo) } else { None };
        }
        for (destination, slot) in slots {
            slot.push(Arc::clone(self), destination);
        }
    }

    /// Records what became of one record.
    pub(super) fn finish(self: &Arc<Self>, destination: Destination, result: Result<Place, Rejection>) {
        let (is_last, echo) = {
            let mut state = self.state();
            let echo = if destination == Destination::Inbound { state.held.take() } else { None };
            let (echo, withheld) = if result.is_ok() { (echo, None) } else { (None, echo) };
            match (result, destination) {
                (Ok(place), Destination::Inbound) => state.progress.inbound = Some(place),
                (Ok(_), Destination::Echo) => state.progress.echoed = true,
                (Err(rejection), _) => {
                    state.failure.get_or_insert(rejection);
                }
            }
            state.waiting = state.waiting.saturating_sub(1 + usize::from(withheld.is_some()));
            (state.waiting == 0, echo)
        };
        if let Some(echo) = echo {
            echo.push(Arc::clone(self), Destination::Echo);
        }
        if is_last {
            self.settle();
        }
    }

    /// Ends the attempt before anything was queued.
    pub(super) fn reject(&self, rejection: Rejection) {
        self.state().failure = Some(rejection);
        self.settle();
    }

    /// Ends the attempt before anything was queued. This was written before.
    pub(super) fn postpone(&self, known: Progress, rejection: Rejection) {
        {
            let mut state = self.state();
            state.progress = state.progress.or(known);
        }
        self.reject(rejection);
    }

    /// Ends the attempt, because another event has the id.
    pub(super) fn reject_as(&self, other: Other) {
        self.state().other = Some(other);
        self.reject(Rejection::IdReused);
    }

    /// Waits for the outcome.
    pub(super) async fn outcome(&self) -> Result<Place, Rejection> {
        if self.outcome.receiver_count() >= MAX_WAITING {
            return Err(Rejection::Busy);
        }
        self.settled().await
    }

    /// Waits for the outcome, however many wait already.
    pub(super) async fn settled(&self) -> Result<Place, Rejection> {
        let mut outcome = self.outcome.subscribe();
        let found = outcome.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        found.unwrap_or_else(|| Err(Rejection::Unavailable("the attempt was given up".to_owned())))
    }

    fn settle(&self) {
        let (progress, failure, other) = {
            let mut state = self.state();
            (state.progress, state.failure.take(), state.other)
        };
        let outcome = match (failure, progress.complete(self.with_echo())) {
            (Some(rejection), _) => Err(rejection),
            (None, Some(place)) => Ok(place),
            (None, None) => Err(Rejection::Unavailable("a record was not written".to_owned())),
        };
        // The window first: who asks after the outcome must find it there.
        match other.filter(|_| progress.is_empty()) {
            Some(other) => self.window.settle_as(self, other),
            None => self.window.settle(self, progress, outcome.is_ok()),
        }
        self.outcome.send_replace(Some(outcome));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
