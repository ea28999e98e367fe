use super::{sqlite::*, *};

fn at(offset: i64) -> Position {
    Position { epoch: 1, offset }
}

fn row(seq: i64, frame: &str) -> RecordRow<'_> {
    let bytes = i64::try_from(frame.len()).unwrap();
    RecordRow { seq, source: 1, epoch: 1, offset: seq * 10, frame, bytes, piece_of: None }
}

fn buffer() -> SqlBuffer<Sqlite> {
    SqlBuffer::open(Sqlite::new()).unwrap()
}

fn seqs(page: Vec<StoredRecord>) -> Vec<i64> {
    page.into_iter().map(|record| record.seq).collect()
}

#[test]
fn opening_again_keeps_the_content() {
    let database = Sqlite::new();
    let frame = "id: x\ndata: \"ü\\u0000\u{1f600}\"\n\n";
    SqlBuffer::open(database.clone()).unwrap().insert(&[row(7, frame)], 1_800_000_000_000).unwrap();
    let buffer = SqlBuffer::open(database).unwrap();
    let stored = StoredRecord { seq: 7, source: 1, epoch: 1, offset: 70, frame: frame.to_owned() };
    assert_eq!(buffer.page(&[1], 0, 10, 1), Ok(vec![stored]));
    assert_eq!(buffer.oldest_at_ms(), Ok(Some(1_800_000_000_000)));
    assert_eq!((buffer.seq_of(1, at(70)), buffer.seq_of(1, at(7))), (Ok(Some(7)), Ok(None)));
}

#[test]
fn the_largest_numbers_stay_exact() {
    let buffer = buffer();
    let largest = RecordRow { offset: MAX_NUMBER, epoch: u32::MAX, ..row(1, "x") };
    buffer.insert(&[largest], 0).unwrap();
    let position = Position { epoch: u32::MAX, offset: MAX_NUMBER };
    assert_eq!(buffer.seq_of(1, position), Ok(Some(1)));
    assert_eq!(buffer.groups(MAX_NUMBER).unwrap()[0].offset, MAX_NUMBER);
}

#[test]
fn a_page_is_limited_by_records_and_by_bytes() {
    let buffer = buffer();
    let rows: Vec<_> = (1..=6).map(|seq| RecordRow { source: seq % 2, ..row(seq, "12345") }).collect();
    buffer.insert(&rows, 0).unwrap();
    let page = |after, records, bytes| seqs(buffer.page(&[0, 1], after, records, bytes).unwrap());
    assert_eq!(page(1, 3, 1000), [2, 3, 4]);
    assert_eq!(page(0, 9, 1), [1], "the first may exceed the bytes");
    assert_eq!(page(0, 9, 10), [1, 2]);
    assert_eq!(page(0, 9, 11), [1, 2, 3]);
    assert_eq!(seqs(buffer.page(&[0], 0, 9, 1000).unwrap()), [2, 4, 6]);
    assert!(buffer.has_between(&[0], 1, 3).unwrap());
    assert!(!buffer.has_between(&[0], 2, 4).unwrap());
}

#[test]
fn emptied_pieces_keep_their_positions_only() {
    let buffer = buffer();
    let piece = |seq, message| RecordRow { piece_of: Some(message), ..row(seq, "12345") };
    buffer.insert(&[piece(1, "m"), piece(2, "other"), piece(3, "m"), row(4, "whole")], 0).unwrap();
    buffer.empty_pieces(1, "m", 1, 3).unwrap();
    assert_eq!(seqs(buffer.page(&[1], 0, 10, 1000).unwrap()), [2, 4]);
    assert_eq!(buffer.seq_of(1, at(30)), Ok(Some(3)));
    let groups: Vec<_> = buffer
        .groups(3)
        .unwrap()
        .into_iter()
        .map(|g| (g.piece_of, g.first_seq, g.last_seq, g.records, g.bytes))
        .collect();
    assert_eq!(groups, [(Some(String::new()), 1, 3, 2, 0), (Some("other".to_owned()), 2, 2, 1, 5)]);
}

#[test]
fn limits_are_found_from_the_oldest() {
    let buffer = buffer();
    let piece = |seq| RecordRow { piece_of: Some("m"), ..row(seq, "123") };
    buffer.insert(&[row(1, "1"), piece(2), row(3, "3"), piece(4), row(5, "5")], 20).unwrap();
    assert_eq!([1, 2, 3, 4].map(|n| buffer.seq_of_message(n, &[4]).unwrap()), [Some(1), Some(3), Some(4), Some(5)]);
    assert_eq!([1, 5, 6].map(|n| buffer.seq_of_record(n).unwrap()), [Some(1), Some(5), None]);
    assert_eq!([1, 2, 4, 5, 10].map(|n| buffer.seq_of_byte(n).unwrap()), [Some(1), Some(2), Some(2), Some(3), None]);
    assert_eq!((buffer.first_seq_since(20), buffer.first_seq_since(21)), (Ok(Some(1)), Ok(None)));
    buffer.trim(3).unwrap();
    assert_eq!(seqs(buffer.page(&[1], 0, 10, 1000).unwrap()), [4, 5]);
    assert_eq!(buffer.first_seq_from(1, at(45)), Ok(Some(5)));
}

#[test]
fn a_source_is_replaced_by_its_id() {
    let buffer = buffer();
    let channel = Channel::parse("chat").unwrap();
    let trimmed = (None, None, None);
    let (trimmed_epoch, trimmed_offset, trimmed_seq) = trimmed;
    let first = SourceRow { id: 1, channel, partition: 0, generation: 1, trimmed_epoch, trimmed_offset, trimmed_seq };
    let second = SourceRow { id: 2, partition: 1, ..first.clone() };
    let later = SourceRow {
        generation: 2,
        trimmed_epoch: Some(u32::MAX),
        trimmed_offset: Some(MAX_NUMBER),
        trimmed_seq: Some(3),
        ..first.clone()
    };
    buffer.put_sources(&[first, second.clone()]).unwrap();
    buffer.put_sources(std::slice::from_ref(&later)).unwrap();
    assert_eq!(buffer.sources(), Ok(vec![later, second]));
}

#[test]
fn an_end_is_remembered_until_it_is_before_the_given_time() {
    let session = |n| SessionHandle::from_digest(&[n; 32]);
    let buffer = buffer();
    buffer.remember_end(&session(1), 10, 0).unwrap();
    buffer.remember_end(&session(2), 20, 10).unwrap();
    assert_eq!([1, 2, 3].map(|n| buffer.has_ended(&session(n))), [Ok(true), Ok(true), Ok(false)]);
    buffer.remember_end(&session(2), 30, 11).unwrap();
    assert_eq!([1, 2].map(|n| buffer.has_ended(&session(n))), [Ok(false), Ok(true)]);
    buffer.remember_end(&session(3), 40, 30).unwrap();
    assert_eq!(buffer.has_ended(&session(2)), Ok(true), "the later end counts");
}
