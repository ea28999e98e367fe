//! Deliveries repeat, storing fails, readers are replaced, clients come and go, the hub hibernates. Every client still
//! receives each record once and in its partition's order, or is told that it missed some.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use causeway_protocol::{
    buffer::cases::received_in,
    cursor::{Cursor, Position},
    deliver::{Item, Source},
    history::HistoryRequest,
};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::stream::sql_buffer::sqlite::Failed;

#[derive(Debug, Clone)]
enum Step {
    /// Delivers the next items of a source, and some again. With another source's in the same delivery.
    Deliver {
        source: usize,
        count: i64,
        repeated: i64,
        and: Option<usize>,
    },
    /// The same, but storing fails.
    Fail {
        source: usize,
        count: i64,
        and: Option<usize>,
    },
    /// A client takes messages, and acknowledges them or not.
    Take {
        client: usize,
        messages: usize,
        acknowledges: bool,
    },
    /// A client disconnects and comes back.
    Reconnect {
        client: usize,
    },
    /// Another reader delivers a source.
    Replace {
        source: usize,
    },
    /// A source's topic is created anew.
    Recreate {
        source: usize,
    },
    /// A page of history is read, which ends so many records before the newest one.
    Page {
        source: usize,
        back: usize,
        limit: u32,
    },
    /// The time comes to store what is held.
    Store,
    Crash,
    Hibernate,
    Wait {
        hours: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let and = || proptest::option::weighted(0.2, 0..3_usize);
    let count = || prop_oneof![4 => 1..6_i64, 1 => 100..200_i64];
    let step = prop_oneof![
        8 => (0..3_usize, count(), 0..8_i64, and())
            .prop_map(|(source, count, repeated, and)| Step::Deliver { source, count, repeated, and }),
        2 => (0..3_usize, 1..6_i64, and()).prop_map(|(source, count, and)| Step::Fail { source, count, and }),
        6 => (0..3_usize, 1..4_usize, any::<bool>())
            .prop_map(|(client, messages, acknowledges)| Step::Take { client, messages, acknowledges }),
        3 => (0..3_usize).prop_map(|client| Step::Reconnect { client }),
        1 => (0..3_usize).prop_map(|source| Step::Replace { source }),
        1 => (0..3_usize).prop_map(|source| Step::Recreate { source }),
        3 => (0..3_usize, 0..40_usize, 1..30_u32).prop_map(|(source, back, limit)| Step::Page { source, back, limit }),
        2 => Just(Step::Store),
        1 => Just(Step::Crash),
        2 => Just(Step::Hibernate),
        1 => (1..20_u64).prop_map(|hours| Step::Wait { hours }),
    ];
    vec(step, 1..60)
}

/// What a bridge knows of a partition: the records of all epochs, how many were stored, and how many stored or held.
struct Partition {
    source: Source,
    items: Vec<(Source, Item)>,
    stored: usize,
    taken: usize,
    /// What was taken before and lost. It is delivered again before anything else.
    lost: usize,
}

impl Partition {
    fn new(channel: &str, partition: i32) -> Self {
        let channel = Channel::parse(channel).unwrap();
        let source = Source { channel, partition, ..source() };
        Self { source, items: Vec::new(), stored: 0, taken: 0, lost: 0 }
    }

    /// Of five records, the second to the fourth are pieces of the fifth.
    fn produce(&mut self, count: i64) {
        for _ in 0..count {
            let offset = self.items.iter().rev().find(|(source, _)| source.epoch == self.source.epoch);
            let offset = offset.map_or(0, |(_, item)| item.offset + 1);
            let mut item = Item { offset, frame: world::frame_at(&self.source, offset), ..Item::default() };
            let message = Some(format!("{}-{}", self.source.epoch, offset / 5));
            match offset % 5 {
                1..=3 => item.piece_of = message,
                4 => item.completes = message,
                _ => {}
            }
            self.items.push((self.source.clone(), item));
        }
    }

    /// What a delivery follows on, if anything is held.
    fn held(&self) -> Option<Slice> {
        let (source, last) = self.items.get(..self.taken)?.last().filter(|_| self.taken > self.stored)?;
        let source = Source { generation: self.source.generation, ..source.clone() };
        Some(Slice { source, after: Some(last.offset), items: Vec::new() })
    }

    /// What was lost, as one slice for each epoch.
    fn lost(&self) -> Vec<Slice> {
        self.slices(self.taken..self.lost.max(self.taken))
    }

    /// What was not taken, and some that was.
    fn news(&self, repeated: usize) -> Vec<Slice> {
        self.slices(self.taken.max(self.lost).saturating_sub(repeated)..self.items.len())
    }

    fn slices(&self, range: std::ops::Range<usize>) -> Vec<Slice> {
        let mut slices: Vec<Slice> = Vec::new();
        for (source, item) in self.items.get(range).into_iter().flatten() {
            let source = Source { generation: self.source.generation, ..source.clone() };
            match slices.last_mut().filter(|last| last.source == source) {
                Some(last) => last.items.push(item.clone()),
                None => slices.push(Slice { source, after: None, items: vec![item.clone()] }),
            }
        }
        slices
    }
}

struct Listener {
    channels: Vec<Channel>,
    socket: Client,
    in_flight: VecDeque<String>,
    taken_seq: i64,
    last_id: Option<String>,
    has: BTreeSet<String>,
    newest: BTreeMap<(Channel, i32), Position>,
    /// It was told that it may have missed what was trimmed up to here.
    told_up_to: i64,
}

struct Model {
    world: World,
    partitions: Vec<Partition>,
    listeners: Vec<Listener>,
    /// The number of each record that was ever stored, and whether it is a piece.
    stored: BTreeMap<String, (i64, bool)>,
    last_seq: i64,
}

impl Model {
    fn new() -> Self {
        let partitions = vec![Partition::new("a", 0), Partition::new("a", 1), Partition::new("b", 0)];
        let world = World::holding();
        let model = Self { world, partitions, listeners: Vec::new(), stored: BTreeMap::new(), last_seq: 0 };
        ["", "a", ""].iter().fold(model, |mut model, channels| {
            let channels = Channel::parse(channels).into_iter().collect();
            model.listeners.push(Listener {
                channels,
                socket: Client::default(),
                in_flight: VecDeque::new(),
                taken_seq: 0,
                last_id: None,
                has: BTreeSet::new(),
                newest: BTreeMap::new(),
                told_up_to: 0,
            });
            model.reconnect(model.listeners.len() - 1);
            model
        })
    }

    fn deliver(&mut self, source: usize, count: i64, repeated: i64, and: Option<usize>) {
        let mut slices: Vec<_> = self.partitions.iter().filter_map(Partition::held).collect();
        slices.extend(self.partitions.iter().flat_map(Partition::lost));
        let sources: Vec<_> = [source].into_iter().chain(and.filter(|&other| other != source)).collect();
        for &source in &sources {
            self.partitions[source].produce(count);
            slices.extend(self.partitions[source].news(repeated.unsigned_abs() as usize));
        }
        let outcome = self.world.try_append(&slices);
        for (n, partition) in self.partitions.iter_mut().enumerate() {
            let is_taken = matches!(outcome, Ok(Outcome::Stored | Outcome::Held));
            partition.lost = partition.lost.max(partition.taken);
            partition.taken = match is_taken {
                true if sources.contains(&n) => partition.items.len(),
                true => partition.lost,
                false => partition.stored,
            };
            if outcome == Ok(Outcome::Stored) {
                partition.stored = partition.taken;
            }
        }
        self.note_stored();
        if outcome == Ok(Outcome::Missing) {
            self.deliver(source, 0, repeated, and);
        }
    }

    fn store(&mut self) {
        let now_ms = self.world.now_ms;
        self.world.hub().store_held(now_ms).unwrap();
        self.note_stored();
    }

    /// A page has exactly the last records that the buffer has before its end, and nothing of what it reaches over is
    /// missing.
    fn page(&mut self, source: usize, back: usize, limit: u32) {
        self.store();
        let now_ms = self.world.now_ms;
        self.world.hub().expire(now_ms).unwrap();
        let Source { channel, partition, .. } = self.partitions[source].source.clone();
        let cursors = self.stored.keys().map(|id| id.parse::<Cursor>().unwrap());
        let mut stored: Vec<_> =
            cursors.filter(|cursor| cursor.channel == channel && cursor.partition == partition).collect();
        stored.sort_by_key(|cursor| cursor.position);
        let Some(before) = stored.iter().rev().nth(back).cloned() else { return };
        let request = HistoryRequest { channel, before: Some(before.clone()), limit };
        let page = self.world.hub().history(&request, now_ms).unwrap();
        let is_newest_epoch = stored.last().is_some_and(|last| last.position.epoch == before.position.epoch);
        let in_buffer = self.in_buffer();
        let is_before =
            |cursor: &&Cursor| cursor.position < before.position && cursor.position.epoch == before.position.epoch;
        let mut expected: Vec<_> =
            stored.iter().filter(is_before).filter(|cursor| in_buffer.contains(&cursor.to_string())).collect();
        expected.drain(..expected.len().saturating_sub(limit as usize));
        if !is_newest_epoch {
            assert_eq!(page, None, "of an epoch that has ended");
            return;
        }
        let found = page.as_ref().map(|page| received_in(&page.frames)).unwrap_or_default();
        let expected: Vec<_> = expected.iter().map(|cursor| Received::Record(cursor.to_string())).collect();
        assert_eq!(found, expected, "{limit} before {before}");
        if let Some(next) = page.and_then(|page| page.head.next) {
            let reached = stored.iter().filter(is_before).filter(|cursor| cursor.position >= next.position);
            let mut missing = reached.filter(|cursor| !in_buffer.contains(&cursor.to_string()));
            assert!(missing.all(|cursor| self.is_finished(cursor)), "{limit} before {before}");
        }
    }

    /// Whether a record is a piece of a message that is complete.
    fn is_finished(&self, piece: &Cursor) -> bool {
        let mut whole = piece.clone();
        whole.position.offset = whole.position.offset / 5 * 5 + 4;
        piece.position.offset % 5 > 0 && self.stored.contains_key(&whole.to_string())
    }

    /// The ids of the records whose frames are stored.
    fn in_buffer(&self) -> BTreeSet<String> {
        let rows: Result<Vec<(String, i32, u32, i64)>, Failed> = self.world.database.query(
            "SELECT channel, kafka_partition, epoch, kafka_offset FROM records JOIN sources ON id = source \
             WHERE bytes > 0",
            None,
            &[],
        );
        let id = |(channel, partition, epoch, offset)| format!("v2.{channel}.{epoch}.{partition}.{offset}");
        rows.unwrap().into_iter().map(id).collect()
    }

    fn note_stored(&mut self) {
        let rows: Vec<(i64, String, i32, u32, i64, Option<String>)> = self
            .world
            .database
            .query(
                "SELECT seq, channel, kafka_partition, epoch, kafka_offset, piece_of FROM records \
                 JOIN sources ON id = source WHERE seq > ?1 ORDER BY seq",
                None,
                &[self.last_seq],
            )
            .unwrap();
        for (seq, channel, partition, epoch, offset, piece_of) in rows {
            self.last_seq = seq;
            let id = format!("v2.{channel}.{epoch}.{partition}.{offset}");
            assert_eq!(self.stored.insert(id, (seq, piece_of.is_some())), None, "stored once");
        }
    }

    fn trimmed_seq(&self) -> i64 {
        let max = "SELECT COALESCE(MAX(trimmed_seq), 0) FROM sources";
        let rows: Result<Vec<(i64,)>, Failed> = self.world.database.query(max, None, &[]);
        rows.unwrap()[0].0
    }

    fn reconnect(&mut self, n: usize) {
        let listener = &mut self.listeners[n];
        self.world.now_ms += 1;
        self.world.disconnect(&listener.socket);
        listener.in_flight.clear();
        listener.taken_seq = 0;
        let last_id = listener.last_id.clone();
        listener.socket = self.world.open_for(n as u8, last_id.as_deref(), &listener.channels);
        if last_id.is_none() {
            self.listeners[n].told_up_to = self.trimmed_seq();
        }
    }

    /// Takes messages, one at a time. Returns whether there was one.
    fn take(&mut self, n: usize, messages: usize, acknowledges: bool) -> bool {
        // A reset tells of what was trimmed until it was sent.
        let trimmed_seq = self.trimmed_seq();
        for taken in 0..messages {
            let listener = &mut self.listeners[n];
            listener.in_flight.extend(listener.socket.texts());
            let Some(text) = listener.in_flight.pop_front() else { return taken > 0 };
            let (seq, events) = world::events_in(&text);
            for event in events {
                match event {
                    Received::Reset(_) => self.listeners[n].reset(trimmed_seq),
                    Received::Record(id) => self.listeners[n].receive(id),
                    // The bridge reads again what was stored of the partition.
                    Received::Missing(until) => {
                        for id in between(&self.stored, self.listeners[n].last_id.as_deref(), &until) {
                            self.listeners[n].receive(id);
                        }
                    }
                }
            }
            if seq > 0 {
                self.listeners[n].taken_seq = seq;
            }
            if acknowledges {
                self.acknowledge(n);
            }
        }
        true
    }

    fn acknowledge(&mut self, n: usize) {
        let Listener { socket, taken_seq, .. } = &self.listeners[n];
        if socket.closed().is_none() {
            self.world.acknowledge(socket, &format!("{{\"taken\":{taken_seq}}}"));
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Deliver { source, count, repeated, and } => self.deliver(source, count, repeated, and),
            Step::Fail { source, count, and } => {
                self.world.database.set_failing(true);
                self.deliver(source, count, 0, and);
                self.world.database.set_failing(false);
            }
            Step::Take { client, messages, acknowledges } => drop(self.take(client, messages, acknowledges)),
            Step::Reconnect { client } => self.reconnect(client),
            Step::Replace { source } => self.partitions[source].source.generation += 1,
            Step::Recreate { source } => self.partitions[source].source.epoch += 1,
            Step::Page { source, back, limit } => self.page(source, back, limit),
            Step::Store => self.store(),
            Step::Crash => self.world.crash(),
            Step::Hibernate => self.world.hibernate(),
            Step::Wait { hours } => self.world.now_ms += hours * 3_600_000,
        }
    }

    /// Everything is delivered and taken.
    fn finish(&mut self) {
        (0..self.partitions.len()).for_each(|source| self.deliver(source, 0, 0, None));
        // Nothing new: so what is held is stored.
        (0..self.partitions.len()).for_each(|source| self.deliver(source, 0, 0, None));
        for n in 0..self.listeners.len() {
            self.acknowledge(n);
            while self.take(n, 1, true) {}
            if self.listeners[n].socket.closed().is_some() {
                self.reconnect(n);
                while self.take(n, 1, true) {}
            }
            self.check(n);
        }
    }

    fn check(&self, n: usize) {
        let listener = &self.listeners[n];
        for (id, &(seq, is_piece)) in &self.stored {
            let cursor: Cursor = id.parse().unwrap();
            let is_heard = listener.channels.is_empty() || listener.channels.contains(&cursor.channel);
            if !is_heard || seq <= listener.told_up_to || listener.has.contains(id) {
                continue;
            }
            assert!(is_piece && self.is_finished(&cursor), "client {n} missed {id} (number {seq}) and was not told");
        }
    }
}

/// The ids of a partition's stored records after one, up to another one.
fn between(stored: &BTreeMap<String, (i64, bool)>, after: Option<&str>, until: &str) -> Vec<String> {
    let (after, until): (Cursor, Cursor) = (after.unwrap().parse().unwrap(), until.parse().unwrap());
    let all = stored.keys().map(|id| id.parse::<Cursor>().unwrap());
    let mut missed: Vec<_> = all
        .filter(|cursor| {
            (&cursor.channel, cursor.partition) == (&until.channel, until.partition)
                && cursor.position > after.position
                && cursor.position <= until.position
        })
        .collect();
    missed.sort_by_key(|cursor| cursor.position);
    missed.iter().map(Cursor::to_string).collect()
}

impl Listener {
    fn reset(&mut self, told_up_to: i64) {
        self.has.clear();
        self.newest.clear();
        self.last_id = None;
        self.told_up_to = told_up_to;
    }

    fn receive(&mut self, id: String) {
        let Cursor { channel, partition, position, .. } = id.parse().unwrap();
        let before = self.newest.insert((channel, partition), position);
        assert!(before.is_none_or(|before| before < position), "{id} after {before:?}");
        self.has.insert(id.clone());
        self.last_id = Some(id);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_record_arrives_once_and_in_order_or_the_client_is_told(steps in steps()) {
        let mut model = Model::new();
        steps.into_iter().for_each(|step| model.run(step));
        model.finish();
    }
}
