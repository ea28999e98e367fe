//! Which events were answered already. Kafka may hold one twice (a producer that could not know whether its first try
//! arrived writes again), with the same `ce_id`.

use std::collections::{HashSet, VecDeque};

/// The last so many ids.
pub(crate) struct Seen {
    limit: usize,
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    /// Remembers the last `limit` ids.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, ids: HashSet::new(), order: VecDeque::new() }
    }

    /// Whether the id is new; from now on it is not.
    pub(crate) fn is_new(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_known_until_they_are_too_old() {
        let mut seen = Seen::new(2);
        assert!(seen.is_new("a") && seen.is_new("b"));
        assert!(!seen.is_new("a"));
        assert!(seen.is_new("c"));
        assert!(seen.is_new("a"));
        assert!(!seen.is_new("c"));
    }
}
