//! The end of a user: their keys, memberships and budgets go along, what they spent stays in the ledger.

use base::{Code, Error, Result};

use super::record::described;
use crate::audit::{self, Action, Actor};
use crate::keys::{self, Owner};
use crate::scopes::ScopeKind;
use crate::{
    Change, Domain, entity_budgets, organizations, passwords, provider_keys, requests, storage,
    teams,
};

/// Deletes users with their keys, memberships and budgets: all of them, or none.
///
/// # Errors
/// [`Code::NotFound`] naming the first user that is not there.
pub async fn delete(domain: &Domain, actor: &Actor, user_ids: &[String]) -> Result<usize> {
    remove(domain, actor, user_ids, false).await
}

/// Deletes users, or with `is_own` the actor themselves.
pub(super) async fn remove(
    domain: &Domain,
    actor: &Actor,
    user_ids: &[String],
    is_own: bool,
) -> Result<usize> {
    let now = domain.clock.now();
    let mut user_ids = user_ids.to_vec();
    // in one order, so that two deletions cannot wait for each other
    user_ids.sort_unstable();
    user_ids.dedup();
    let mut tx = domain.begin().await?;
    let mut hashes = Vec::new();
    let mut team_ids = Vec::new();
    for id in &user_ids {
        if !is_own {
            organizations::must_administer_user(&mut tx, actor, id).await?;
        }
        let row = store::users::lock(&mut tx, id).await.map_err(storage)?;
        let row = row.ok_or_else(|| {
            let message = format!("User not found, passed user_id={id}");
            Error::new(Code::NotFound, message).param("user_ids")
        })?;
        let before = described(&mut tx, &row).await?;
        let own = std::slice::from_ref(id);
        let memberships = store::teams::memberships_of_users(&mut tx, own)
            .await
            .map_err(storage)?;
        for member in memberships {
            teams::erase(&mut tx, &member).await?;
            team_ids.push(member.team_id);
        }
        let memberships = store::organizations::memberships_of_user(&mut tx, id)
            .await
            .map_err(storage)?;
        for member in memberships {
            organizations::erase(&mut tx, &member).await?;
        }
        hashes.extend(keys::delete_owned(domain, &mut tx, actor, Owner::User(id)).await?);
        entity_budgets::erase(&mut tx, ScopeKind::User, id).await?;
        let owner = provider_keys::Owner::User(id);
        provider_keys::erase(&mut tx, actor, owner, now).await?;
        passwords::close_doors(&mut tx, id).await?;
        store::invitations::delete_of_user(&mut tx, id)
            .await
            .map_err(storage)?;
        store::known_places::delete_of_user(&mut tx, id)
            .await
            .map_err(storage)?;
        requests::forget_user(domain, &mut tx, id).await?;
        store::scim::delete(&mut tx, store::scim::USER, id)
            .await
            .map_err(storage)?;
        store::conversations::delete_of_user(&mut tx, id)
            .await
            .map_err(storage)?;
        store::users::delete(&mut tx, id).await.map_err(storage)?;
        let gone = (Some(before), None);
        audit::changed(&mut tx, actor, now, Action::Deleted, ("user", id), gone);
    }
    let users = user_ids.iter().map(|id| Change::User(id));
    let teams = team_ids.iter().map(|id| Change::Team(id));
    let keys = hashes.iter().map(|hash| Change::Key(hash));
    let changes: Vec<Change<'_>> = users.chain(teams).chain(keys).collect();
    domain.commit(tx, &changes).await?;
    Ok(user_ids.len())
}
