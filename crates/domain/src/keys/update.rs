//! Changing keys (contract §8.5).

use base::{Code, Error, Result};
use store::Tx;
use store::keys::KeyRow;

use super::caps;
use super::fields::KeyPatch;
use super::generate::{ceilings, check_team_models};
use super::{KeyView, Selector, described, lock, missing, note, permissions, taken, touch, view};
use crate::audit::{Action, Actor};
use crate::entity_budgets;
use crate::grants::{self, Given};
use crate::scopes::ScopeKind;
use crate::{Change, Domain, Patch, storage};

/// Which key is changed, and how.
#[derive(Clone, Debug)]
pub struct Update {
    pub selector: Selector,
    pub patch: KeyPatch,
}

/// Changes the fields that are there, and no others.
///
/// # Errors
/// 404 when there is no such key, 403 for what the actor may not change, 400 for values that make no
/// sense.
pub async fn update(domain: &Domain, actor: &Actor, mut change: Update) -> Result<KeyView> {
    domain.ledger.flush().await?;
    let mut tx = domain.begin().await?;
    let mut row = lock(domain, &mut tx, &change.selector)
        .await?
        .ok_or_else(|| missing("Key not found."))?;
    let before = described(&row);
    apply(domain, actor, &mut tx, &mut row, &mut change.patch).await?;
    store::keys::update(&mut tx, &row)
        .await
        .map_err(|failure| taken(&row, failure))?;
    note(domain, &mut tx, actor, Action::Updated, &row, Some(before)).await?;
    domain.commit(tx, &[Change::Key(&row.hash)]).await?;
    move_spend(domain, &row, &change.patch).await?;
    domain.ledger.flush().await?;
    view(domain, row).await
}

/// Writes a patch into a row and its budgets, as far as the actor may.
pub(super) async fn apply(
    domain: &Domain,
    actor: &Actor,
    tx: &mut Tx,
    row: &mut KeyRow,
    patch: &mut KeyPatch,
) -> Result<()> {
    let now = domain.clock.now();
    permissions::may_update(&mut *tx, actor, row, patch).await?;
    super::check_alias(domain, &patch.alias)?;
    if !actor.is_admin() {
        caps::check(domain, &mut *tx, patch, now, false).await?;
    }
    change_team(tx, actor, row, patch).await?;
    if !actor.is_admin() {
        let team = match &row.team_id {
            Some(team_id) => find_team(tx, team_id).await?,
            None => None,
        };
        let ceilings = ceilings(&mut *tx, row.user_id.as_ref(), team.as_ref()).await?;
        grants::check(domain, actor, &Given::from(&*patch), &ceilings)?;
    }
    patch.user_id.clone().apply(&mut row.user_id);
    patch
        .organization_id
        .clone()
        .apply(&mut row.organization_id);
    patch.apply(row, now)?;
    touch(row, actor, now);
    let by = actor.name();
    let kind = ScopeKind::Key;
    entity_budgets::write(domain, tx, kind, &row.id, &patch.budgets, by.as_deref()).await
}

/// Moves spend where an administrator asks, after the commit.
pub(super) async fn move_spend(domain: &Domain, row: &KeyRow, patch: &KeyPatch) -> Result<()> {
    match patch.spend {
        Patch::Value(spend) => {
            entity_budgets::set_spend(domain, ScopeKind::Key, &row.id, spend).await
        }
        Patch::Absent | Patch::Null => Ok(()),
    }
}

/// Moves a key to another team, whose models must hold the key's.
async fn change_team(tx: &mut Tx, actor: &Actor, row: &mut KeyRow, patch: &KeyPatch) -> Result<()> {
    let moves =
        !patch.team_id.is_absent() && patch.team_id.as_ref().value() != row.team_id.as_ref();
    if let (Patch::Value(team_id), true) = (&patch.team_id, moves) {
        let team = find_team(tx, team_id).await?;
        if !actor.is_admin() {
            let route = "/key/generate";
            permissions::may_use_team(&mut *tx, actor, team.as_ref(), team_id, route).await?;
        }
        let team = team.ok_or_else(|| {
            Error::new(Code::NotFound, format!("team {team_id} does not exist")).param("team_id")
        })?;
        let models = match &patch.models {
            Patch::Absent => Patch::Value(row.models.0.clone()),
            patch => patch.clone(),
        };
        check_team_models(&team, &models)?;
        row.team_id = Some(team.id);
        row.organization_id = team.organization_id;
    } else if moves {
        if !actor.is_admin() {
            return Err(Error::new(
                Code::Forbidden,
                "Only proxy admins can take a key out of its team.",
            )
            .param("team_id"));
        }
        row.team_id = None;
        row.organization_id = None;
    } else if let (false, Some(team_id)) = (actor.is_admin(), &row.team_id)
        && let Some(team) = find_team(tx, team_id).await?
    {
        check_team_models(&team, &patch.models)?;
    }
    Ok(())
}

async fn find_team(tx: &mut Tx, id: &str) -> Result<Option<store::teams::TeamRow>> {
    store::teams::find(tx, id).await.map_err(storage)
}
