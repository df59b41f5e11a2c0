//! The grants under which a call ran: what a receipt names.

use base::Result;
use store::ledger::LedgerRow;
use store::requests::RequestRow;

use crate::auth::GATEWAY;
use crate::scopes::ScopeKind;
use crate::{Domain, storage};

/// What was granted when a call began and is about it: more budget for one of its scopes, its model, its
/// key, or the place in its team.
pub async fn grants_of(domain: &Domain, call: &LedgerRow) -> Result<Vec<RequestRow>> {
    let (user, team) = (call.user_id.as_deref(), call.team_id.as_deref());
    let granted = store::requests::granted_at(&domain.db, call.started_at, user, team)
        .await
        .map_err(storage)?;
    Ok(granted
        .into_iter()
        .filter(|it| is_about(it, call))
        .collect())
}

fn is_about(grant: &RequestRow, call: &LedgerRow) -> bool {
    let is = |one: &Option<String>, other: &Option<String>| one.is_some() && one == other;
    match grant.kind.as_str() {
        "budget" => {
            let scope = |kind: ScopeKind| grant.scope_kind.as_deref() == Some(kind.as_str());
            let of = |id: &Option<String>| is(&grant.scope_id, id);
            scope(ScopeKind::User) && of(&call.user_id)
                || scope(ScopeKind::Key) && of(&call.key_id)
                || scope(ScopeKind::Team) && of(&call.team_id)
                || scope(ScopeKind::TeamMember) && of(&call.team_member_id)
                || scope(ScopeKind::Organization) && of(&call.organization_id)
                || scope(ScopeKind::Gateway) && grant.scope_id.as_deref() == Some(GATEWAY)
        }
        "model" => {
            grant.model.as_deref() == Some(call.requested_model.as_str())
                && call.user_id.as_ref() == Some(&grant.user_id)
                && grant.team_id == call.team_id
        }
        "key" => is(&grant.made_id, &call.key_id),
        "seat" => is(&grant.made_id, &call.team_member_id),
        _ => false,
    }
}
