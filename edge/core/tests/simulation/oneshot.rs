//! A one-shot channel on one thread: a value that one task waits for and that an event sends later.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

struct Slot<T> {
    value: Option<T>,
    waker: Option<Waker>,
    /// The receiver still waits.
    is_awaited: bool,
}

/// The sending end. Of several values sent through its clones, the first is received.
pub(crate) struct Sender<T>(Rc<RefCell<Slot<T>>>);

/// A sender that does not keep the channel alive.
pub(crate) struct WeakSender<T>(Weak<RefCell<Slot<T>>>);

/// The receiving end: a future of the value.
pub(crate) struct Receiver<T>(Rc<RefCell<Slot<T>>>);

pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let slot = Rc::new(RefCell::new(Slot { value: None, waker: None, is_awaited: true }));
    (Sender(Rc::clone(&slot)), Receiver(slot))
}

impl<T> Sender<T> {
    /// Sends the value. Does nothing if one was sent before or the receiver no longer waits.
    pub(crate) fn send(&self, value: T) {
        let mut slot = self.0.borrow_mut();
        if slot.value.is_none() && slot.is_awaited {
            slot.value = Some(value);
            if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        }
    }

    /// Whether a value was sent, or the receiver no longer waits for one.
    pub(crate) fn is_settled(&self) -> bool {
        let slot = self.0.borrow();
        slot.value.is_some() || !slot.is_awaited
    }

    pub(crate) fn downgrade(&self) -> WeakSender<T> {
        WeakSender(Rc::downgrade(&self.0))
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> WeakSender<T> {
    /// The sender, unless all other ends were dropped.
    pub(crate) fn upgrade(&self) -> Option<Sender<T>> {
        self.0.upgrade().map(Sender)
    }
}

impl<T> Future for Receiver<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut slot = self.0.borrow_mut();
        match slot.value.take() {
            Some(value) => {
                slot.is_awaited = false;
                Poll::Ready(value)
            }
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.borrow_mut().is_awaited = false;
    }
}
