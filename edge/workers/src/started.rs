//! Work that begins at once, and becomes a task only if it has to wait.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;

/// Work that waits. It keeps the waker that it began with, because `worker::Delay` wakes no other than its first one.
pub(crate) struct Started {
    work: Pin<Box<dyn Future<Output = ()>>>,
    task: Arc<Task>,
    waker: Waker,
}

/// The task that the work became.
#[derive(Default)]
struct Task(AtomicWaker);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }
}

impl Started {
    /// Begins. Returns what waits, or nothing if the work is done.
    pub(crate) fn new(work: impl Future<Output = ()> + 'static) -> Option<Self> {
        let task = Arc::new(Task::default());
        let waker = Waker::from(Arc::clone(&task));
        let mut work: Pin<Box<dyn Future<Output = ()>>> = Box::pin(work);
        match work.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(()) => None,
            Poll::Pending => Some(Self { work, task, waker }),
        }
    }
}

impl Future for Started {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // What woke the work before it became a task is seen now.
        self.task.0.register(context.waker());
        let Self { work, waker, .. } = &mut *self;
        work.as_mut().poll(&mut Context::from_waker(waker))
    }
}
