//! The signal by which a client's disconnection is told.

use wasm_bindgen::{JsCast as _, closure::Closure};
use web_sys::AbortSignal;

/// Runs a callback when the client disconnects, until this is dropped.
pub(crate) struct OnDisconnect {
    signal: AbortSignal,
    listener: Closure<dyn FnMut()>,
}

impl OnDisconnect {
    pub(crate) fn new(signal: &AbortSignal, act: impl FnMut() + 'static) -> Self {
        let listener = Closure::new(act);
        // Fails only for an invalid signal. Then the next write notices.
        let _ = signal.add_event_listener_with_callback("abort", listener.as_ref().unchecked_ref());
        Self { signal: signal.clone(), listener }
    }
}

impl Drop for OnDisconnect {
    fn drop(&mut self) {
        // The signal must not call a dropped closure.
        let _ = self.signal.remove_event_listener_with_callback("abort", self.listener.as_ref().unchecked_ref());
    }
}
