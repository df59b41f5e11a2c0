//! The keys of somebody or something that goes: deleted with their owner, in the same transaction.

use base::Result;
use serde_json::json;
use store::Tx;

use crate::audit::{Action, Actor, Entry, record};
use crate::scopes::ScopeKind;
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
pub async fn delete(
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
        store::budgets::delete_for_scope(&mut *tx, ScopeKind::Key.as_str(), &key.id)
            .await
            .map_err(storage)?;
        let entry = Entry {
            action: Action::Deleted,
            kind: "key",
            id: &key.id,
            before: Some(json!({
                "name": key.name,
                "alias": key.alias,
                "user_id": key.user_id,
                "team_id": key.team_id,
            })),
            after: None,
        };
        record(tx, actor, now, entry).await?;
        hashes.push(key.hash);
    }
    Ok(hashes)
}
