//! Runs futures without a runtime: one that does not wait, or several at once while time passes.

use std::future::Future;

use futures_util::future::LocalBoxFuture;

use super::platform::InMemoryPlatform;

/// Runs futures concurrently, and moves the platform's clock while all of them wait.
pub fn run_all<T>(platform: &InMemoryPlatform, futures: Vec<LocalBoxFuture<'_, T>>) -> Vec<T> {
    const LONGEST_MS: u64 = 10 * 60 * 1000;
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut running: Vec<_> = futures.into_iter().map(futures_util::future::maybe_done).map(Box::pin).collect();
    let last_ms = platform.now_ms.get() + LONGEST_MS;
    loop {
        let waiting =
            running.iter_mut().map(|one| usize::from(one.as_mut().poll(&mut context).is_pending())).sum::<usize>();
        if waiting == 0 {
            return running.iter_mut().map(|one| one.as_mut().take_output().unwrap()).collect();
        }
        platform.now_ms.set(platform.now_ms.get() + 1);
        assert!(platform.now_ms.get() < last_ms, "{waiting} wait for ever");
    }
}

/// Runs a future that never waits.
pub fn run<F: Future>(future: F) -> F::Output {
    futures_util::FutureExt::now_or_never(future).expect("nothing simulated waits")
}
