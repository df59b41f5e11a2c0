//! Who may see a team, manage its members, and read its calls (contract §10).

use base::{Code, Error, Result};
use store::On;
use store::teams::{MemberRow, TeamRow};

use super::{TeamRole, TeamView};
use crate::audit::Actor;
use crate::{Domain, storage};

/// What an actor is to a team.
#[derive(Clone, Debug)]
pub struct Reach {
    is_admin: bool,
    sees_all: bool,
    is_organization_admin: bool,
    /// The actor's key belongs to the team.
    has_key: bool,
    member: Option<MemberRow>,
}

impl Reach {
    /// May change the members.
    pub fn manages(&self) -> bool {
        self.governs() || self.is_team_admin()
    }

    /// May change the team itself: its money, models and name, and whether it is there.
    pub fn governs(&self) -> bool {
        self.is_admin || self.is_organization_admin
    }

    /// May see the team.
    pub fn sees(&self) -> bool {
        self.sees_members() || self.has_key || self.member.is_some()
    }

    /// May see the keys and the spend of every member.
    pub fn sees_members(&self) -> bool {
        self.sees_all || self.is_organization_admin || self.is_team_admin()
    }

    fn is_team_admin(&self) -> bool {
        let member = self.member.as_ref();
        member.is_some_and(|member| member.role == TeamRole::Admin.as_str())
    }
}

/// What the actor is to a team.
pub async fn reach<'a>(on: impl Into<On<'a>>, actor: &Actor, team_id: &str) -> Result<Reach> {
    let mut on = on.into();
    let organization_id = match actor.administers.is_empty() {
        true => None,
        false => store::teams::find(on.again(), team_id)
            .await
            .map_err(storage)?
            .and_then(|team| team.organization_id),
    };
    let member = match &actor.user_id {
        Some(user_id) => store::teams::find_member(on, team_id, user_id)
            .await
            .map_err(storage)?,
        None => None,
    };
    Ok(Reach {
        is_admin: actor.is_admin(),
        sees_all: actor.sees_all(),
        is_organization_admin: administers(actor, organization_id.as_ref()),
        has_key: actor.team_id() == Some(team_id),
        member,
    })
}

/// The same for a team that has been read.
pub fn reach_of(actor: &Actor, team: &TeamView) -> Reach {
    let own = actor.user_id.as_deref();
    let member = own.and_then(|own| team.member(own));
    Reach {
        is_admin: actor.is_admin(),
        sees_all: actor.sees_all(),
        is_organization_admin: administers(actor, team.row.organization_id.as_ref()),
        has_key: actor.team_id() == Some(team.row.id.as_str()),
        member: member.map(|member| member.row.clone()),
    }
}

fn administers(actor: &Actor, organization_id: Option<&String>) -> bool {
    organization_id.is_some_and(|id| actor.administers(id))
}

/// Checks that the actor may change a team itself.
///
/// # Errors
/// [`Code::Forbidden`]; whether the team is there is not said.
pub(super) async fn governable<'a>(on: impl Into<On<'a>>, actor: &Actor, id: &str) -> Result<()> {
    let reach = reach(on, actor, id).await?;
    if reach.governs() {
        return Ok(());
    }
    let message = match reach.manages() {
        true => {
            "Team admins on this proxy cannot edit team settings. Ask a proxy admin to change them."
        }
        false => {
            "only administrators of the gateway or of the team's organization can change a team"
        }
    };
    Err(Error::new(Code::Forbidden, message))
}

/// Whether the actor may read all calls of a team.
pub async fn may_read_calls(domain: &Domain, actor: &Actor, team_id: &str) -> Result<bool> {
    let reach = reach(&domain.db, actor, team_id).await?;
    if reach.sees_members() || reach.member.is_none() {
        return Ok(reach.sees_members());
    }
    let team = store::teams::find(&domain.db, team_id)
        .await
        .map_err(storage)?;
    let reads = |team: TeamRow| team.member_permissions.iter().any(|p| p == "/spend/logs");
    Ok(team.is_some_and(reads))
}

/// Checks that the actor may manage a team's members.
///
/// # Errors
/// [`Code::NotFound`] for an unknown team, [`Code::Forbidden`] where the actor may not.
pub async fn manageable<'a>(on: impl Into<On<'a>>, actor: &Actor, id: &str) -> Result<()> {
    if reach(on, actor, id).await?.manages() {
        return Ok(());
    }
    Err(Error::new(
        Code::Forbidden,
        format!("Call not allowed. User not proxy admin OR team admin. team_id={id}"),
    ))
}

/// What plain members can be allowed (contract §10.6).
pub const PERMISSIONS: &[&str] = &[
    "/key/generate",
    "/key/update",
    "/key/delete",
    "/key/info",
    "/key/regenerate",
    "/key/service-account/generate",
    "/key/{key_id}/regenerate",
    "/key/list",
    "/key/block",
    "/key/unblock",
    "/key/bulk_update",
    "/team/key/bulk_update",
    "/team/daily/activity",
    "/team/daily/activity/aggregated",
    "/team/daily/activity/aggregated/keys",
    "/team/daily/activity/aggregated/search",
    "/team/daily/activity/aggregated/model_top_keys",
    "/team/daily/activity/export",
    "/spend/logs",
    "/spend/logs/v2",
    "/key/{key_id}/reset_spend",
    "/key/aliases",
    "/key/access_group_assignment",
    "/auto_router/manage",
];

pub(super) fn check_permissions(permissions: &[String]) -> Result<()> {
    match permissions
        .iter()
        .find(|permission| !PERMISSIONS.contains(&permission.as_str()))
    {
        None => Ok(()),
        Some(unknown) => Err(Error::new(
            Code::BadRequest,
            format!(
                "'{unknown}' is not a permission of team members; the permissions are {}",
                PERMISSIONS.join(", ")
            ),
        )
        .param("team_member_permissions")),
    }
}
