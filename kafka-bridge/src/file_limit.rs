//! The limit of the process's open files. Each stream is one, and many systems start processes with a limit of 1024.

/// Open files besides the streams: listeners, connections to Kafka, Redis and the edge, requests in progress.
const RESERVED: u64 = 1024;

/// Raises the limit to what the system allows and `max_streams` needs. Warns if that is not allowed: beyond the limit
/// connections wait to be accepted.
pub fn raise(max_streams: usize) {
    let needed = u64::try_from(max_streams).unwrap_or(u64::MAX).saturating_add(RESERVED);
    let limit = match rlimit::increase_nofile_limit(needed) {
        Ok(limit) => limit,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files can't be read or raised");
            return;
        }
    };
    if limit < needed {
        tracing::warn!(
            limit,
            needed,
            "the limit of open files allows fewer streams than BRIDGE_MAX_STREAMS: raise it (ulimit -Hn, LimitNOFILE) or \
             lower BRIDGE_MAX_STREAMS"
        );
    }
}
