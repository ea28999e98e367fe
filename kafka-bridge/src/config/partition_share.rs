//! `BRIDGE_REPLICA` and `BRIDGE_REPLICAS`: which partitions this instance delivers.

use super::vars::{ConfigError, Vars};

/// The partitions of the outbound topic that one instance delivers: those with `partition % replicas == replica`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionShare {
    /// This instance's ordinal.
    pub replica: u32,
    /// The number of instances.
    pub replicas: u32,
}

impl PartitionShare {
    /// Whether this instance delivers a partition.
    #[must_use]
    pub fn owns(self, partition: i32) -> bool {
        partition.unsigned_abs() % self.replicas.max(1) == self.replica
    }
}

pub(super) fn partition_share(vars: &Vars<'_>) -> Result<PartitionShare, ConfigError> {
    let replica = vars.parse("BRIDGE_REPLICA", Some("0"), "must be a whole number from 0")?;
    let replicas = vars.parse("BRIDGE_REPLICAS", Some("1"), "must be a whole number from 1")?;
    if replicas == 0 {
        return Err(ConfigError::new("BRIDGE_REPLICAS", "must be a whole number from 1"));
    }
    if replica >= replicas {
        return Err(ConfigError::new("BRIDGE_REPLICA", "must be less than BRIDGE_REPLICAS"));
    }
    Ok(PartitionShare { replica, replicas })
}
