//! The key-value store. Its reads may be stale, and its writes may take effect late and out of order.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use causeway_core::runtime::{dependency::Dependency, unavailable::Unavailable};

use crate::{oneshot, world::World};

type Value = Option<Vec<u8>>;

/// Every value that each key has had, in the order in which the writes took effect.
#[derive(Default)]
pub(crate) struct KeyValue {
    values: RefCell<HashMap<String, Vec<Value>>>,
}

fn unavailable() -> Unavailable {
    Unavailable::new(Dependency::KeyValue, "simulated outage")
}

impl World {
    pub(crate) async fn read_key(self: &Rc<Self>, key: &str) -> Result<Value, Unavailable> {
        let (faults, scheduler) = (self.faults.get(), Rc::clone(&self.scheduler));
        let (sender, receiver) = oneshot::channel();
        let (world, key) = (Rc::clone(self), key.to_owned());
        // A store that is down returns an error at once, or only after a minute.
        let fails = scheduler.chance(faults.key_value_down);
        let wait_ms = if fails && scheduler.chance(300) { 60_000 } else { scheduler.draw(0..30) };
        scheduler
            .schedule(wait_ms, move || sender.send(if fails { Err(unavailable()) } else { Ok(world.look_up(&key)) }));
        receiver.await
    }

    fn look_up(&self, key: &str) -> Value {
        let values = self.key_value.values.borrow();
        let values = values.get(key)?;
        if self.scheduler.chance(self.faults.get().stale_read) {
            self.count("stale reads");
            // Index 0 is the time before the first write.
            let index = self.scheduler.draw(0..values.len() as u64);
            return usize::try_from(index).unwrap().checked_sub(1).and_then(|index| values[index].clone());
        }
        values.last()?.clone()
    }

    pub(crate) async fn write_key(self: &Rc<Self>, key: &str, value: Value) -> Result<(), Unavailable> {
        let (faults, scheduler) = (self.faults.get(), Rc::clone(&self.scheduler));
        let fails = scheduler.chance(faults.key_value_down);
        let wait_ms = scheduler.draw(0..30);
        // A failed write may have taken effect.
        if !fails || scheduler.chance(500) {
            let takes_effect_in_ms = if scheduler.chance(faults.late_write) {
                self.count("late writes");
                scheduler.draw(100..90_000)
            } else {
                wait_ms
            };
            let (world, key) = (Rc::clone(self), key.to_owned());
            scheduler.schedule(takes_effect_in_ms, move || {
                world.key_value.values.borrow_mut().entry(key).or_default().push(value);
            });
        }
        let (sender, receiver) = oneshot::channel();
        scheduler.schedule(wait_ms, move || sender.send(if fails { Err(unavailable()) } else { Ok(()) }));
        receiver.await
    }
}
