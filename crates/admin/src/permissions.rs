//! What the caller may do, for programs that offer only what is possible.

use domain::permissions::{self, Door, Tie};
use serde::Serialize;
use utoipa::ToSchema;

use crate::callers::Anyone;
use crate::extract::Json;

/// Who the caller is, and what is open to them.
#[derive(Debug, Serialize, ToSchema)]
pub struct Permissions {
    user_id: Option<String>,
    /// Null for a key without a user, and a user without a role.
    #[schema(value_type = Option<String>)]
    user_role: Option<&'static str>,
    /// The organizations that the caller administers.
    administers: Vec<String>,
    operations: Vec<Permitted>,
}

/// An operation that is open to the caller.
#[derive(Debug, Serialize, ToSchema)]
pub struct Permitted {
    #[schema(value_type = String)]
    method: &'static str,
    #[schema(value_type = String)]
    path: &'static str,
    /// What the caller must be to the object, who does not administer or see everything: one of
    /// `owner`, `member`, `permitted`, `team_admin`, `organization_admin`. Empty: anything.
    #[schema(value_type = Vec<String>)]
    ties: Vec<&'static str>,
}

/// Lists the operations of the management API that are open to the caller.
#[utoipa::path(get, path = "/permissions", operation_id = "permissions", tag = "users",
    responses((status = 200, body = Permissions)))]
pub async fn own(actor: Anyone) -> Json<Permissions> {
    let is_open = |row: &&permissions::Operation| {
        let is_management = row.method != "*" && matches!(row.door, Door::Key(_));
        is_management && permissions::admit(row, &actor, row.path).is_ok()
    };
    let operations = permissions::rows().filter(is_open).map(|row| Permitted {
        method: row.method,
        path: row.path,
        ties: row.ties.iter().map(|tie| word(*tie)).collect(),
    });
    Json(Permissions {
        user_id: actor.user_id.clone(),
        user_role: actor.role.map(domain::Role::as_str),
        administers: actor.administers.clone(),
        operations: operations.collect(),
    })
}

fn word(tie: Tie) -> &'static str {
    match tie {
        Tie::Owner => "owner",
        Tie::Member => "member",
        Tie::Permitted => "permitted",
        Tie::TeamAdmin => "team_admin",
        Tie::OrganizationAdmin => "organization_admin",
    }
}
