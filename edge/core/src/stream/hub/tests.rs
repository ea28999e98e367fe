mod cases;
mod limit;
mod model;
mod world;

use causeway_protocol::{
    buffer::cases::Received,
    channel::Channel,
    deliver::{Item, MAX_RECORD_BYTES},
    frame::record_frame,
    hub::{WINDOW_BYTES, WINDOW_RECORDS},
};

use self::world::{Client, World, id, received, records, reset, session, slice_of, source};
use super::*;

#[test]
fn a_level_stream_gets_a_batch_as_one_message_and_its_attachment_is_written_once() {
    let mut world = World::new();
    let client = world.open(None);
    world.append(&records(0..2));
    world.append(&records(2..3));
    assert_eq!(client.messages(), [received(0..2), received(2..3)]);
    assert_eq!(client.attachments_written(), 1);
}

#[test]
fn a_batch_costs_one_statement() {
    let mut world = World::new();
    let _client = world.open(None);
    world.append(&records(0..1));
    let before = world.database.writes();
    world.append(&records(1..100));
    assert_eq!(world.database.writes(), before + 1);
    world.append(&records(1..100));
    assert_eq!(world.database.writes(), before + 1, "repeats cost none");
}

#[test]
fn records_in_quick_succession_are_sent_at_once_and_stored_together() {
    let mut world = World::holding();
    let client = world.open(None);
    assert_eq!(world.try_append(&records(0..1)), Ok(Outcome::Stored), "the first one");
    let before = world.database.writes();
    for offset in 1..5 {
        world.now_ms += 100;
        assert_eq!(world.try_append(&records(offset..offset + 1)), Ok(Outcome::Held));
    }
    assert_eq!((client.take(), world.database.writes()), (received(0..5), before));
    world.now_ms += 100;
    assert_eq!(world.try_append(&records(5..6)), Ok(Outcome::Stored), "half a second after the first one");
    world.crash();
    assert_eq!(world.open(None).take(), received(0..6));
}

#[test]
fn a_hub_stores_what_it_holds_when_it_is_asked_and_before_a_stream_reads() {
    let mut world = World::holding();
    world.append(&records(0..1));
    assert_eq!(world.try_append(&records(1..2)), Ok(Outcome::Held));
    assert_eq!(world.hub().holds_until_ms(), Some(world.now_ms + 2000));
    let question = |after| vec![Slice { after: Some(after), ..slice_of(0..0) }];
    assert_eq!(world.try_append(&question(1)), Ok(Outcome::Stored));
    assert_eq!(world.hub().holds_until_ms(), None);
    assert_eq!(world.try_append(&records(2..3)), Ok(Outcome::Held));
    assert_eq!(world.open(None).take(), received(0..3));
    assert_eq!(world.hub().holds_until_ms(), None);
}

#[test]
fn held_records_that_were_lost_are_missed_and_a_client_that_has_them_gets_none_twice() {
    let mut world = World::holding();
    let client = world.open(None);
    world.append(&records(0..1));
    assert_eq!(world.try_append(&records(1..3)), Ok(Outcome::Held));
    assert_eq!(client.take(), received(0..3));
    world.crash();
    let follows = vec![Slice { after: Some(2), ..slice_of(3..4) }];
    assert_eq!(world.try_append(&follows), Ok(Outcome::Missing));
    let back = world.open(Some(&id(2)));
    world.append(&records(1..4));
    assert_eq!(back.take(), received(3..4));
}

#[test]
fn held_records_that_can_not_be_stored_close_the_streams() {
    let mut world = World::holding();
    let client = world.open(None);
    world.append(&records(0..1));
    assert_eq!(world.try_append(&records(1..3)), Ok(Outcome::Held));
    world.database.set_failing(true);
    world.now_ms += 500;
    assert!(world.try_append(&records(3..4)).is_err());
    world.database.set_failing(false);
    assert_eq!((client.take(), client.closed()), (received(0..4), Some(CloseReason::Failed)));
    let back = world.open(Some(&id(3)));
    world.append(&records(1..5));
    assert_eq!(back.take(), received(4..5));
}

#[test]
fn a_message_names_its_last_record() {
    let mut world = World::new();
    let client = world.open(None);
    world.append(&records(0..3));
    let text = client.texts().remove(0);
    let Ok(HubMessage::Frames(head, _)) = HubMessage::parse(&text) else { panic!("frames: {text}") };
    assert_eq!((head.seq, head.records, head.id.map(|id| id.to_string())), (3, 3, Some(id(2))));
}

#[test]
fn a_stream_gets_one_window_and_the_rest_once_it_acknowledges() {
    let mut world = World::new();
    let client = world.open(None);
    world.append(&records(0..300));
    assert_eq!(client.take(), received(0..WINDOW_RECORDS));
    world.acknowledge(&client, "nonsense");
    world.acknowledge(&client, "{\"taken\":300}");
    assert_eq!(client.take(), [], "only records that were sent can be acknowledged");
    world.acknowledge(&client, "{\"taken\":128}");
    assert_eq!(client.take(), received(WINDOW_RECORDS..2 * WINDOW_RECORDS));
    world.acknowledge(&client, "{\"taken\":256}");
    assert_eq!(client.take(), received(2 * WINDOW_RECORDS..300));
    world.append(&records(300..301));
    assert_eq!(client.take(), received(300..301), "it is level again");
}

#[test]
fn large_records_fill_the_window_by_their_bytes() {
    let mut world = World::new();
    let client = world.open(None);
    let large = |offset| Item { frame: frame_of_bytes(offset, WINDOW_BYTES / 4), offset, ..Item::default() };
    world.append(&[Slice { source: source(), after: None, items: (0..10).map(large).collect() }]);
    assert_eq!(client.take(), received(0..4));
    world.acknowledge(&client, "{\"taken\":4}");
    assert_eq!(client.take(), received(4..8));
}

fn frame_of_bytes(offset: i64, bytes: usize) -> String {
    let cursor = id(offset).parse().unwrap();
    let empty = record_frame(&cursor, &["\"\"".to_owned()]).len();
    record_frame(&cursor, &[format!("\"{}\"", "x".repeat(bytes - empty))])
}

#[test]
fn hibernation_changes_nothing_for_a_level_stream() {
    let mut world = World::new();
    let client = world.open(Some("v2.chat.1.0.7"));
    world.append(&records(0..2));
    world.hibernate();
    world.append(&records(1..3));
    let expected = [vec![reset(ResetReason::OutOfBuffer)], received(0..3)].concat();
    assert_eq!(client.take(), expected);
}

#[test]
fn a_stream_that_was_behind_reads_on_after_hibernation_once_it_acknowledges() {
    let mut world = World::new();
    let client = world.open(None);
    world.append(&records(0..200));
    world.hibernate();
    world.append(&records(200..201));
    assert_eq!(client.take(), received(0..WINDOW_RECORDS));
    world.acknowledge(&client, "{\"taken\":32}");
    assert_eq!(client.take(), received(WINDOW_RECORDS..201));
}

#[test]
fn a_stream_that_acknowledges_nothing_for_a_minute_is_closed() {
    let mut world = World::new();
    let client = world.open(None);
    world.append(&records(0..300));
    world.now_ms += 30_000;
    world.acknowledge(&client, "{\"taken\":128}");
    world.now_ms += 60_000;
    world.hibernate();
    world.append(&records(300..301));
    assert_eq!(client.closed(), None);
    world.now_ms += 1;
    world.append(&records(301..302));
    assert_eq!(client.closed(), Some(CloseReason::Stalled));
    let client = world.open(None);
    world.append(&records(302..303));
    world.now_ms += 3_600_000;
    world.append(&records(303..304));
    assert_eq!(client.closed(), Some(CloseReason::Stalled), "it has not taken its window either");
}

#[test]
fn a_level_stream_is_never_stalled() {
    let mut world = World::new();
    let client = world.open(None);
    world.append(&records(0..31));
    world.now_ms += 3_600_000;
    world.append(&records(31..40));
    assert_eq!((client.closed(), client.take()), (None, received(0..40)));
}

#[test]
fn streams_are_told_of_the_sessions_end_and_no_further_one_opens() {
    let mut world = World::new();
    let (mine, other) = (world.open(None), world.open_for(2, None, &[]));
    let Ok(()) = world.hub().end(&session(1), EndReason::SignedOut, 0) else { panic!() };
    assert_eq!(mine.texts(), [HubMessage::End(EndReason::SignedOut).to_text()]);
    assert_eq!((mine.closed(), other.closed()), (Some(CloseReason::SessionEnded), None));
    world.append(&records(0..1));
    assert_eq!(other.take(), received(0..1));
    world.hibernate();
    assert_eq!(world.admit(1, &[]), Err(Rejection::SessionEnded));
    assert_eq!(world.admit(2, &[]), Ok(()));
}

#[test]
fn the_number_of_streams_and_of_their_channels_is_limited() {
    let mut world = World::new();
    let channels: Vec<_> = (0..30).map(|n| Channel::parse(&format!("{n:064}")).unwrap()).collect();
    assert_eq!(world.admit(1, &channels), Err(Rejection::TooManyChannels));
    assert_eq!(world.admit(1, &channels[..20]), Ok(()));
    let client = world.open_for(1, Some("v2.chat.4294967295.2147483647.9223372036854775807"), &channels[..20]);
    assert!(client.attachment().is_some_and(|text| text.len() < 2000));
    let clients: Vec<_> = (1..MAX_USER_STREAMS).map(|_| world.open(None)).collect();
    assert_eq!(world.admit(1, &[]), Err(Rejection::TooManyStreams));
    let gone = Hub::<world::Storage, _>::id_of(&clients[0]).unwrap();
    world.hub().forget(gone);
    assert_eq!(world.admit(1, &[]), Ok(()));
}

#[test]
fn what_a_bridge_does_not_send_is_refused_and_nothing_of_it_stored() {
    let mut world = World::new();
    let client = world.open(None);
    let with = |items| vec![slice_of(0..1), Slice { source: source(), after: None, items }];
    let large = Item { offset: 1, frame: "x".repeat(MAX_RECORD_BYTES + 1025), ..Item::default() };
    let negative = Item { offset: -1, ..Item::default() };
    let inexact = Item { offset: 1 << 53, ..Item::default() };
    for item in [large, negative, inexact] {
        assert_eq!(world.try_append(&with(vec![item])), Ok(Outcome::Refused));
    }
    assert_eq!(client.take(), []);
    assert_eq!(world.try_append(&with(Vec::new())), Ok(Outcome::Stored));
    assert_eq!(client.take(), received(0..1));
}

#[test]
fn a_replaced_reader_is_refused_after_hibernation_too() {
    let mut world = World::new();
    let of = |generation, offsets| {
        let source = causeway_protocol::deliver::Source { generation, ..source() };
        vec![Slice { source, ..slice_of(offsets) }]
    };
    world.append(&of(2, 0..1));
    world.append(&of(3, 0..1));
    world.hibernate();
    assert_eq!(world.try_append(&of(2, 1..2)), Ok(Outcome::Stale));
    assert_eq!(world.try_append(&of(3, 1..2)), Ok(Outcome::Stored));
}

#[test]
fn a_failure_of_the_storage_closes_the_streams_and_no_record_is_lost_or_repeated() {
    let mut world = World::new();
    let client = world.open(None);
    world.append(&records(0..2));
    world.database.set_failing(true);
    assert!(world.try_append(&records(2..5)).is_err());
    world.database.set_failing(false);
    assert_eq!((client.take(), client.closed()), (received(0..5), Some(CloseReason::Failed)));
    // Delivered again after the client has come back, and before.
    let back = world.open(Some(&id(4)));
    let another = world.open(Some(&id(1)));
    world.append(&records(2..7));
    assert_eq!((back.take(), another.take()), (received(5..7), received(2..7)));
    assert_eq!(world.open(Some(&id(4))).take(), received(5..7));
}

#[test]
fn the_late_close_of_a_stream_concerns_no_other() {
    let mut world = World::new();
    let client = world.open(None);
    world.database.set_failing(true);
    assert!(world.try_append(&records(0..1)).is_err());
    world.database.set_failing(false);
    world.now_ms += 1;
    let back = world.open(None);
    world.disconnect(&client);
    world.append(&records(0..1));
    assert_eq!(back.take(), received(0..1));
}

#[test]
fn a_client_whose_position_is_in_doubt_is_reset() {
    let mut world = World::new();
    let other = |offsets| vec![world::slice_from(1, offsets)];
    let client = world.open(None);
    world.append(&[slice_of(0..1), world::slice_from(1, 0..1)]);
    world.database.set_failing(true);
    assert!(world.try_append(&records(1..3)).is_err());
    world.database.set_failing(false);
    assert_eq!(client.take().last(), Some(&Received::Record(id(2))));
    world.append(&other(1..2));
    let ahead = world.open(Some(&id(2)));
    assert_eq!(ahead.take(), [world::record(1, 1)], "it has what was not stored, and not what came since");
    world.append(&records(1..4));
    assert_eq!(ahead.take(), received(3..4));
    world.hibernate();
    // Whether a client with this id has the other partition's record is not known.
    assert_eq!(world.open(Some(&id(2))).take()[0], reset(ResetReason::OutOfBuffer));
    assert_eq!(world.open(Some("v2.chat.1.1.1")).take()[0], reset(ResetReason::OutOfBuffer));
    assert_eq!(world.open(Some(&id(3))).take(), []);
    assert_eq!(world.open(Some(&id(0))).take().len(), 5);
}

#[test]
fn records_of_several_partitions_are_stored_before_they_are_sent() {
    let mut world = World::new();
    let client = world.open(None);
    world.database.set_failing(true);
    assert!(world.try_append(&[slice_of(0..1), world::slice_from(1, 0..1)]).is_err());
    assert_eq!(client.take(), []);
}

#[test]
fn the_hub_is_due_when_its_oldest_record_expires() {
    let mut world = World::new();
    assert_eq!(world.hub().next_expiry_ms(), None);
    world.append(&records(0..2));
    let due_ms = world.now_ms + millis(MAX_AGE) + 1;
    world.now_ms += 5;
    world.append(&records(2..3));
    world.hibernate();
    assert_eq!(world.hub().next_expiry_ms(), Some(due_ms));
    let Ok(()) = world.hub().expire(due_ms) else { panic!() };
    assert_eq!(world.hub().next_expiry_ms(), Some(due_ms + 5));
}
