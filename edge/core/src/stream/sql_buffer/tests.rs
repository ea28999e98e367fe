use super::{sqlite::*, *};

fn cursor(partition: i32, offset: i64) -> Cursor {
    Cursor { epoch: 1, partition, offset }
}

fn session(n: u8) -> SessionHandle {
    SessionHandle::from_digest(&[n; 32])
}

fn stored(seq: i64, cursor: Cursor, json: &str) -> StoredRecord {
    StoredRecord { seq, cursor, json: json.to_owned() }
}

/// The tables of the first deployed objects, with rows. No later version may fail on them.
const DEPLOYED: &str = "
    CREATE TABLE records (seq INTEGER PRIMARY KEY AUTOINCREMENT, cursor TEXT NOT NULL UNIQUE,
        json TEXT NOT NULL, bytes INTEGER NOT NULL, at_ms INTEGER NOT NULL);
    CREATE TABLE watermarks (part INTEGER PRIMARY KEY, cursor TEXT NOT NULL, seq INTEGER NOT NULL);
    CREATE INDEX records_by_age ON records (at_ms);
    CREATE TABLE ended (session TEXT PRIMARY KEY, at_ms INTEGER NOT NULL);
    INSERT INTO records VALUES (7, 'v1.1.3.20', '{}', 2, 1800000000000);
    INSERT INTO watermarks VALUES (3, 'v1.1.3.20', 7);
    INSERT INTO ended VALUES ('AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE', 1800000000000);
";

#[test]
fn tables_of_deployed_objects_are_read_and_written() {
    let Ok(buffer) = SqlBuffer::open(Sqlite::with(DEPLOYED));
    assert_eq!(buffer.after(0, 10), Ok(vec![stored(7, cursor(3, 20), "{}")]));
    assert_eq!(buffer.watermark(3), Ok(Some(Watermark { cursor: cursor(3, 20), seq: 7 })));
    assert_eq!(buffer.oldest_at_ms(), Ok(Some(1_800_000_000_000)));
    assert_eq!(buffer.has_ended(&session(1)), Ok(true));
    let Ok(()) = buffer.insert(cursor(0, 1), "[]", 1_800_000_000_001);
    assert_eq!(buffer.after(7, 10), Ok(vec![stored(8, cursor(0, 1), "[]")]));
}

#[test]
fn opening_again_keeps_the_content() {
    let database = Sqlite::new();
    let Ok(buffer) = SqlBuffer::open(database.clone());
    let Ok(()) = buffer.insert(cursor(0, 5), "{}", 1);
    let Ok(buffer) = SqlBuffer::open(database);
    assert_eq!(buffer.after(0, 10), Ok(vec![stored(1, cursor(0, 5), "{}")]));
}

#[test]
fn numbers_and_watermarks_outlive_the_records() {
    let buffer = empty_buffer();
    assert_eq!((buffer.last_seq(), buffer.watermark(0), buffer.oldest_at_ms()), (Ok(0), Ok(None), Ok(None)));
    let Ok(()) = buffer.insert(cursor(0, 5), "{}", 1);
    let Ok(()) = buffer.insert(cursor(1, 9), "{}", 1);
    let Ok(()) = buffer.trim(2, 0);
    assert_eq!((buffer.after(0, 10), buffer.seq_of(cursor(0, 5))), (Ok(Vec::new()), Ok(None)));
    assert_eq!(buffer.watermark(0), Ok(Some(Watermark { cursor: cursor(0, 5), seq: 1 })));
    assert_eq!(buffer.last_seq(), Ok(2));
    let Ok(()) = buffer.insert(cursor(0, 6), "{}", 1);
    assert_eq!(buffer.seq_of(cursor(0, 6)), Ok(Some(3)), "a number is used once");
    assert_eq!(buffer.watermark(0), Ok(Some(Watermark { cursor: cursor(0, 6), seq: 3 })));
}

#[test]
fn trimming_deletes_up_to_a_number_and_before_a_time() {
    let buffer = empty_buffer();
    for (offset, at_ms) in [(0, 10), (1, 10), (2, 20), (3, 10), (4, 20)] {
        let Ok(()) = buffer.insert(cursor(0, offset), "{}", at_ms);
    }
    let seqs = || buffer.after(0, 10).map(|rows| rows.into_iter().map(|row| row.seq).collect::<Vec<_>>());
    let Ok(()) = buffer.trim(1, 10);
    assert_eq!(seqs(), Ok(vec![2, 3, 4, 5]));
    let Ok(()) = buffer.trim(-499, 11);
    assert_eq!(seqs(), Ok(vec![3, 5]));
}

#[test]
fn bytes_are_counted_after_a_number_and_up_to_another() {
    let buffer = empty_buffer();
    for (offset, json) in ["\"a\"", "\"ü\"", "\"\u{1f600}\""].into_iter().enumerate() {
        let Ok(()) = buffer.insert(cursor(0, offset as i64), json, 1);
    }
    assert_eq!(buffer.bytes_between(0, 3), Ok(3 + 4 + 6));
    assert_eq!(buffer.bytes_between(1, 2), Ok(4));
    assert_eq!(buffer.bytes_between(3, 3), Ok(0));
}

#[test]
fn an_end_is_remembered_until_it_is_before_the_given_time() {
    let buffer = empty_buffer();
    let Ok(()) = buffer.remember_end(&session(1), 10, 0);
    let Ok(()) = buffer.remember_end(&session(2), 20, 10);
    assert_eq!([1, 2, 3].map(|n| buffer.has_ended(&session(n))), [Ok(true), Ok(true), Ok(false)]);
    let Ok(()) = buffer.remember_end(&session(2), 30, 11);
    assert_eq!([1, 2].map(|n| buffer.has_ended(&session(n))), [Ok(false), Ok(true)]);
    let Ok(()) = buffer.remember_end(&session(3), 40, 30);
    assert_eq!(buffer.has_ended(&session(2)), Ok(true), "the later end counts");
}
