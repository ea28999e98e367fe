//! Randomness from a seed.

use std::cell::RefCell;

use rand::{RngCore as _, SeedableRng as _, rngs::StdRng};

use crate::runtime::{random::Random, unavailable::Unavailable};

/// Randomness that is the same for the same seed.
pub struct SeededRandom(RefCell<StdRng>);

impl SeededRandom {
    /// The sequence that belongs to this seed.
    pub fn new(seed: u64) -> Self {
        Self(RefCell::new(StdRng::seed_from_u64(seed)))
    }

    /// Skips a part of the sequence, so that two platforms with one seed draw different ids.
    pub fn skip(&self) {
        self.0.borrow_mut().next_u64();
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Unavailable> {
        self.0.borrow_mut().fill_bytes(buffer);
        Ok(())
    }
}
