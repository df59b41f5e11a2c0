//! Models, deployments and prices as they are now: one immutable value, replaced as a whole when
//! something changes, read by requests without a lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;

/// The current [`Snapshot`]. Requests call [`Models::now`] once and keep what they got.
#[derive(Default)]
pub struct Models {
    current: ArcSwap<Snapshot>,
}

/// What can be called.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Public model names in the order they were configured.
    pub names: Vec<String>,
    /// The deployments of each public name.
    pub groups: BTreeMap<String, Vec<Arc<Deployment>>>,
    /// Deployments by id; an id may be called like a model name.
    pub deployments: BTreeMap<String, Arc<Deployment>>,
    /// Public names with a `*` in them, most specific first.
    pub wildcards: Vec<String>,
    /// `router_settings.model_group_alias`
    pub aliases: BTreeMap<String, String>,
    /// The public names in each access group (`model_info.access_groups`).
    pub access_groups: BTreeMap<String, BTreeSet<String>>,
}

/// One upstream model that answers to a public name.
#[derive(Debug)]
pub struct Deployment {
    pub id: String,
    /// The public name, which may hold a `*`.
    pub model_name: String,
}

impl Models {
    pub fn now(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    pub fn replace(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
    }
}
