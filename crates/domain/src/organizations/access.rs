//! Who may see and manage an organization and the people in it (contract §4.3, §11).

use base::{Code, Error, Result};
use store::On;

use super::members::OrganizationRole;
use crate::audit::Actor;
use crate::{Role, storage};

/// What an actor is to an organization.
#[derive(Clone, Debug)]
pub struct Reach<'a> {
    id: &'a str,
    sees_all: bool,
    manages: bool,
}

impl Reach<'_> {
    /// May change it, its members, teams and keys.
    pub fn manages(&self) -> bool {
        self.manages
    }

    /// May see all that is in it.
    pub fn sees(&self) -> bool {
        self.sees_all || self.manages
    }

    /// # Errors
    /// [`Code::Forbidden`]. Whether the organization is there is not said.
    pub fn must_manage(&self) -> Result<()> {
        match self.manages {
            true => Ok(()),
            false => Err(Error::new(
                Code::Forbidden,
                format!(
                    "only administrators of the gateway and of the organization may do this. \
                     organization_id={}",
                    self.id
                ),
            )),
        }
    }
}

/// What the actor is to an organization.
pub fn reach<'a>(actor: &Actor, id: &'a str) -> Reach<'a> {
    Reach {
        id,
        sees_all: actor.sees_all(),
        manages: actor.is_admin() || actor.administers(id),
    }
}

/// The organizations that a user administers, by their ids.
pub async fn administered_by<'a>(on: impl Into<On<'a>>, user_id: &str) -> Result<Vec<String>> {
    let memberships = store::organizations::memberships_of_user(on, user_id)
        .await
        .map_err(storage)?;
    let is_admin = |role: &str| role == OrganizationRole::Admin.as_str();
    let administered = memberships.into_iter().filter(|it| is_admin(&it.role));
    Ok(administered.map(|it| it.organization_id).collect())
}

/// Checks that the actor administers a user: one who is in organizations of theirs and in no others,
/// and is no administrator of the gateway.
///
/// # Errors
/// [`Code::Forbidden`], also for a user who is not there.
pub async fn must_administer_user<'a>(
    on: impl Into<On<'a>>,
    actor: &Actor,
    user_id: &str,
) -> Result<()> {
    if actor.is_admin() {
        return Ok(());
    }
    let refused = || {
        let message = format!(
            "only administrators of the gateway and of the user's organization may do this. \
             user_id={user_id}"
        );
        Error::new(Code::Forbidden, message)
    };
    let mut on = on.into();
    let user = store::users::find(on.again(), user_id)
        .await
        .map_err(storage)?
        .ok_or_else(refused)?;
    let memberships = store::organizations::memberships_of_user(on, user_id)
        .await
        .map_err(storage)?;
    let is_theirs = !memberships.is_empty()
        && memberships
            .iter()
            .all(|membership| actor.administers(&membership.organization_id));
    let role = user.role.as_deref().and_then(Role::parse);
    let is_higher = matches!(role, Some(Role::ProxyAdmin | Role::ProxyAdminViewer));
    match is_theirs && !is_higher {
        true => Ok(()),
        false => Err(refused()),
    }
}
