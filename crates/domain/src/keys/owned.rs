//! The keys of somebody or something that goes: deleted with their owner, in the same transaction.

use base::Result;
use store::Tx;

use super::{described, note};
use crate::audit::{Action, Actor};
use crate::{Domain, storage};

/// Whose keys.
#[derive(Clone, Copy, Debug)]
pub enum Owner<'a> {
    User(&'a str),
    Team(&'a str),
    /// A user, but only their keys in one team.
    Member {
        team_id: &'a str,
        user_id: &'a str,
    },
}

/// Marks all keys of an owner as deleted; gives their hashes.
pub async fn delete_owned(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    owner: Owner<'_>,
) -> Result<Vec<String>> {
    let (user_id, team_id) = match owner {
        Owner::User(user_id) => (Some(user_id), None),
        Owner::Team(team_id) => (None, Some(team_id)),
        Owner::Member { team_id, user_id } => (Some(user_id), Some(team_id)),
    };
    let now = domain.clock.now();
    let keys = store::keys::live(&mut *tx, user_id, team_id, i64::MAX)
        .await
        .map_err(storage)?;
    let mut hashes = Vec::with_capacity(keys.len());
    for key in keys {
        store::keys::mark_deleted(tx, &key.id, now, &actor.name())
            .await
            .map_err(storage)?;
        store::keys::forget_hashes(tx, &key.id)
            .await
            .map_err(storage)?;
        let before = Some(described(&key));
        note(domain, tx, actor, Action::Deleted, &key, before).await?;
        hashes.push(key.hash);
    }
    Ok(hashes)
}
