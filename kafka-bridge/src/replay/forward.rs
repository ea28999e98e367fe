//! Records after a position: what a stream missed.

use bytes::Bytes;
use causeway_protocol::{
    cursor::Cursor,
    frame::gap_frame,
    hub::ResetReason,
    replay::{MAX_REPLAY_BYTES, ReplayHead},
};

use super::{
    ReplayAnswer, cursor_at,
    scan::{Finished, Found, Scan},
};
use crate::kafka::KafkaError;

/// The user's records from an offset to a last one, or to the end. What can't be read of them is a gap.
pub(super) async fn after(scan: &mut Scan<'_>, from: i64, last: Option<i64>) -> Result<ReplayAnswer, KafkaError> {
    let now = scan.watermarks().await?;
    let last = last.unwrap_or(now.latest.saturating_sub(1));
    let end = last.saturating_add(1);
    let (mut found, mut at) = (Vec::new(), from);
    if at < now.earliest.min(end) {
        at = now.earliest.min(end);
        found.push(Found::Gap { last: at.saturating_sub(1), reason: ResetReason::Retention });
    }
    let to = end.min(now.latest);
    if at < to {
        let part = scan.read(at, to, MAX_REPLAY_BYTES).await?;
        at = part.next_offset;
        found.extend(part.found);
    }
    if at >= to && at < end {
        // The buffer had later records, so the end of the partition moved back.
        found.push(Found::Gap { last, reason: ResetReason::Truncated });
        at = end;
    }
    let next = (at < end).then(|| cursor_at(scan, at.saturating_sub(1)));
    Ok(answer(scan, &found, next))
}

fn answer(scan: &Scan<'_>, found: &[Found], next: Option<Cursor>) -> ReplayAnswer {
    let mut finished = Finished::default();
    let needed: Vec<bool> = found
        .iter()
        .rev()
        .map(|one| match one {
            Found::Item(item) => finished.needs(item),
            Found::Gap { .. } => true,
        })
        .collect();
    let mut frames = String::with_capacity(found.iter().map(Found::bytes).sum());
    let mut records = 0_u32;
    for (one, _) in found.iter().zip(needed.iter().rev()).filter(|(_, needed)| **needed) {
        match one {
            Found::Item(item) => {
                records = records.saturating_add(1);
                frames.push_str(&item.frame);
            }
            Found::Gap { last, reason } => frames.push_str(&gap_frame(&cursor_at(scan, *last), *reason)),
        }
    }
    ReplayAnswer { head: ReplayHead { records, next, gone: None }, frames: Bytes::from(frames) }
}
