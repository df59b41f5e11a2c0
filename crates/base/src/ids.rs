//! Ids. Every row that we name ourselves gets a UUIDv7: unique without coordination, in the order
//! of creation, so that an index on it stays compact.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::{NoContext, Timestamp, Uuid};

use crate::time::Millis;

/// A fresh id for a user, team, key, budget, model …
pub fn new_id(now: Millis) -> String {
    version_7(now).to_string()
}

fn version_7(now: Millis) -> Uuid {
    let seconds = u64::try_from(now.0 / 1000).unwrap_or(0);
    let nanos = u32::try_from(now.0.rem_euclid(1000)).unwrap_or(0) * 1_000_000;
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, nanos))
}

/// Names one call through the gateway: the ledger row, the receipt, the log lines, and the
/// `x-litellm-call-id` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub Uuid);

impl RequestId {
    pub fn new(now: Millis) -> RequestId {
        RequestId(version_7(now))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_ids_sort_later() {
        assert!(new_id(Millis(1_000)) < new_id(Millis(1_001)));
    }
}
