//! The key-value store: stale, and with writes that land late and in another order.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use causeway_core::runtime::unavailable::Unavailable;

use super::{World, scheduler::promise};

type Value = Option<Vec<u8>>;

/// Every value that a key ever had, in the order in which they landed.
#[derive(Default)]
pub(crate) struct KeyValue {
    values: RefCell<HashMap<String, Vec<Value>>>,
}

fn down() -> Unavailable {
    Unavailable::new("kv", "simulated outage")
}

impl World {
    pub(crate) async fn read(self: &Rc<Self>, key: &str) -> Result<Value, Unavailable> {
        let (faults, scheduler) = (self.faults.get(), Rc::clone(&self.scheduler));
        let (kept, promised) = promise();
        let (world, key) = (Rc::clone(self), key.to_owned());
        // A store that is down says so, or nothing at all.
        let fails = scheduler.chance(faults.store_down);
        let wait_ms = if fails && scheduler.chance(300) { 60_000 } else { scheduler.draw(0..30) };
        scheduler.later(wait_ms, move || kept.keep(if fails { Err(down()) } else { Ok(world.look_up(&key)) }));
        promised.await
    }

    fn look_up(&self, key: &str) -> Value {
        let values = self.key_value.values.borrow();
        let values = values.get(key)?;
        if self.scheduler.chance(self.faults.get().stale) {
            self.count("stale reads");
            // Index 0 stands for the time before there was any.
            let index = self.scheduler.draw(0..values.len() as u64);
            return usize::try_from(index).unwrap().checked_sub(1).and_then(|index| values[index].clone());
        }
        values.last()?.clone()
    }

    pub(crate) async fn write(self: &Rc<Self>, key: &str, value: Value) -> Result<(), Unavailable> {
        let (faults, scheduler) = (self.faults.get(), Rc::clone(&self.scheduler));
        let fails = scheduler.chance(faults.store_down);
        let wait_ms = scheduler.draw(0..30);
        // What failed may have been written all the same.
        if !fails || scheduler.chance(500) {
            let lands_in_ms = if scheduler.chance(faults.write_late) {
                self.count("late writes");
                scheduler.draw(100..90_000)
            } else {
                wait_ms
            };
            let (world, key) = (Rc::clone(self), key.to_owned());
            scheduler.later(lands_in_ms, move || {
                world.key_value.values.borrow_mut().entry(key).or_default().push(value);
            });
        }
        let (kept, promised) = promise();
        scheduler.later(wait_ms, move || kept.keep(if fails { Err(down()) } else { Ok(()) }));
        promised.await
    }
}
