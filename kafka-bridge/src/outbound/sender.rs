//! Sends the router's requests, several at a time. There is one sender for the whole bridge.

use std::{pin::pin, sync::Arc};

use causeway_protocol::deliver::Outcome;
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{delivery::Delivery, router::Request, sink::SinkError};

type Answered = (Request, Result<Vec<Outcome>, SinkError>);

/// Sends until stopped, then waits for the requests in flight.
///
/// # Errors
/// If a request's task failed. Its items are then missing, so all partitions must be planned again.
pub(super) async fn run(delivery: Arc<Delivery>, stop: CancellationToken) -> Result<(), JoinError> {
    let _drained = delivery.drained.clone().drop_guard();
    let mut in_flight = JoinSet::new();
    let mut stopped = pin!(stop.cancelled());
    loop {
        let (requests, due) = delivery.next_requests(Instant::now());
        for request in requests {
            in_flight.spawn(send(Arc::clone(&delivery), request));
        }
        tokio::select! {
            () = &mut stopped => break,
            Some(answered) = in_flight.join_next() => complete(&delivery, answered)?,
            () = delivery.arrived.notified() => {}
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
        while let Some(answered) = in_flight.try_join_next() {
            complete(&delivery, answered)?;
        }
    }
    while let Some(answered) = in_flight.join_next().await {
        complete(&delivery, answered)?;
    }
    Ok(())
}

fn complete(delivery: &Delivery, answered: Result<Answered, JoinError>) -> Result<(), JoinError> {
    let (request, answer) = answered?;
    delivery.complete(request, answer);
    Ok(())
}

async fn send(delivery: Arc<Delivery>, request: Request) -> Answered {
    let answer = delivery.send(&request.users).await;
    (request, answer)
}
