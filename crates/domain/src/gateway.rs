//! What the configuration says of the gateway as a whole.

use base::Result;

use crate::audit::{Action, Actor, Entry, record};
use crate::auth::GATEWAY;
use crate::entity_budgets::{self, BudgetPatch};
use crate::scopes::ScopeKind;
use crate::{Domain, Patch};

/// Makes the gateway's own budget the configured one (`litellm_settings.max_budget`); what it has
/// spent stays. To be called before anybody calls.
///
/// # Errors
/// When the database does not answer, or the period is none.
pub async fn apply_budget(domain: &Domain) -> Result<()> {
    let account = entity_budgets::account(domain, ScopeKind::Gateway, GATEWAY).await?;
    let (amount, period) = match &domain.config.gateway_budget {
        Some((amount, period)) => (Some(*amount), period.clone()),
        None => (None, None),
    };
    if (account.max_budget, &account.duration) == (amount, &period) {
        return Ok(());
    }
    let patch = BudgetPatch {
        max_budget: amount.map_or(Patch::Null, Patch::Value),
        duration: period.map_or(Patch::Null, Patch::Value),
        ..BudgetPatch::default()
    };
    let mut tx = domain.begin().await?;
    let before = entity_budgets::described(&mut tx, ScopeKind::Gateway, GATEWAY).await?;
    entity_budgets::write(domain, &mut tx, ScopeKind::Gateway, GATEWAY, &patch, None).await?;
    let after = entity_budgets::described(&mut tx, ScopeKind::Gateway, GATEWAY).await?;
    let entry = Entry {
        action: Action::Updated,
        kind: "budget",
        id: GATEWAY,
        before: Some(before),
        after: Some(after),
    };
    record(&mut tx, &Actor::system(), domain.clock.now(), entry).await?;
    domain.commit(tx, &[]).await
}
