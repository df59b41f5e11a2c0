//! The keys in memory, by owner: a call asks without the database and without opening anything.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use base::Result;
use llm::provider::Provider;
use store::provider_keys::ProviderKeyRow;

use super::policies::{self, Policies};
use super::{Owner, Policy, ProviderKey};
use crate::{Change, Domain, storage};

/// An owner's keys, by provider and then in the order in which they are asked.
type Keys = Arc<[Arc<ProviderKey>]>;

/// How many rows are read at once.
const PAGE: i64 = 1_000;

/// The keys and the policies as they are now.
#[derive(Default)]
pub struct ProviderKeys {
    known: RwLock<Known>,
    policies: ArcSwap<Policies>,
    /// Held while something is read again, so that an older reading does not replace a newer one.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    system: Keys,
    organizations: HashMap<String, Keys>,
    teams: HashMap<String, Keys>,
    users: HashMap<String, Keys>,
}

impl Known {
    fn of(&self, owner: Owner<'_>) -> Option<&Keys> {
        match owner {
            Owner::System => Some(&self.system),
            Owner::Organization(id) => self.organizations.get(id),
            Owner::Team(id) => self.teams.get(id),
            Owner::User(id) => self.users.get(id),
        }
    }

    fn put(&mut self, owner: Owner<'_>, keys: Keys) {
        let (map, id) = match owner {
            Owner::System => {
                self.system = keys;
                return;
            }
            Owner::Organization(id) => (&mut self.organizations, id),
            Owner::Team(id) => (&mut self.teams, id),
            Owner::User(id) => (&mut self.users, id),
        };
        match keys.is_empty() {
            true => drop(map.remove(id)),
            false => drop(map.insert(id.to_owned(), keys)),
        }
    }
}

impl ProviderKeys {
    /// An owner's enabled keys at a provider, in the order in which they are asked.
    pub fn of(&self, owner: Owner<'_>, provider: &Provider) -> Vec<Arc<ProviderKey>> {
        let Some(keys) = self.all_of(owner) else {
            return Vec::new();
        };
        let usable = keys
            .iter()
            .filter(|key| key.enabled && key.provider.name == provider.name);
        usable.cloned().collect()
    }

    /// All keys of an owner, those that are not enabled too; `None` where there is none.
    pub fn all_of(&self, owner: Owner<'_>) -> Option<Keys> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .of(owner)
            .filter(|keys| !keys.is_empty())
            .map(Arc::clone)
    }

    /// Whether people may pay with their own keys at a provider.
    pub fn policy(&self, provider: &Provider) -> Policy {
        let policies = self.policies.load();
        policies
            .get(provider.name)
            .copied()
            .unwrap_or(Policy::Allowed)
    }

    /// The policies that are not the default.
    pub fn policies(&self) -> Arc<Policies> {
        self.policies.load_full()
    }

    pub(super) fn all(&self) -> Vec<Arc<ProviderKey>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let owned = known.organizations.values();
        let owned = owned
            .chain(known.teams.values())
            .chain(known.users.values());
        std::iter::once(&known.system)
            .chain(owned)
            .flat_map(|keys| keys.iter().cloned())
            .collect()
    }

    fn put(&self, owner: Owner<'_>, keys: Keys) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = known.of(owner) {
            keep_uses(before, &keys);
        }
        known.put(owner, keys);
    }
}

/// What is not yet written of when keys were used goes on in their successors.
fn keep_uses(before: &[Arc<ProviderKey>], after: &[Arc<ProviderKey>]) {
    for key in after {
        if let Some(old) = before.iter().find(|old| old.id == key.id) {
            let used_at = old.used_at.load(Ordering::Relaxed);
            key.used_at.fetch_max(used_at, Ordering::Relaxed);
        }
    }
}

/// Reads all keys and policies.
///
/// # Errors
/// When the database does not answer; what was known stays.
pub async fn rebuild(domain: &Domain) -> Result<()> {
    let _alone = domain.provider_keys.reading.lock().await;
    let mut owned: HashMap<(String, String), Vec<ProviderKeyRow>> = HashMap::new();
    let mut after = String::new();
    loop {
        let rows = store::provider_keys::page(&domain.db, &after, PAGE)
            .await
            .map_err(storage)?;
        let Some(last) = rows.last() else { break };
        after.clone_from(&last.id);
        for row in rows {
            let owner = (row.owner_kind.clone(), row.owner_id.clone());
            owned.entry(owner).or_default().push(row);
        }
    }
    for ((kind, id), mut rows) in owned {
        rows.sort_by(|a, b| {
            let order = |row: &ProviderKeyRow| (row.position, row.created_at, row.id.clone());
            (&a.provider, order(a)).cmp(&(&b.provider, order(b)))
        });
        if let Some(owner) = Owner::read(&kind, &id) {
            domain.provider_keys.put(owner, read(rows));
        }
    }
    read_policies(domain).await
}

/// Reads again what a change has made stale.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn refresh(domain: &Domain, change: &Change<'_>) -> Result<()> {
    let keys = &domain.provider_keys;
    let owner = match change {
        Change::ProviderKeys(owner) => *owner,
        Change::ProviderKeyPolicies => {
            let _alone = keys.reading.lock().await;
            return read_policies(domain).await;
        }
        // who is gone has no keys any more
        Change::User(id) => Owner::User(id),
        Change::Team(id) => Owner::Team(id),
        Change::Organization(id) => Owner::Organization(id),
        Change::Key(_) | Change::Model(_) | Change::Budget(_) => return Ok(()),
    };
    let is_about_keys = matches!(change, Change::ProviderKeys(_));
    if !is_about_keys && keys.all_of(owner).is_none() {
        return Ok(());
    }
    let _alone = keys.reading.lock().await;
    let rows = store::provider_keys::of_owner(&domain.db, owner.kind(), owner.id())
        .await
        .map_err(storage)?;
    keys.put(owner, read(rows));
    Ok(())
}

async fn read_policies(domain: &Domain) -> Result<()> {
    let policies = policies::current(domain).await?;
    domain.provider_keys.policies.store(Arc::new(policies));
    Ok(())
}

fn read(rows: Vec<ProviderKeyRow>) -> Keys {
    let keys = rows.into_iter().filter_map(|row| {
        let key = ProviderKey::read(row);
        key.inspect_err(|error| tracing::error!(%error, "a stored provider key cannot be used"))
            .ok()
            .map(Arc::new)
    });
    keys.collect()
}
