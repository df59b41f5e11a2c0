//! Who may do what to which key (contract §4.4). Roles were checked at the route; here it is about
//! whose key it is.

use base::{Code, Error, Result};
use store::On;
use store::keys::KeyRow;
use store::teams::TeamRow;

use super::fields::{KeyPatch, KeyType};
use crate::addresses::Networks;
use crate::audit::Actor;
use crate::{Patch, Role, storage};

/// What an actor is in a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Stranger,
    /// A member; whether it has the permission that was asked for.
    Member {
        is_permitted: bool,
    },
    Admin,
}

/// What the actor is in a team, and whether its members have a permission such as `/key/update`.
pub(super) async fn standing(
    on: On<'_>,
    actor: &Actor,
    team: &TeamRow,
    permission: &str,
) -> Result<Standing> {
    let Some(user_id) = &actor.user_id else {
        return Ok(Standing::Stranger);
    };
    if administers(actor, team.organization_id.as_ref()) {
        return Ok(Standing::Admin);
    }
    let member = store::teams::find_member(on, &team.id, user_id)
        .await
        .map_err(storage)?;
    Ok(match member {
        None => Standing::Stranger,
        Some(member) if member.role == "admin" => Standing::Admin,
        Some(_) => Standing::Member {
            is_permitted: team.member_permissions.iter().any(|it| it == permission),
        },
    })
}

async fn in_team_of(
    mut on: On<'_>,
    actor: &Actor,
    key: &KeyRow,
    permission: &str,
) -> Result<Standing> {
    if administers(actor, key.organization_id.as_ref()) {
        return Ok(Standing::Admin);
    }
    let Some(team_id) = &key.team_id else {
        return Ok(Standing::Stranger);
    };
    let team = store::teams::find(on.again(), team_id)
        .await
        .map_err(storage)?;
    match team {
        Some(team) => standing(on, actor, &team, permission).await,
        None => Ok(Standing::Stranger),
    }
}

fn administers(actor: &Actor, organization_id: Option<&String>) -> bool {
    organization_id.is_some_and(|id| actor.administers(id))
}

fn owns(actor: &Actor, key: &KeyRow) -> bool {
    actor.user_id.is_some() && key.user_id == actor.user_id
}

fn made_for_itself(actor: &Actor, key: &KeyRow) -> bool {
    owns(actor, key) && key.created_by == actor.user_id
}

fn role(actor: &Actor) -> &'static str {
    actor.role.map_or("unknown", Role::as_str)
}

fn user(actor: &Actor) -> &str {
    actor.user_id.as_deref().unwrap_or("unknown")
}

/// Its own key, its user's keys, and those of teams it belongs to.
///
/// # Errors
/// 403.
pub async fn may_see<'a>(on: impl Into<On<'a>>, actor: &Actor, key: &KeyRow) -> Result<()> {
    if actor.sees_all() || actor.key_id() == Some(key.id.as_str()) || owns(actor, key) {
        return Ok(());
    }
    match in_team_of(on.into(), actor, key, "/key/info").await? {
        Standing::Admin | Standing::Member { .. } => Ok(()),
        Standing::Stranger => Err(Error::new(
            Code::Forbidden,
            format!(
                "You are not allowed to access this key's info. Your role={}",
                role(actor)
            ),
        )),
    }
}

/// The owner, and administrators of its team.
pub(super) async fn may_delete<'a>(
    on: impl Into<On<'a>>,
    actor: &Actor,
    key: &KeyRow,
) -> Result<()> {
    if actor.is_admin() || owns(actor, key) {
        return Ok(());
    }
    match in_team_of(on.into(), actor, key, "/key/delete").await? {
        Standing::Admin | Standing::Member { is_permitted: true } => Ok(()),
        Standing::Stranger | Standing::Member { .. } => Err(Error::new(
            Code::Forbidden,
            format!(
                "only the owner of a key, an administrator of its team or a proxy admin can delete \
                 it. user_role={}, user_id={}",
                role(actor),
                user(actor)
            ),
        )),
    }
}

/// Administrators, and those of the key's team; not its owner.
pub(super) async fn must_administer<'a>(
    on: impl Into<On<'a>>,
    actor: &Actor,
    key: &KeyRow,
    route: &str,
) -> Result<()> {
    if actor.is_admin() {
        return Ok(());
    }
    match in_team_of(on.into(), actor, key, route).await? {
        Standing::Admin => Ok(()),
        Standing::Stranger | Standing::Member { .. } => Err(not_admin(actor, route)),
    }
}

fn not_admin(actor: &Actor, what: &str) -> Error {
    Error::new(
        Code::Forbidden,
        format!(
            "Only proxy admins, team admins, or org admins can call {what}. user_role={}, user_id={}",
            role(actor),
            user(actor)
        ),
    )
}

/// Who made a key for itself may change it, but not what it may spend; administrators of its team may
/// change both. What an administrator has limited it to stays.
pub(super) async fn may_update<'a>(
    on: impl Into<On<'a>>,
    actor: &Actor,
    key: &KeyRow,
    patch: &KeyPatch,
) -> Result<()> {
    if actor.is_admin() {
        return Ok(());
    }
    only_for_admins(patch)?;
    let standing = in_team_of(on.into(), actor, key, "/key/update").await?;
    match standing {
        Standing::Admin => {}
        Standing::Member { is_permitted: true } if owns(actor, key) => {}
        _ if made_for_itself(actor, key) => {}
        _ => return Err(not_admin(actor, "/key/update")),
    }
    if standing != Standing::Admin {
        if patch.touches_money() {
            return Err(not_admin(actor, "/key/update (max_budget/spend)"));
        }
        if !patch.blocked.is_absent() {
            return Err(not_admin(actor, "/key/update (blocked)"));
        }
        stays_within(actor, key, patch)?;
    }
    let was_limited = key.key_type.is_none() && !key.allowed_routes.is_empty();
    if was_limited && !(patch.allowed_routes.is_absent() && patch.key_type.is_absent()) {
        return Err(not_admin(actor, "/key/update (allowed_routes)"));
    }
    let keeps_owner = match &patch.user_id {
        Patch::Absent => true,
        Patch::Null => key.user_id.is_none(),
        Patch::Value(user_id) => Some(user_id) == key.user_id.as_ref(),
    };
    let keeps_organization = match &patch.organization_id {
        Patch::Absent => true,
        Patch::Null => key.organization_id.is_none(),
        Patch::Value(id) => Some(id) == key.organization_id.as_ref(),
    };
    match keeps_owner && keeps_organization {
        true => Ok(()),
        false => Err(not_admin(actor, "/key/update (user_id/organization_id)")),
    }
}

/// From where a key may be used can be narrowed by whoever made it, not widened.
fn stays_within(actor: &Actor, key: &KeyRow, patch: &KeyPatch) -> Result<()> {
    if patch.allowed_ips.is_absent() || key.allowed_ips.is_empty() {
        return Ok(());
    }
    let wanted = patch.allowed_ips.clone().value().unwrap_or_default();
    let wanted = Networks::parse(&wanted).map_err(|error| error.param("allowed_ips"))?;
    let known = Networks::parse(&key.allowed_ips).map_err(Error::internal)?;
    match !wanted.is_empty() && known.covers(&wanted) {
        true => Ok(()),
        false => Err(not_admin(actor, "/key/update (allowed_ips)")),
    }
}

/// Who may replace a key by another: its owner, and who may update it as an administrator.
pub(super) async fn may_rotate<'a>(
    on: impl Into<On<'a>>,
    actor: &Actor,
    key: &KeyRow,
) -> Result<()> {
    if actor.is_admin() || owns(actor, key) {
        return Ok(());
    }
    match in_team_of(on.into(), actor, key, "/key/regenerate").await? {
        Standing::Admin | Standing::Member { is_permitted: true } => Ok(()),
        Standing::Stranger | Standing::Member { .. } => Err(not_admin(actor, "/key/regenerate")),
    }
}

/// What gives a key more than its role: for administrators alone.
pub fn only_for_admins(patch: &KeyPatch) -> Result<()> {
    let names_routes = matches!(&patch.allowed_routes, Patch::Value(routes) if !routes.is_empty());
    if names_routes || patch.key_type == Patch::Value(KeyType::Management) {
        return Err(Error::new(
            Code::Forbidden,
            "Only proxy admins can set `allowed_routes` on a key. Use `key_type` to pick a preset \
             route bucket instead.",
        ));
    }
    if !matches!(&patch.canary, Patch::Absent | Patch::Value(false)) {
        return Err(Error::new(
            Code::Forbidden,
            "Only proxy admins can set `canary`.",
        ));
    }
    if matches!(&patch.permissions, Patch::Value(permissions) if !permissions.is_empty()) {
        return Err(Error::new(
            Code::Forbidden,
            "Only proxy admins can set `permissions`.",
        ));
    }
    Ok(())
}

/// Whether the actor may put a key into a team (contract §4.4).
///
/// # Errors
/// 400 for a team that the actor is not in, 401 where its members may not do it.
pub(super) async fn may_use_team<'a>(
    on: impl Into<On<'a>>,
    actor: &Actor,
    team: Option<&TeamRow>,
    team_id: &str,
    permission: &str,
) -> Result<Standing> {
    let stranger = || {
        Error::new(
            Code::BadRequest,
            format!("User={} not assigned to team={team_id}", user(actor)),
        )
        .param("team_id")
    };
    let team = team.ok_or_else(stranger)?;
    let standing = standing(on.into(), actor, team, permission).await?;
    match standing {
        Standing::Stranger => Err(stranger()),
        Standing::Member {
            is_permitted: false,
        } => {
            let mut permitted = vec!["/key/info", "/key/health"];
            permitted.extend(team.member_permissions.iter().map(String::as_str));
            Err(Error::new(
                Code::TeamMemberForbidden,
                format!(
                    "Team member does not have permissions for endpoint: {permission}. You only have \
                     access to the following endpoints: ['{}'] for team {team_id}. To create keys \
                     for this team, please ask your proxy admin to check the team member permission \
                     settings and update the settings to allow team member users to create keys.",
                    permitted.join("', '")
                ),
            )
            .param(permission.to_owned()))
        }
        standing => Ok(standing),
    }
}
