//! Organizations: groups of teams with budgets and models of their own, and people who administer
//! them (contract §11).

use base::Result;
use store::On;

use crate::storage;

/// What a member is in an organization who administers it.
pub const ADMIN: &str = "org_admin";

/// The organizations that a user administers, by their ids.
pub async fn administered_by<'a>(on: impl Into<On<'a>>, user_id: &str) -> Result<Vec<String>> {
    let memberships = store::organizations::memberships_of_user(on, user_id)
        .await
        .map_err(storage)?;
    let administered = memberships.into_iter().filter(|it| it.role == ADMIN);
    Ok(administered.map(|it| it.organization_id).collect())
}
