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
    Organization(&'a str),
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
    let now = domain.clock.now();
    let most = i64::MAX;
    let keys = match owner {
        Owner::User(user_id) => store::keys::live(&mut *tx, Some(user_id), None, most).await,
        Owner::Team(team_id) => store::keys::live(&mut *tx, None, Some(team_id), most).await,
        Owner::Organization(id) => store::keys::live_of_organization(&mut *tx, id).await,
        Owner::Member { team_id, user_id } => {
            store::keys::live(&mut *tx, Some(user_id), Some(team_id), most).await
        }
    }
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
