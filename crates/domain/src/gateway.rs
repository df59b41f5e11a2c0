//! What the configuration says of the gateway as a whole.

use base::Result;

use crate::auth::GATEWAY;
use crate::entity_budgets::{self, BudgetPatch};
use crate::scopes::ScopeKind;
use crate::{Domain, Patch, storage};

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
    entity_budgets::write(domain, &mut tx, ScopeKind::Gateway, GATEWAY, &patch, None).await?;
    tx.commit().await.map_err(storage)
}
