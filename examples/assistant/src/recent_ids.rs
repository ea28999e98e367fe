//! Recognizes events that were answered already. Kafka may hold an event twice, with the same `ce_id`: a producer that
//! does not know whether its first attempt arrived writes again.

use std::collections::{HashSet, VecDeque};

/// The most recent ids, up to a limit.
pub(crate) struct RecentIds {
    limit: usize,
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl RecentIds {
    /// Remembers the last `limit` ids.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, ids: HashSet::new(), order: VecDeque::new() }
    }

    /// Whether the id is new. It is remembered from now on.
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
    fn repeats_are_recognized_until_they_are_evicted() {
        let mut recent = RecentIds::new(2);
        assert!(recent.is_new("a") && recent.is_new("b"));
        assert!(!recent.is_new("a"));
        assert!(recent.is_new("c"));
        assert!(recent.is_new("a"));
        assert!(!recent.is_new("c"));
    }
}
