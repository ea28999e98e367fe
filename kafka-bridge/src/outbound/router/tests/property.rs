//! Random arrivals and random answers against a model of the users' buffers: of each user and partition, every record
//! is stored once and in order, or is a dead letter and lies within a gap. Never neither, never both. One partition is
//! removed or taken over again and again, whatever is in flight, and another one follows.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

type Key = (String, PartitionId);

/// What a user's buffer and the dead letters hold.
#[derive(Default)]
struct Model {
    pushed: BTreeMap<Key, Vec<i64>>,
    stored: BTreeMap<Key, Vec<i64>>,
    /// Offsets of the gaps.
    gaps: BTreeMap<Key, Vec<i64>>,
    /// All of both.
    known: BTreeMap<Key, Vec<i64>>,
    /// What a user's buffer has and may lose.
    held: BTreeMap<String, Vec<(Key, Item)>>,
    dead: BTreeSet<(PartitionId, i64)>,
    finished: BTreeSet<(PartitionId, i64)>,
    /// Bytes that were pushed or queued, and not yet released.
    bytes: BTreeMap<PartitionId, usize>,
    /// Partitions that are not read any more. Nothing is expected of their records.
    removed: BTreeSet<PartitionId>,
    /// Those that another instance reads.
    taken_over: BTreeSet<PartitionId>,
}

impl Model {
    fn release(&mut self, meta: &Meta) {
        *self.bytes.get_mut(&meta.partition).unwrap() -= meta.bytes;
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Stored { offset, meta } => {
                    self.release(&meta);
                    if matches!(meta.kind, Kind::Record) {
                        assert!(self.finished.insert((meta.partition, offset)), "finished once");
                    }
                }
                Effect::Dead { item, meta, .. } => {
                    assert!(item.frame.starts_with("record"), "a gap is no dead letter");
                    self.release(&meta);
                    assert!(self.dead.insert((meta.partition, item.offset)), "a dead letter once");
                }
                Effect::GapQueued { partition, bytes } => *self.bytes.entry(partition).or_default() += bytes,
                Effect::Stale(partition) => {
                    assert!(self.taken_over.contains(&partition), "{partition} was not taken over")
                }
            }
        }
    }

    /// The buffer takes a user's part of a request, unless it has lost what that follows on. It holds it for a while, or
    /// stores it with everything before.
    fn take_in(&mut self, user: &UserSlices, holds: bool) -> Outcome {
        let name = user.subject.user().to_owned();
        let key = |slice: &Slice| (name.clone(), u64::try_from(slice.source.partition).unwrap());
        if user.slices.iter().any(|slice| self.taken_over.contains(&key(slice).1)) {
            // As for a request that fails: what it holds comes again.
            self.lose(user);
            return Outcome::Stale;
        }
        let held = self.held.entry(name.clone()).or_default();
        let newest = |key: &Key, held: &[(Key, Item)], stored: &BTreeMap<Key, Vec<i64>>| {
            let held = held.iter().filter(|(of, _)| of == key).map(|(_, item)| item.offset);
            held.chain(stored.get(key).into_iter().flatten().copied()).max()
        };
        if user.slices.iter().any(|slice| newest(&key(slice), held, &self.known) < slice.after) {
            return Outcome::Missing;
        }
        let mut is_question = true;
        for slice in &user.slices {
            for item in &slice.items {
                is_question = false;
                held.push((key(slice), item.clone()));
            }
        }
        if holds && !is_question {
            return Outcome::Held;
        }
        for (key, item) in std::mem::take(held) {
            let buffer = if item.frame.contains("event: reset") { &mut self.gaps } else { &mut self.stored };
            buffer.entry(key.clone()).or_default().push(item.offset);
            self.known.entry(key).or_default().push(item.offset);
        }
        Outcome::Stored
    }

    /// The buffer loses what it holds.
    fn lose(&mut self, user: &UserSlices) {
        self.held.remove(user.subject.user());
    }

    fn check(&self) {
        for (key, pushed) in self.pushed.iter().filter(|(key, _)| !self.removed.contains(&key.1)) {
            let none = Vec::new();
            let stored = self.stored.get(key).unwrap_or(&none);
            assert!(stored.is_sorted_by(|a, b| a < b), "in order and once: {stored:?}");
            let stored: BTreeSet<_> = stored.iter().copied().collect();
            for offset in pushed {
                let is_dead = self.dead.contains(&(key.1, *offset));
                assert_ne!(stored.contains(offset), is_dead, "{key:?} {offset}: stored or dead, not both, not neither");
                assert_eq!(self.finished.contains(&(key.1, *offset)), !is_dead);
                let next_stored = stored.range(offset..).next().copied().unwrap_or(i64::MAX);
                let has_gap =
                    self.gaps.get(key).is_some_and(|gaps| gaps.iter().any(|gap| (*offset..next_stored).contains(gap)));
                assert!(!is_dead || has_gap, "{key:?} {offset}: the gap is told in its place");
            }
        }
        let mut bytes = self.bytes.iter().filter(|(partition, _)| !self.removed.contains(partition));
        assert!(bytes.all(|(_, bytes)| *bytes == 0), "all bytes are released");
    }
}

fn source(partition: PartitionId) -> Source {
    let (channel, partition) = (Channel::parse("chat").unwrap(), i32::try_from(partition).unwrap());
    Source { channel, partition, epoch: 1, generation: 1 }
}

/// How the buffers behave while the test runs.
fn answer(
    random: &mut fastrand::Rng,
    model: &mut Model,
    request: &Request,
    is_calm: bool,
) -> Result<Vec<Outcome>, Failure> {
    if !is_calm && random.u8(..10) == 0 {
        // A failed request may have stored nothing, all, or a part; nothing is the hardest to get right here, because
        // buffers skip repeats.
        request.users.iter().for_each(|user| model.lose(user));
        return Err(if random.bool() { Failure::Failed } else { Failure::Refused });
    }
    let mut outcome = |user: &UserSlices| {
        let has_poison =
            user.slices.iter().flat_map(|slice| &slice.items).any(|item| item.frame.starts_with("record poison"));
        let is_failing = !is_calm && (user.subject.user() == "0" || random.u8(..8) == 0);
        if is_failing || has_poison || random.u8(..8) == 0 {
            model.lose(user);
        }
        match (is_failing, has_poison) {
            (true, _) => Outcome::Later,
            (false, true) => Outcome::Refused,
            (false, false) => model.take_in(user, random.bool()),
        }
    };
    Ok(request.users.iter().map(&mut outcome).collect())
}

#[test]
fn every_record_is_stored_once_and_in_order_or_is_a_dead_letter_with_a_gap() {
    for seed in 0..60 {
        let random = &mut fastrand::Rng::with_seed(seed);
        let mut router = Router::default();
        (0..3).for_each(|partition| router.add_partition(partition, source(partition)));
        let (mut model, mut now, mut in_flight) = (Model::default(), Instant::now(), Vec::new());
        let (mut partitions, mut next_offsets, mut last_partition) = ([0_u64, 1, 2], [0_i64; 3], 2);
        for step in 0..600 {
            let is_calm = step >= 400;
            if !is_calm && random.bool() {
                let (user, partition) = (random.u8(..6).to_string(), random.usize(..3));
                let offset = next_offsets[partition];
                next_offsets[partition] += 1;
                let partition = partitions[partition];
                let frame = if random.u8(..12) == 0 { "record poison" } else { "record" };
                let size = if random.u8(..200) == 0 { 300 * 1024 } else { 0 };
                let frame = format!("{frame}{}", " ".repeat(size));
                let entry = Entry::record(partition, Item { offset, frame, ..Item::default() }, 0);
                *model.bytes.entry(partition).or_default() += entry.meta.bytes;
                model.pushed.entry((user.clone(), partition)).or_default().push(offset);
                router.push(Subject::new("t", &user).unwrap(), entry);
            }
            if !is_calm && random.u8(..20) == 0 {
                model.removed.insert(partitions[2]);
                if random.bool() {
                    router.remove_partition(partitions[2]);
                } else {
                    model.taken_over.insert(partitions[2]);
                }
                last_partition += 1;
                (partitions[2], next_offsets[2]) = (last_partition, 0);
                router.add_partition(last_partition, source(last_partition));
            }
            while let Some(request) = router.next_request(now) {
                let mut users: Vec<_> = request.users.iter().map(|user| user.subject.clone()).collect();
                users
                    .extend(in_flight.iter().flat_map(|other: &Request| &other.users).map(|user| user.subject.clone()));
                let count = users.len();
                users.sort();
                users.dedup();
                assert_eq!(users.len(), count, "a user is in one request at a time");
                in_flight.push(request);
            }
            if !in_flight.is_empty() && random.bool() {
                let request = in_flight.swap_remove(random.usize(..in_flight.len()));
                let answer = answer(random, &mut model, &request, is_calm);
                router.complete(now, request, answer);
            }
            model.take(router.take_effects());
            now += Duration::from_millis(random.u64(..1000));
        }
        // The end: everything that is left is delivered.
        for _ in 0..10_000 {
            in_flight.extend(std::iter::from_fn(|| router.next_request(now)));
            if let Some(request) = in_flight.pop() {
                let answer = answer(random, &mut model, &request, true);
                router.complete(now, request, answer);
                model.take(router.take_effects());
            } else if let Some(due) = router.next_due() {
                now = now.max(due);
            } else {
                break;
            }
        }
        assert_eq!(router.load(), Load { users: 0, parked_users: 0, requests: 0, refusals: 0 }, "seed {seed}");
        model.check();
    }
}
