//! What calls find out about keys: that a provider does not take one any more, or that its quota is used
//! up. In memory at once, in the database a moment later, and beside the call.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::Result;
use store::Tx;
use store::provider_keys as rows;

use super::manage::{described, note};
use super::{Owner, ProviderKey, State};
use crate::audit::Action;
use crate::mail::{self, provider_key_rejected_letter};
use crate::{Actor, Change, Domain, storage};

/// Notes that the provider does not take a key (401): its state says so, and whoever keeps it is told,
/// once.
pub fn note_rejection(domain: &Domain, key: &Arc<ProviderKey>) {
    note_state(domain, key, State::Rejected);
}

/// Notes what a call found out about a key. Does not wait for anything.
pub fn note_state(domain: &Domain, key: &Arc<ProviderKey>, state: State) {
    if key.state.swap(state.place(), Ordering::Relaxed) == state.place() {
        return;
    }
    let (domain, key) = (domain.clone(), Arc::clone(key));
    let tasks = domain.tasks.clone();
    tasks.spawn(async move {
        if let Err(error) = write(&domain, &key, state).await {
            tracing::warn!(%error, provider_key = key.id, "a provider key's state could not be written");
        }
    });
}

async fn write(domain: &Domain, key: &ProviderKey, state: State) -> Result<()> {
    let now = domain.clock.now();
    let mut tx = domain.begin().await?;
    let Some(row) = rows::lock(&mut tx, &key.id).await.map_err(storage)? else {
        return Ok(());
    };
    let changed = match row.state == state.as_str() {
        // another process was quicker
        true => 0,
        false => rows::set_state(&mut tx, &key.id, key.updated_at, state.as_str(), Some(now))
            .await
            .map_err(storage)?,
    };
    if changed == 0 {
        return Ok(());
    }
    // what comes and goes with a quota is no entry of the log
    let is_told = |state: &str| state == State::Rejected.as_str();
    if is_told(state.as_str()) || is_told(&row.state) {
        let mut after = row.clone();
        after.state = state.as_str().to_owned();
        let (old, new) = (described(&row, false), described(&after, false));
        let entry = (row.id.as_str(), Some(old), Some(new));
        note(&mut tx, &Actor::system(), now, Action::Updated, entry).await?;
    }
    if state == State::Rejected {
        tell(domain, &mut tx, key).await?;
    }
    domain
        .commit(tx, &[Change::ProviderKeys(key.owner())])
        .await
}

/// Writes to whoever keeps the key.
async fn tell(domain: &Domain, tx: &mut Tx, key: &ProviderKey) -> Result<()> {
    let letter = provider_key_rejected_letter(
        key.provider.title,
        &key.name,
        &key.last4,
        &domain.config.sign_in.link("/ui/login"),
    );
    for email in keepers(tx, key.owner()).await? {
        mail::queue(domain, tx, &email, &letter, None).await?;
    }
    Ok(())
}

async fn keepers(tx: &mut Tx, owner: Owner<'_>) -> Result<Vec<String>> {
    let (team, organization) = match owner {
        Owner::User(id) => {
            let user = store::users::find(&mut *tx, id).await.map_err(storage)?;
            return Ok(user.and_then(|user| user.email).into_iter().collect());
        }
        Owner::Team(id) => (Some(id), None),
        Owner::Organization(id) => (None, Some(id)),
        Owner::System => (None, None),
    };
    let keepers = store::requests::approvers(tx, team, organization)
        .await
        .map_err(storage)?;
    Ok(keepers.into_iter().filter_map(|one| one.email).collect())
}
