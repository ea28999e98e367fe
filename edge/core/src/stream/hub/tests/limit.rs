//! What a full buffer keeps, and who is told of what it loses.

use causeway_protocol::{
    buffer::{MAX_BUFFER_BYTES, MAX_MESSAGES, MAX_RECORDS, TRIM_SLACK_PERCENT},
    cursor::Cursor,
    deliver::{Item, Source},
};

use super::*;

const MESSAGES: i64 = MAX_MESSAGES as i64;
const RECORDS: i64 = MAX_RECORDS as i64;
const SLACK: i64 = MESSAGES * TRIM_SLACK_PERCENT as i64 / 100;

/// Records of so many bytes each.
fn large(offsets: std::ops::Range<i64>, bytes: usize) -> [Slice; 1] {
    let item = |offset| Item { offset, frame: frame_of_bytes(offset, bytes), ..Item::default() };
    [Slice { source: source(), after: None, items: offsets.map(item).collect() }]
}

fn pieces(mut slice: Slice, message: &str) -> [Slice; 1] {
    slice.items.iter_mut().for_each(|item| item.piece_of = Some(message.to_owned()));
    [slice]
}

#[test]
fn trimming_waits_for_the_slack_and_then_makes_room_for_it() {
    let mut world = World::new();
    world.append(&records(0..MESSAGES + SLACK));
    let client = world.open(None);
    assert_eq!(world.read_all(&client), received(0..MESSAGES + SLACK));
    world.append(&records(MESSAGES + SLACK..MESSAGES + SLACK + 1));
    let client = world.open(None);
    assert_eq!(world.read_all(&client), received(SLACK + 1..MESSAGES + SLACK + 1));
}

#[test]
fn a_burst_takes_no_record_from_a_stream_that_was_level() {
    let mut world = World::new();
    let client = world.open(None);
    for start in 0..20 {
        world.append(&records(start * 300..(start + 1) * 300));
    }
    assert_eq!(world.read_all(&client), received(0..6000));
    world.append(&records(6000..6001));
    assert_eq!(world.read_all(&client), received(6000..6001));
    let another = world.open(None);
    assert_eq!(world.read_all(&another), received(6001 - MESSAGES..6001), "then the number is limited again");
}

#[test]
fn a_stream_that_lost_unsent_records_to_the_byte_limit_misses_them_and_continues() {
    let mut world = World::new();
    let client = world.open(None);
    let bytes = 64 * 1024;
    let fits = i64::try_from(MAX_BUFFER_BYTES).unwrap() / bytes as i64;
    for offset in 0..200 {
        world.append(&large(offset..offset + 1, bytes));
    }
    let events = world.read_all(&client);
    let first_window = 8;
    assert_eq!(events[..first_window as usize], received(0..first_window));
    let rest = &events[first_window as usize + 1..];
    assert!((fits - 1..=fits * 105 / 100).contains(&(rest.len() as i64)), "{} records", rest.len());
    let first = 200 - rest.len() as i64;
    assert_eq!(events[first_window as usize], Received::Missing(id(first - 1)), "Kafka has the ones in between");
    assert_eq!(rest, received(first..200));
}

#[test]
fn a_stream_that_lost_unsent_records_of_two_partitions_is_told_and_continues() {
    let mut world = World::new();
    let client = world.open(None);
    for offset in 0..200 {
        let source = Source { partition: i32::try_from(offset % 2).unwrap(), ..source() };
        let cursor = Cursor::of_record(&source.channel, source.partition, source.at(offset));
        let frame = record_frame(&cursor, &[format!("\"{}\"", "x".repeat(64 * 1024))]);
        let items = vec![Item { offset, frame, ..Item::default() }];
        world.append(&[Slice { source, after: None, items }]);
    }
    let events = world.read_all(&client);
    assert_eq!(events.iter().position(|event| *event == reset(ResetReason::TooSlow)), Some(8));
    assert_eq!(events.iter().filter(|event| !matches!(event, Received::Record(_))).count(), 1);
}

#[test]
fn a_stream_that_falls_behind_again_and_again_misses_each_part_once_also_after_hibernation() {
    let mut world = World::new();
    let client = world.open(None);
    let mut at = 0;
    for burst in 0..3 {
        for offset in burst * 200..(burst + 1) * 200 {
            world.append(&large(offset..offset + 1, 64 * 1024));
        }
        world.hibernate();
        for event in world.read_all(&client) {
            let (Received::Record(text) | Received::Missing(text)) = &event else { panic!("{event:?}") };
            let to = text.parse::<Cursor>().unwrap().position.offset;
            let is_missing = matches!(event, Received::Missing(_));
            assert!(if is_missing { to > at } else { to == at + 1 || to == 0 }, "{event:?} after {at}");
            at = to;
        }
    }
    assert_eq!(at, 599);
}

#[test]
fn an_unfinished_message_counts_once() {
    let mut world = World::new();
    world.append(&records(0..MESSAGES));
    for n in 0..SLACK {
        let start = MESSAGES + n * 3;
        world.append(&pieces(slice_of(start..start + 3), &format!("m{n}")));
    }
    world.hibernate();
    let client = world.open(Some(&id(0)));
    assert_eq!(world.read_all(&client).len() as i64, MESSAGES - 1 + SLACK * 3);
    let end = MESSAGES + SLACK * 3;
    world.append(&pieces(slice_of(end..end + 1), "another"));
    let client = world.open(None);
    let rest = MESSAGES - SLACK - 1;
    assert_eq!(world.read_all(&client).len() as i64, rest + SLACK * 3 + 1);
}

#[test]
fn pieces_of_messages_that_are_never_finished_are_limited_in_number() {
    let mut world = World::new();
    for start in 0..30 {
        world.append(&pieces(slice_of(start * 1000..(start + 1) * 1000), "m"));
    }
    let client = world.open(None);
    let count = world.read_all(&client).len() as i64;
    assert!((RECORDS - 1000..=RECORDS * 105 / 100).contains(&count), "{count} records");
}

#[test]
fn streamed_messages_push_no_other_out_of_the_buffer() {
    let mut world = World::new();
    world.append(&records(0..200));
    let behind = world.open(None);
    for message in 0..60_i64 {
        let start = 200 + message * 1001;
        world.append(&pieces(slice_of(start..start + 1000), "m"));
        let mut whole = slice_of(start + 1000..start + 1001);
        whole.items[0].completes = Some("m".to_owned());
        world.append(&[whole]);
    }
    assert!(world.hub().contents.records <= RECORDS * 105 / 100);
    let wholes = (0..60).map(|message| world::record(0, 200 + message * 1001 + 1000));
    let expected: Vec<_> = received(0..200).into_iter().chain(wholes).collect();
    assert_eq!(world.read_all(&behind), expected);
    world.hibernate();
    let client = world.open(None);
    assert_eq!(world.read_all(&client), expected);
    let client = world.open(Some(&id(199)));
    assert_eq!(world.read_all(&client), expected[200..]);
}

#[test]
fn pieces_and_the_whole_in_one_batch_are_sent_as_they_are_and_stored_as_the_whole() {
    let mut world = World::new();
    let client = world.open(None);
    let [mut slice] = pieces(slice_of(0..3), "m");
    slice.items[2] = Item { piece_of: None, completes: Some("m".to_owned()), ..slice.items[2].clone() };
    world.append(&[slice]);
    assert_eq!(client.take(), received(0..3));
    assert_eq!(world.open(None).take(), received(2..3));
    assert_eq!(world.open(Some(&id(0))).take(), received(2..3));
}
