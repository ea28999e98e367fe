//! Offsets of a partition that nobody received, whoever they were for: a client whose position is before them hears of a
//! gap. The bridge knows them; an isolate asks it at most once in a while for each partition.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use causeway_protocol::{
    channel::Channel,
    cursor::Cursor,
    deliver::{Slice, WIRE_VERSION},
    replay::{HOLE_PATH, HoleAnswer},
};
use http::{Method, StatusCode};

use super::bridge::Bridge;
use crate::{
    http::body::ReadBody as _,
    runtime::{
        clock::{Clock, millis, within},
        dependency::Dependency,
        platform::HttpClient,
        unavailable::Unavailable,
    },
};

/// How long the bridge may take.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How long an answer is valid.
const BELIEVED_FOR: Duration = Duration::from_secs(10);
/// How long the bridge is not asked again after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The most partitions that are remembered. A client may name any number.
const MAX_PARTITIONS: usize = 256;
/// The longest answer.
const MAX_ANSWER_BYTES: usize = 4096;

/// The last hole of each partition, as far as this isolate knows.
#[derive(Debug, Default)]
pub struct Holes(RefCell<BTreeMap<(Channel, i32), Known>>);

#[derive(Debug)]
struct Known {
    slice: Option<Slice>,
    until_ms: u64,
}

impl Holes {
    /// The gap that a client with this position has not heard of, if there is one.
    ///
    /// # Errors
    /// The bridge did not answer, and no hole is known. It is not asked again for a moment.
    pub(crate) async fn after<P: Clock + HttpClient>(
        &self,
        bridge: &Bridge<'_, P>,
        cursor: &Cursor,
    ) -> Result<Option<Slice>, Unavailable> {
        let key = (cursor.channel.clone(), cursor.partition);
        let now_ms = bridge.platform.now_ms();
        let is_after = |slice: &Slice| slice.items.iter().any(|item| slice.source.at(item.offset) > cursor.position);
        let known = self.0.borrow().get(&key).filter(|known| now_ms < known.until_ms).map(|known| known.slice.clone());
        if let Some(slice) = known {
            return Ok(slice.filter(is_after));
        }
        let asked = within(bridge.platform, TIMEOUT, Dependency::Bridge, ask(bridge, cursor)).await;
        let now_ms = bridge.platform.now_ms();
        match asked {
            Ok(slice) => {
                self.remember(key, slice.clone(), now_ms.saturating_add(millis(BELIEVED_FOR)));
                Ok(slice.filter(is_after))
            }
            // A hole that is known is still one.
            Err(failure) => {
                let slice = self.0.borrow().get(&key).and_then(|known| known.slice.clone());
                self.remember(key, slice.clone(), now_ms.saturating_add(millis(RETRY_AFTER)));
                slice.filter(is_after).map(Some).ok_or(failure)
            }
        }
    }

    fn remember(&self, key: (Channel, i32), slice: Option<Slice>, until_ms: u64) {
        let mut all = self.0.borrow_mut();
        if all.len() >= MAX_PARTITIONS
            && !all.contains_key(&key)
            && let Some(oldest) = all.iter().min_by_key(|(_, known)| known.until_ms).map(|(key, _)| key.clone())
        {
            all.remove(&oldest);
        }
        all.insert(key, Known { slice, until_ms });
    }
}

async fn ask<P: Clock + HttpClient>(bridge: &Bridge<'_, P>, cursor: &Cursor) -> Result<Option<Slice>, Unavailable> {
    let target = format!("{HOLE_PATH}?of={cursor}");
    let outgoing = bridge.signed_request(Method::GET, &target, Vec::new(), TIMEOUT)?;
    let response = bridge.platform.send(outgoing).await?;
    let failed = |detail: &dyn std::fmt::Display| Unavailable::new(Dependency::Bridge, detail);
    if response.status != StatusCode::OK {
        return Err(failed(&format_args!("answered about a hole with {}", response.status)));
    }
    let body = response.body.read(MAX_ANSWER_BYTES).await.map_err(|error| failed(&error))?;
    let answer: HoleAnswer = serde_json::from_slice(&body).map_err(|error| failed(&error))?;
    Ok(answer.slice.filter(|_| answer.version == WIRE_VERSION))
}
