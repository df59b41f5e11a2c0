//! Models, deployments and prices as they are now: one immutable value, replaced as a whole when
//! something changes, read by requests without a lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use base::Result;

use crate::{Domain, storage};

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

/// Reads all models again and replaces the snapshot.
///
/// # Errors
/// When the database does not answer; the old snapshot stays.
pub async fn rebuild(domain: &Domain) -> Result<()> {
    let rows = store::deployments::list(&domain.db)
        .await
        .map_err(storage)?;
    let configured = &domain.config.models;
    let stored = rows
        .into_iter()
        .map(|row| (row.id, row.model_name))
        .collect::<Vec<_>>();
    let named = configured
        .definitions
        .iter()
        .map(|definition| (definition.id.clone(), definition.model_name.clone()));
    let mut snapshot = Snapshot {
        aliases: configured.aliases.clone(),
        ..Snapshot::default()
    };
    for (id, model_name) in named.chain(stored) {
        let deployment = Arc::new(Deployment { id, model_name });
        snapshot.add(deployment);
    }
    domain.models.replace(snapshot);
    Ok(())
}

impl Snapshot {
    fn add(&mut self, deployment: Arc<Deployment>) {
        let name = &deployment.model_name;
        if !self.groups.contains_key(name) {
            match name.contains('*') {
                true => self.wildcards.push(name.clone()),
                false => self.names.push(name.clone()),
            }
        }
        let group = self.groups.entry(name.clone()).or_default();
        group.push(Arc::clone(&deployment));
        self.deployments.insert(deployment.id.clone(), deployment);
    }
}
