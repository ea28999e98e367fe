//! Random deliveries, failures, disconnects and readers at two instances. Each client gets every record in order and
//! once, or is told of a gap.

use std::collections::BTreeMap;

use causeway_protocol::{
    buffer::cases::{Received, received_in},
    history::HistoryRequest,
};

use super::*;
use support::redis::{
    channel,
    instance::{Client, Instance},
    item, source,
};

/// A channel and a partition of it.
type Partition = (&'static str, i32);

/// What one client has received, over all its connections.
#[derive(Default)]
struct Reader {
    client: Option<Client>,
    last_event_id: Option<String>,
    /// The last offset of each partition since the last reset.
    last: BTreeMap<(String, i32), i64>,
    resets: usize,
}

impl Reader {
    /// Reads what is there, up to a number of frames.
    async fn read(&mut self, most: usize) {
        for _ in 0..most {
            let Some(client) = &mut self.client else { return };
            let read = tokio::time::timeout(Duration::from_millis(5), client.frame()).await;
            let Ok(Some(frame)) = read else { return };
            if let Some(id) = &frame.id {
                self.last_event_id = Some(id.clone()).filter(|id| !id.is_empty());
            }
            if frame.event.as_deref() == Some("reset") {
                self.last.clear();
                self.resets += 1;
            } else if frame.event.is_none() && frame.data.is_some() {
                let cursor: Cursor = frame.id.unwrap().parse().unwrap();
                let partition = (cursor.channel.to_string(), cursor.partition);
                let before = self.last.insert(partition, cursor.position.offset);
                let expected = before.map_or(cursor.position.offset, |before| before + 1);
                assert_eq!(cursor.position.offset, expected, "{cursor}");
            }
        }
    }
}

struct World {
    random: fastrand::Rng,
    instances: [Instance; 2],
    partitions: Vec<Partition>,
    /// The generation of each partition's reader, and its instance.
    owners: BTreeMap<Partition, (u64, usize)>,
    next: BTreeMap<Partition, i64>,
    /// The first offset of each partition that is not stored.
    unstored: BTreeMap<Partition, i64>,
    readers: Vec<Reader>,
}

impl World {
    fn slice(&self, partition: Partition, offsets: std::ops::Range<i64>) -> Slice {
        let source = Source {
            channel: channel(partition.0),
            partition: partition.1,
            generation: self.owners[&partition].0,
            ..source(1, 0)
        };
        let bytes = |offset: i64| if offset % 40 == 39 { 30_000 } else { 10 };
        let data = |offset| format!("\"{}\"", "x".repeat(bytes(offset)));
        Slice { items: offsets.map(|offset| item(&source, offset, &data(offset))).collect(), after: None, source }
    }

    fn any_partition(&mut self) -> Partition {
        let n = self.random.usize(..self.partitions.len());
        self.partitions[n]
    }

    /// A partition's owner reads some records. It shows each to the streams, and may fail to store them.
    async fn arrive(&mut self, partition: Partition, count: i64, is_stored: bool) {
        let owner = &self.instances[self.owners[&partition].1];
        let (from, to) = (self.next[&partition], self.next[&partition] + count);
        owner.push(&user("a"), &[self.slice(partition, from..to)]);
        self.next.insert(partition, to);
        if is_stored {
            let all = self.slice(partition, self.unstored[&partition]..to);
            assert_eq!(owner.store(&user("a"), &[all]).await, Outcome::Stored);
            self.unstored.insert(partition, to);
        }
    }

    /// Another reader takes a partition over, and delivers again what was not stored, and a little more.
    async fn take_over(&mut self, partition: Partition) {
        let (generation, _) = self.owners[&partition];
        let instance = self.random.usize(..2);
        self.owners.insert(partition, (generation + 1, instance));
        let from = (self.unstored[&partition] - self.random.i64(0..3)).max(0);
        self.unstored.insert(partition, from);
        let to = std::mem::replace(self.next.get_mut(&partition).unwrap(), from);
        self.arrive(partition, to - from, true).await;
    }

    async fn step(&mut self, redis: &RedisServer) {
        let partition = self.any_partition();
        let n = self.random.usize(..self.readers.len());
        match self.random.u32(0..100) {
            0..45 => self.arrive(partition, 1, true).await,
            45..55 => {
                let count = self.random.i64(1..60);
                self.arrive(partition, count, true).await;
            }
            55..60 => self.arrive(partition, 1, false).await,
            60..63 => self.take_over(partition).await,
            63..64 => redis.command::<()>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await,
            64..74 => {
                let reader = &mut self.readers[n];
                reader.client = None;
                let request = request(&user("a"), reader.last_event_id.as_deref());
                let opened = self.instances[self.random.usize(..2)].try_open(&request).await.unwrap();
                if reader.last_event_id.is_none() {
                    reader.last.clear();
                }
                reader.client = Some(opened);
            }
            _ => {
                let most = self.random.usize(1..80);
                self.readers[n].read(most).await;
            }
        }
    }
}

/// The pages of a partition have its last records, each once, down to the oldest one that the buffer has.
async fn assert_history(redis: &RedisServer, limits: BufferLimits, world: &World, partition: Partition) {
    let buffer = redis.buffer(limits);
    let cursor = |offset| Cursor::of_record(&channel(partition.0), partition.1, source(1, 0).at(offset));
    let mut end = world.next[&partition];
    for limit in [1, 2, 5, 20, 60].into_iter().cycle() {
        let request = HistoryRequest { channel: channel(partition.0), before: Some(cursor(end)), limit };
        let Some(page) = buffer.history(&user("a"), &request, unix_millis()).await.unwrap() else { break };
        let from = page.head.next.as_ref().unwrap().position.offset;
        let expected: Vec<_> = (from..end).map(|offset| Received::Record(cursor(offset).to_string())).collect();
        assert_eq!(received_in(&page.frames), expected);
        assert!(from < end && end - from <= i64::from(limit));
        end = from;
    }
    assert!(end < world.next[&partition]);
}

async fn run(redis: &RedisServer, seed: u64, partitions: &[Partition]) -> usize {
    redis.command::<()>(&["FLUSHALL"]).await;
    let limits = BufferLimits { messages: 300, page_records: 20, ..BufferLimits::default() };
    let instances = [Instance::start_with(redis, limits).await, Instance::start_with(redis, limits).await];
    let each = |value: i64| partitions.iter().map(|partition| (*partition, value)).collect();
    let mut world = World {
        random: fastrand::Rng::with_seed(seed),
        instances,
        partitions: partitions.to_vec(),
        owners: partitions.iter().enumerate().map(|(n, partition)| (*partition, (1, n % 2))).collect(),
        next: each(0),
        unstored: each(0),
        readers: (0..4).map(|_| Reader::default()).collect(),
    };
    for partition in partitions {
        world.arrive(*partition, 1, true).await;
    }
    for _ in 0..400 {
        world.step(redis).await;
    }
    for partition in partitions {
        world.take_over(*partition).await;
        world.arrive(*partition, 1, true).await;
    }
    for partition in partitions {
        assert_history(redis, limits, &world, *partition).await;
    }
    let mut resets = 0;
    for (n, reader) in world.readers.iter_mut().enumerate().filter(|(_, reader)| reader.client.is_some()) {
        let is_complete = |reader: &Reader| {
            let has_last = |((channel, partition), next): (&Partition, &i64)| {
                reader.last.get(&((*channel).to_owned(), *partition)) == Some(&(next - 1))
            };
            world.next.iter().all(has_last)
        };
        let deadline = tokio::time::Instant::now() + TEST_TIMEOUT;
        while !is_complete(reader) {
            assert!(tokio::time::Instant::now() < deadline, "seed {seed}, reader {n}: {:?}", reader.last);
            reader.read(1000).await;
        }
        reader.read(10).await;
        resets += reader.resets;
    }
    resets
}

#[tokio::test]
async fn every_record_comes_in_order_and_once_or_a_gap_is_told() {
    let Some(redis) = RedisServer::start().await else { return };
    let mut resets = 0;
    for seed in 0..4 {
        resets += run(&redis, seed, &[("chat", 0)]).await;
        resets += run(&redis, seed, &[("chat", 0), ("chat", 1), ("feed", 0)]).await;
    }
    assert!(resets > 0, "some readers were too slow");
}
